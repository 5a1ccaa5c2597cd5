"""The end of an agent: what runs may finish, what trickles may not hold it up, and nobody new comes in."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import aiohttp
import pytest
from agent_harness import desired, intent, running

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
