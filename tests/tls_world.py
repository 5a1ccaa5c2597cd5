"""What tests of TLS share: an authority, certificates as files, and clients that show them."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import trustme
from agent_harness import Harness
from agent_program import PATIENCE, Program

from gthulhu_agent.secrettext import SecretText


@dataclass
class Authority:
    """An authority, and the files of an agent's certificate in ``folder``."""

    folder: Path
    ca: trustme.CA

    @classmethod
    def make(cls, folder: Path) -> Authority:
        """A new one, with a certificate for 127.0.0.1."""
        folder.mkdir(exist_ok=True)
        authority = cls(folder, trustme.CA())
        authority.renew()
        return authority

    @property
    def certificate(self) -> Path:
        """The agent's certificate chain."""
        return self.folder / "tls.crt"

    @property
    def key(self) -> Path:
        """Its key."""
        return self.folder / "tls.key"

    @property
    def authorities(self) -> Path:
        """Whose certificates callers have to show."""
        return self.folder / "ca.crt"

    def renew(self, ca: trustme.CA | None = None) -> None:
        """Write a new certificate of the agent, and the authority."""
        issued = self.ca.issue_cert("127.0.0.1", "localhost")
        write(self.certificate, b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        write(self.key, issued.private_key_pem.bytes())
        write(self.authorities, (ca or self.ca).cert_pem.bytes())

    def mutual(self, *clients: str, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Settings
        """Settings with certificates on both sides, of which ``clients`` are a login."""
        return {
            "mtls_enable": True,
            "mtls_cert_pem": SecretText("mtls.cert_pem", path=self.certificate, private=False),
            "mtls_key_pem": SecretText("mtls.key_pem", path=self.key),
            "mtls_ca_pem": SecretText("mtls.ca_pem", path=self.authorities, private=False),
            "mtls_clients": clients,
            **more,
        }

    def simple(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 - fields of Settings
        """Settings with a certificate of the agent alone."""
        return {
            "tls_cert_pem": SecretText("tls.cert_pem", path=self.certificate, private=False),
            "tls_key_pem": SecretText("tls.key_pem", path=self.key),
            **more,
        }

    def client(
        self, *names: str, common_name: str | None = None, by: trustme.CA | None = None, oldest: bool = False
    ) -> ssl.SSLContext:
        """A client that trusts this authority, with a certificate for ``names`` where there are any."""
        context = ssl.create_default_context(cadata=self.ca.cert_pem.bytes().decode())
        if names or common_name:
            (by or self.ca).issue_cert(*names, common_name=common_name).configure_cert(context)
        if oldest:
            context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def write(path: Path, data: bytes) -> None:
    """As renewals do it: a new file in the place of the old one."""
    new = path.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.rename(path)


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


REQUEST = b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


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


def kinds(program: Program) -> set[str]:
    state: Any = program.call("GET", "/v1/state")
    return {one["type"] for one in state["conditions"]}


def wait_for(wanted: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not wanted():
        assert time.monotonic() < end
        time.sleep(0.02)
