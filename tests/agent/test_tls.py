"""TLS on real sockets: who gets a connection, whose certificate is a login, and certificates that change meanwhile."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trustme
from agent_harness import Harness, desired, intent, running, settings
from agent_program import PATIENCE, Program, run, serving
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import load_pem_x509_certificate
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st
from login_world import spki_pem
from tls_world import Authority, write

from gthulhu_agent.api.edge import Edge
from gthulhu_agent.clock import Clock
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.settings import Settings
from gthulhu_agent.state import ConditionKind, Conditions
from gthulhu_agent.tls import Sources, Tls, loading, sources
from gthulhu_agent.tls.identity import identity, is_client, names
from gthulhu_agent.tokens import published as publishing

_DAY = 86_400


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "authority")


@asynccontextmanager
async def session(context: ssl.SSLContext | bool, **headers: str) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as opened:
        yield opened


async def call(
    agent: Harness,
    context: ssl.SSLContext,
    path: str,
    method: str = "GET",
    **more: Any,  # noqa: ANN401 - of aiohttp
) -> tuple[int, dict[str, Any]]:
    async with (
        session(context) as opened,
        opened.request(method, f"https://127.0.0.1:{agent.port}{path}", **more) as answer,
    ):
        return answer.status, await answer.json()


def conditions(agent: Harness) -> dict[str, str]:
    return {one.kind.value: one.message for one in agent.service.agent.conditions}


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


async def test_a_renewed_certificate_is_shown_to_the_next_connection_and_no_listener_closes(
    tmp_path: Path, own: Authority
) -> None:
    async with running(tmp_path, **own.simple()) as agent, session(own.client()) as kept:
        url = f"https://127.0.0.1:{agent.port}/v1/health"
        before = await asyncio.to_thread(served, agent.port, own)
        own.renew()
        answers = asyncio.create_task(ask_until_told(kept, url, told := asyncio.Event()))
        await agent.service.reload()
        assert await asyncio.to_thread(served, agent.port, own) != before
        told.set()
        assert await answers > 0
        assert "CertificateStale" not in conditions(agent)


async def ask_until_told(opened: aiohttp.ClientSession, url: str, told: asyncio.Event) -> int:
    count = 0
    while not told.is_set() or not count:
        async with opened.get(url) as answer:
            assert answer.status == 200
        count += 1
    return count


def served(port: int, authority: Authority) -> str:
    """The fingerprint of the certificate that a new connection is shown."""
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        authority.client().wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        return sha256(secured.getpeercert(binary_form=True) or b"").hexdigest()


async def test_a_standing_connection_ends_after_its_request_when_the_authority_changes(
    tmp_path: Path, own: Authority
) -> None:
    other = trustme.CA()
    async with running(tmp_path, **own.mutual("manager")) as agent:
        former, newer = own.client(common_name="manager"), own.client(common_name="manager", by=other)
        url = f"https://127.0.0.1:{agent.port}/v1/state"
        async with session(former) as opened:
            async with opened.get(url) as answer:
                assert answer.status == 200
            write(own.authorities, other.cert_pem.bytes())
            await agent.service.reload()
            with pytest.raises((aiohttp.ClientConnectionError, ssl.SSLError)):
                async with opened.get(url):
                    pass
        assert (await call(agent, newer, "/v1/state"))[0] == 200


async def test_a_body_that_was_on_its_way_when_the_authority_changed_was_thrown_away(
    tmp_path: Path, own: Authority
) -> None:
    body = json.dumps(desired(1, intent("web")).as_json()).encode()
    async with running(tmp_path, **own.mutual("manager")) as agent:
        client = own.client(common_name="manager")
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port, ssl=client)
        writer.write(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'"ok"}\n')
        writer.write(b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(body))
        writer.write(b"Expect: 100-continue\r\n\r\n")
        await reader.readuntil(b"100 Continue\r\n\r\n")
        write(own.authorities, trustme.CA().cert_pem.bytes())
        await agent.service.reload()
        writer.write(body)
        answer = await reader.read()
        writer.close()
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()


async def test_a_handshake_that_began_under_a_former_authority_lets_nobody_in(tmp_path: Path, own: Authority) -> None:
    """Its context is the former one, and a connection that stands is asked for no other certificate."""
    async with running(tmp_path, **own.mutual("manager")) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        former, _, outgoing = await almost_shaken(reader, writer, own.client(common_name="manager"))
        write(own.authorities, trustme.CA().cert_pem.bytes())
        await agent.service.reload()
        former.write(REQUEST)
        writer.write(outgoing.read())
        with suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_a_session_of_a_former_authority_is_not_resumed(tmp_path: Path, own: Authority) -> None:
    async with running(tmp_path, **own.mutual("manager", mtls_min_version="1.2")) as agent:
        for oldest in (False, True):
            own.renew()
            await agent.service.reload()
            client = own.client(common_name="manager", oldest=oldest)
            resumed = await asyncio.to_thread(resumable, agent.port, client)
            assert await asyncio.to_thread(answered, agent.port, client, resumed)
            write(own.authorities, trustme.CA().cert_pem.bytes())
            await agent.service.reload()
            assert not await asyncio.to_thread(answered, agent.port, client, resumed)


REQUEST = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def resumable(port: int, client: ssl.SSLContext) -> ssl.SSLSession:
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        client.wrap_socket(plain, server_hostname="127.0.0.1") as secured,
    ):
        secured.sendall(REQUEST)
        assert secured.recv(4096).startswith(b"HTTP/1.1 200")
        assert secured.session is not None
        return secured.session


def answered(port: int, client: ssl.SSLContext, resumed: ssl.SSLSession) -> bool:
    try:
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            client.wrap_socket(plain, server_hostname="127.0.0.1", session=resumed) as secured,
        ):
            secured.sendall(REQUEST)
            return secured.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


@pytest.mark.parametrize("broken", ["certificate", "key", "authorities"])
async def test_new_files_that_do_not_hold_leave_the_old_in_force_until_they_do(
    tmp_path: Path, own: Authority, broken: str
) -> None:
    async with running(tmp_path, **own.mutual("manager")) as agent:
        path: Path = getattr(own, broken)
        whole = path.read_bytes()  # noqa: ASYNC240 - a small file in a test
        manager = own.client(common_name="manager")
        for data in (b"", b"no PEM", whole[: len(whole) // 2], trustme.CA().private_key_pem.bytes()):
            write(path, data)
            await agent.service.reload()
            assert (
                f"mtls.{ {'certificate': 'cert', 'key': 'key', 'authorities': 'ca'}[broken] }_pem"
                in conditions(agent)[ConditionKind.TLS_STALE]
            )
            assert (await call(agent, manager, "/v1/state"))[0] == 200
        path.unlink()  # noqa: ASYNC240 - a small file in a test
        await agent.service.reload()
        assert "cannot be read" in conditions(agent)[ConditionKind.TLS_STALE]
        write(path, whole)
        await agent.service.reload()
        assert ConditionKind.TLS_STALE not in conditions(agent)
        assert (await call(agent, manager, "/v1/ready"))[0] in (200, 503)


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


async def almost_shaken(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: ssl.SSLContext
) -> tuple[ssl.SSLObject, ssl.MemoryBIO, ssl.MemoryBIO]:
    """A handshake whose last words are not sent yet, with what comes in and what goes out."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    one = client.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    while True:
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            writer.write(outgoing.read())
            incoming.write(await reader.read(65536))
        else:
            return one, incoming, outgoing


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


TEXTS = [b"", b"\xff", b"-----BEGIN CERTIFICATE-----\n", b"-----END CERTIFICATE-----\n", "é".encode(), b"\0"]


@few(max_examples=25)
@given(which=st.sampled_from(["certificate", "key", "authorities"]), data=st.data())
def test_whatever_new_files_hold_the_old_stay_in_force_and_the_agent_lives(
    pristine: dict[str, bytes], which: str, data: st.DataObject
) -> None:
    whole = bytearray(pristine[which])
    for _ in range(data.draw(st.integers(1, 5))):
        at = data.draw(st.integers(0, len(whole)))
        whole[at : at + data.draw(st.integers(0, 20))] = data.draw(st.sampled_from(TEXTS) | st.binary(max_size=9))
    texts = {name: value.decode() for name, value in pristine.items()} | {which: whole.decode(errors="replace")}
    said = Sources(SecretText("mtls.cert_pem"), SecretText("mtls.key_pem"), SecretText("mtls.ca_pem"), "1.3")
    with suppress(UsageError):
        loading.load(said, loading.Texts(texts["certificate"], texts["key"], texts["authorities"]))


@pytest.fixture(scope="module")
def pristine(shared: Authority) -> dict[str, bytes]:
    return {
        "certificate": shared.certificate.read_bytes(),
        "key": shared.key.read_bytes(),
        "authorities": shared.authorities.read_bytes(),
    }


async def test_words_between_the_authorities_of_a_bundle_are_skipped(tmp_path: Path, own: Authority) -> None:
    bundle = b"".join(
        (b"# subject=Beh\xc3\xb6rde\n", trustme.CA().cert_pem.bytes(), b"\n\n# \xe2\x9c\x93\n", own.ca.cert_pem.bytes())
    )
    write(own.authorities, bundle)
    async with running(tmp_path, **own.mutual("manager")) as agent:
        assert (await call(agent, own.client(common_name="manager"), "/v1/state"))[0] == 200


async def test_too_many_open_files_leave_the_old_in_force(
    tmp_path: Path, own: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, **own.simple()) as agent:
        own.renew()
        with monkeypatch.context() as patched:
            patched.setattr(os, "memfd_create", _too_many)
            await agent.service.reload()
            assert "Too many open files" in conditions(agent)[ConditionKind.TLS_STALE]
            assert (await call(agent, own.client(), "/v1/health"))[0] == 200
        await agent.service.reload()
        assert ConditionKind.TLS_STALE not in conditions(agent)


def _too_many(*_arguments: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


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


def test_sighup_takes_new_files_and_ends_nothing(tmp_path: Path, own: Authority) -> None:
    arguments = ("--tls-cert-pem", str(own.certificate), "--tls-key-pem", str(own.key))
    with serving(tmp_path, *arguments, "--listen", f"127.0.0.1:0 unix:{tmp_path}/api.sock") as program:
        note = json.loads((tmp_path / "state/running.json").read_text())
        assert note["listen"].endswith("agent.sock")
        assert run(tmp_path, "revert", "--state-dir", str(tmp_path / "state")).returncode == 0
        write(own.key, b"broken")
        program.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "CertificateStale" in kinds(program))
        own.renew()
        program.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "CertificateStale" not in kinds(program))
        assert program.stop()[0] == 0


def kinds(program: Program) -> set[str]:
    state: Any = program.call("GET", "/v1/state")
    return {one["type"] for one in state["conditions"]}


def wait_for(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)
