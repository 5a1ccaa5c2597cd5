"""New certificates, keys and authorities come into force while the agent runs; broken ones do not."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import ssl
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
import trustme
from agent_harness import desired, intent, running
from agent_program import UnixHTTPConnection, run, serving
from hypothesis import given
from hypothesis import settings as few
from hypothesis import strategies as st
from tls_world import REQUEST, Authority, almost_shaken, call, conditions, kinds, session, wait_for, write

from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.state import ConditionKind
from gthulhu_agent.tls import Sources, loading


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


def test_a_connection_without_tls_was_closed_when_certificates_changed(tmp_path: Path, own: Authority) -> None:
    arguments = ("--tls-cert-pem", str(own.certificate), "--tls-key-pem", str(own.key))
    with serving(tmp_path, *arguments, "--listen", f"127.0.0.1:0 unix:{tmp_path}/api.sock") as program:
        standing = UnixHTTPConnection(program.path)
        standing.request("GET", "/v1/health")
        standing.getresponse().read()
        opened = standing.sock
        write(own.key, b"broken")
        program.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "CertificateStale" in kinds(program))
        own.renew()
        program.process.send_signal(signal.SIGHUP)
        wait_for(lambda: "CertificateStale" not in kinds(program))
        standing.request("GET", "/v1/health")
        assert standing.getresponse().status == 200
        assert standing.sock is opened
        standing.close()
        assert program.stop()[0] == 0
