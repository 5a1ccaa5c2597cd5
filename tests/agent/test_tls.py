"""TLS on real sockets: who gets a connection, whose certificate is a login, and certificates that change meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from agent_harness import desired, intent, running, settings
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from login_world import spki_pem
from tls_world import REQUEST, Authority, almost_shaken, call, session, write

from gthulhu_agent.api.edge import Edge
from gthulhu_agent.clock import Clock
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.settings import Settings
from gthulhu_agent.state import Conditions
from gthulhu_agent.tls import Tls, sources
from gthulhu_agent.tls.identity import identity, is_client, names
from gthulhu_agent.tokens import published as publishing

_DAY = 86_400


async def test_with_a_certificate_of_its_own_it_serves_over_tls_1_3_and_no_older(
    tmp_path: Path, shared: Authority
) -> None:
    async with running(tmp_path, **shared.simple()) as agent:
        assert await call(agent, shared.client(), "/v1/health") == (200, {"status": "ok"})
        with pytest.raises(aiohttp.ClientConnectionError):
            await call(agent, shared.client(oldest=True), "/v1/health")
        with pytest.raises(aiohttp.ClientConnectionError):
            await agent.get("/v1/health")


async def test_tls_1_2_is_a_setting(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, **shared.simple(mtls_min_version="1.2")) as agent:
        assert (await call(agent, shared.client(oldest=True), "/v1/health"))[0] == 200
        assert (await call(agent, shared.client(), "/v1/health"))[0] == 200


async def test_a_certificate_that_is_named_is_a_login_for_everything(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, **shared.mutual("gthulhu-manager")) as agent:
        manager = shared.client(common_name="gthulhu-manager")
        status, held = await call(agent, manager, "/v1/desired", "PUT", json=desired(1, intent("web")).as_json())
        assert (status, held["count"]) == (200, 1)
        assert (await call(agent, manager, "/api/v1/intents/merkle"))[0] == 200


async def test_x12_a_certificate_of_the_authority_alone_is_no_login(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, **shared.mutual("gthulhu-manager")) as agent:
        node = shared.client("node-2.example.org")
        for path, method in (("/v1/desired", "PUT"), ("/v1/state", "GET"), ("/api/v1/intents", "POST")):
            assert (await call(agent, node, path, method, json={}))[0] == 401, path
        assert (await call(agent, node, "/v1/health"))[0] == 200


@pytest.mark.parametrize("by", [None, trustme.CA()])
async def test_without_a_certificate_of_the_authority_nobody_gets_a_connection(
    tmp_path: Path, shared: Authority, by: trustme.CA | None
) -> None:
    stranger = shared.client() if by is None else shared.client(common_name="gthulhu-manager", by=by)
    async with running(tmp_path, **shared.mutual("gthulhu-manager")) as agent:
        with pytest.raises((aiohttp.ClientConnectionError, ConnectionResetError, ssl.SSLError)):
            await call(agent, stranger, "/v1/health")
        assert (await call(agent, shared.client(common_name="gthulhu-manager"), "/v1/health"))[0] == 200


async def test_gthulhus_clients_with_a_named_certificate_get_tokens_without_public_key_login(
    tmp_path: Path, shared: Authority
) -> None:
    async with running(tmp_path, **shared.mutual("gthulhu-manager")) as agent:
        manager, node = shared.client(common_name="gthulhu-manager"), shared.client("node-2")
        key = spki_pem(b"whatever")
        status, told = await call(agent, manager, "/api/v1/auth/token", "POST", json={"public_key": key})
        assert status == 200
        bearer = {"Authorization": f"Bearer {told['data']['token']}"}
        assert (await call(agent, node, "/api/v1/intents/merkle", headers=bearer))[0] == 200
        assert (await call(agent, node, "/api/v1/auth/token", "POST", json={"public_key": key}))[0] == 401


@pytest.mark.parametrize(
    ("certificate", "told"),
    [
        (None, ()),
        ({}, ()),
        ({"subject": ((("commonName", "cn"),),)}, ("cn",)),
        (
            {"subject": ((("commonName", "cn"),),), "subjectAltName": (("DNS", "a"), ("URI", "spiffe://b"))},
            ("spiffe://b", "a"),
        ),
        ({"subject": ((("commonName", "cn"),),), "subjectAltName": (("DirName", ()),)}, ()),
    ],
)
def test_a_common_name_beside_alternative_names_is_none(
    certificate: dict[str, Any] | None, told: tuple[str, ...]
) -> None:
    assert names(certificate) == told


def test_who_is_a_client_is_told_by_globs() -> None:
    assert is_client("spiffe://example.org/gthulhu/manager", ["spiffe://example.org/gthulhu/*"])
    assert not is_client("Gthulhu-Manager", ["gthulhu-manager"])
    assert not is_client("gthulhu-manager", [])
    assert identity(("a", "b"), ["b"]) == "b"
    assert identity(("a", "b"), []) == "a"
    assert identity((), ["*"]) is None


async def test_a_certificate_that_ends_soon_is_told(tmp_path: Path, shared: Authority) -> None:
    found = sources(settings(tmp_path, **shared.simple()))
    assert found is not None
    tls, raised = Tls(found), Conditions()
    for before, told in ((15 * _DAY, ""), (13 * _DAY, "ends"), (0, "ended"), (-_DAY, "ended"), (15 * _DAY, "")):
        now = tls.ends_at - before
        await tls.look(raised, Clock(wall=lambda now=now: now), lambda: None)  # type: ignore[misc] # a default of a lambda
        assert [f"certificate {told} at" in one.message for one in raised] == ([True] if told else [])


async def test_callers_that_never_shake_hands_keep_nobody_out(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, max_connections=8, headers_deadline=2.0, **shared.simple()) as agent:
        silent = [socket.create_connection(("127.0.0.1", agent.port)) for _ in range(40)]
        try:
            client = shared.client()
            async with asyncio.timeout(20):
                while True:
                    try:
                        if (await call(agent, client, "/v1/health"))[0] == 200:
                            break
                    except (aiohttp.ClientConnectionError, ssl.SSLError):
                        await asyncio.sleep(0.05)
        finally:
            for one in silent:
                one.close()


@pytest.mark.parametrize(
    "data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 100, b"\x80\x2e\x01"]
)
async def test_what_is_not_tls_is_dropped_and_counted(tmp_path: Path, shared: Authority, data: bytes) -> None:
    async with running(tmp_path, headers_deadline=0.5, **shared.simple(compat_open_metrics=True)) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        writer.write(data)
        await reader.read()
        writer.close()
        async with (
            session(shared.client()) as opened,
            opened.get(f"https://127.0.0.1:{agent.port}/metrics") as answer,
        ):
            assert 'gthulhu_agent_api_connections_rejected_total{reason="handshake"} 1.0' in await answer.text()


async def test_a_request_in_the_same_segment_as_the_end_of_the_handshake_is_answered(
    tmp_path: Path, shared: Authority
) -> None:
    """Asyncio hands over data that came with the handshake before it says that there is a connection."""
    async with running(tmp_path, **shared.simple()) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        client, incoming, outgoing = await almost_shaken(reader, writer, shared.client())
        client.write(REQUEST)
        writer.write(outgoing.read())
        answer = b""
        while not answer:
            incoming.write(await reader.read(65536))
            try:
                answer = client.read()
            except ssl.SSLWantReadError:
                continue
        assert answer.startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_caller_that_goes_right_after_the_handshake_leaves_nothing(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, **shared.simple()) as agent:
        for _ in range(20):
            await asyncio.to_thread(_shake_and_go, agent.port, shared.client())
        assert (await call(agent, shared.client(), "/v1/health"))[0] == 200


def _shake_and_go(port: int, client: ssl.SSLContext) -> None:
    with socket.create_connection(("127.0.0.1", port)) as plain, client.wrap_socket(plain, server_hostname="127.0.0.1"):
        pass


async def test_the_agents_own_commands_get_in_by_a_socket_of_their_own(tmp_path: Path, shared: Authority) -> None:
    async with running(tmp_path, **shared.mutual("manager")) as agent:
        path = tmp_path / "state/agent.sock"
        assert path.stat().st_mode & 0o777 == 0o600
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as opened:
            async with opened.get("http://localhost/v1/state") as answer:
                assert answer.status == 200
            async with opened.get("http://localhost/api/v1/intents/merkle") as answer:
                assert answer.status == 404
        assert agent.service.agent.node == "node-1"
    assert not path.exists()


def refusal(chosen: Settings) -> str:
    with pytest.raises(UsageError) as told:
        Edge.open(chosen)
    return f"{told.value} {told.value.cure}"


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(tmp_path: Path, own: Authority) -> None:
    key = serialization.load_pem_private_key(own.key.read_bytes(), password=None)
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"password"),
    )
    write(own.key, encrypted)
    assert "tls.key_pem: it is no unencrypted key" in refusal(settings(tmp_path, **own.simple()))


def test_a_key_of_another_certificate_is_refused(tmp_path: Path, own: Authority) -> None:
    write(own.key, own.ca.issue_cert("localhost").private_key_pem.bytes())
    assert "tls.key_pem: it is no unencrypted key of the certificate" in refusal(settings(tmp_path, **own.simple()))


def test_a_key_that_others_may_read_is_refused(tmp_path: Path, own: Authority) -> None:
    own.key.chmod(0o644)
    assert f"{own.key} is open to others chmod 600" in refusal(settings(tmp_path, **own.simple()))


@pytest.mark.parametrize("which", ["certificate", "authorities"])
def test_x01_certificates_whose_private_key_is_public_are_refused(
    tmp_path: Path, shared: Authority, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    path: Path = getattr(shared, which)
    key = load_pem_x509_certificate(path.read_bytes()).public_key()
    digest = sha256(publishing.spki(key)).hexdigest()
    monkeypatch.setitem(publishing._PUBLISHED, digest, "the authority of a test")
    told = refusal(settings(tmp_path, **shared.mutual("manager")))
    assert "this is the authority of a test, whose private key is public" in told


async def test_words_between_the_authorities_of_a_bundle_are_skipped(tmp_path: Path, own: Authority) -> None:
    bundle = b"".join(
        (b"# subject=Beh\xc3\xb6rde\n", trustme.CA().cert_pem.bytes(), b"\n\n# \xe2\x9c\x93\n", own.ca.cert_pem.bytes())
    )
    write(own.authorities, bundle)
    async with running(tmp_path, **own.mutual("manager")) as agent:
        assert (await call(agent, own.client(common_name="manager"), "/v1/state"))[0] == 200


def test_text_in_settings_serves_as_well_as_files(tmp_path: Path, shared: Authority) -> None:
    texts = {
        "tls_cert_pem": SecretText("tls.cert_pem", text=f"\n{shared.certificate.read_text()}\n", private=False),
        "tls_key_pem": SecretText("tls.key_pem", text=shared.key.read_text()),
    }
    edge = Edge.open(settings(tmp_path, **texts))
    assert edge.tls is not None
    edge.close()


def test_a_network_address_with_certificates_but_no_client_among_them_is_refused(
    tmp_path: Path, shared: Authority
) -> None:
    assert "no way to log in" in refusal(settings(tmp_path, listen="0.0.0.0:0", **shared.mutual()))
    Edge.open(settings(tmp_path, listen="0.0.0.0:0", **shared.mutual("manager"))).close()
