"""The end of an agent: what runs may finish, what trickles may not hold it up, and nobody new comes in."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_harness import Harness, desired, intent, running
from tls_world import Authority

from gthulhu_agent.disk import Disk
from gthulhu_agent.store import DesiredStore


class Gate(Disk):
    """A disk on which writing waits."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    def write(self, fd: int, data: bytes) -> None:
        """Wait for the gate, then write."""
        self.reached.set()
        self.open.wait(60)
        super().write(fd, data)


async def test_a_push_that_is_being_stored_is_stored_and_answered(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, disk=gate) as agent:
        gate.open.clear()
        gate.reached.clear()
        push = asyncio.create_task(agent.put(desired(1, intent("web"))))
        await asyncio.to_thread(gate.reached.wait)
        stopping = asyncio.create_task(agent.service.stop())
        await asyncio.sleep(0.05)
        with pytest.raises(aiohttp.ClientConnectorError):
            await agent.session.get(f"{agent.url}/v1/health")
        gate.open.set()
        assert (await push)[0] == 200
        await stopping
    assert DesiredStore(tmp_path / "state").load().held.generation == 1


async def test_a_push_that_outlives_the_drain_is_still_whole(tmp_path: Path) -> None:
    gate = Gate()
    async with running(tmp_path, disk=gate, drain_deadline=0.1) as agent:
        gate.open.clear()
        gate.reached.clear()
        push = asyncio.create_task(agent.put(desired(1, intent("web"))))
        await asyncio.to_thread(gate.reached.wait)
        stopping = asyncio.create_task(agent.service.stop())
        with pytest.raises(aiohttp.ClientError):
            await push
        gate.open.set()
        await stopping
        assert agent.service.agent.held.generation == 1
    assert DesiredStore(tmp_path / "state").load().held.generation == 1


async def test_a_trickled_body_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, drain_deadline=0.1, body_deadline=60.0) as agent:
        reader, writer = await asyncio.open_connection("127.0.0.1", agent.port)
        writer.write(b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{")
        await writer.drain()
        await agent.get("/v1/health")
    assert await reader.read() == b""
    writer.close()


BODY = json.dumps(desired(1, intent("web")).as_json()).encode()
HEAD = b"PUT /v1/desired HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(BODY)


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """Everything until the agent closes; a reset is an end too."""
    received = b""
    with suppress(ConnectionError):
        while piece := await reader.read(1 << 16):
            received += piece
    return received


async def ended(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def put_over_the_end(
    agent: Harness, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> tuple[bytes, bytes]:
    """What answers a push whose body was on its way when the end began: status line and headers, and the rest."""
    writer.write(HEAD + BODY[:10])
    await writer.drain()
    stopping = asyncio.create_task(agent.service.stop())
    await asyncio.sleep(0.2)
    writer.write(BODY[10:])
    head, _, rest = (await rest_of(reader)).partition(b"\r\n\r\n")
    await ended(writer)
    await stopping
    return head, rest


@pytest.mark.parametrize("where", ["127.0.0.1:0", "unix", "tls"])
async def test_a_body_that_was_on_its_way_at_the_end_was_thrown_away(tmp_path: Path, where: str) -> None:
    said: dict[str, Any] = {"listen": f"unix:{tmp_path}/socket" if where == "unix" else "127.0.0.1:0"}
    context = None
    if where == "tls":
        authority = Authority.make(tmp_path / "authority")
        said |= authority.mutual("gthulhu-manager")
        context = authority.client(common_name="gthulhu-manager")
    async with running(tmp_path, drain_deadline=60.0, **said) as agent:
        if where == "unix":
            reader, writer = await asyncio.open_unix_connection(tmp_path / "socket")
        else:
            reader, writer = await asyncio.open_connection("127.0.0.1", agent.port, ssl=context)
        head, rest = await put_over_the_end(agent, reader, writer)
        assert head.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in head.lower()
        assert json.loads(rest)["generation"] == 1
    assert DesiredStore(tmp_path / "state").load().held.generation == 1


async def test_idle_callers_and_halves_of_headers_do_not_hold_up_the_end(tmp_path: Path) -> None:
    async with running(tmp_path, drain_deadline=1e6) as agent:
        idle = await asyncio.open_connection("127.0.0.1", agent.port)
        half = await asyncio.open_connection("127.0.0.1", agent.port)
        half[1].write(b"GET /v1/health HTTP/1.1\r\nHo")
        used = await asyncio.open_connection("127.0.0.1", agent.port)
        used[1].write(b"GET /v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await used[0].readuntil(b'"ok"}\n')
        await agent.service.stop()
        for reader, writer in (idle, half, used):
            assert await rest_of(reader) == b""
            await ended(writer)


async def test_the_end_waits_for_callers_that_take_their_answers_slowly(tmp_path: Path) -> None:
    many = desired(1, *(intent(f"web-{number}") for number in range(4_000)))
    async with running(tmp_path, drain_deadline=60.0) as agent:
        await agent.put(many)
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        caller.connect(("127.0.0.1", agent.port))
        reader, writer = await asyncio.open_connection(sock=caller, limit=1024)
        writer.write(b"GET /v1/desired HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        stopping = asyncio.create_task(agent.service.stop())
        await asyncio.sleep(0.1)
        assert (await rest_of(reader)).endswith(b"\r\n0\r\n\r\n")
        await ended(writer)
        await stopping
