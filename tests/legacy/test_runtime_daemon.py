"""Runtime configurations that Gthulhu's daemon is told of: as they are, and its answers for what they are."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from agent_harness import running
from aiohttp import web
from decision_maker_client import ON, Client, apply_config, config_status


@dataclass
class GthulhuDaemon:
    """Gthulhu's scheduler daemon: it keeps what is absent, as upstream's does."""

    url: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    answers: int = 200
    slow: bool = False
    told: bytes | None = None
    """What it answers in place of everything else."""

    async def post(self, request: web.Request) -> web.Response:
        """Apply."""
        if self.told is not None:
            return web.Response(body=self.told)
        body = json.loads(await request.read())
        self.bodies.append(body)
        if self.answers == 200:
            self.config |= body
        return web.json_response({"success": self.answers == 200}, status=self.answers)

    async def get(self, request: web.Request) -> web.StreamResponse:
        """Tell, byte by byte while ``slow``."""
        if self.told is not None:
            return web.Response(body=self.told)
        data = {**self.config, "applied": True, "appliedAt": "2026-01-01T00:00:00Z", "configAvailable": True}
        answer = {"success": True, "data": {**data, "restartCount": 3}}
        if not self.slow:
            return web.json_response(answer, status=self.answers)
        stream = web.StreamResponse()
        await stream.prepare(request)
        for byte in json.dumps(answer).encode():
            await stream.write(bytes((byte,)))
            await asyncio.sleep(0)
        return stream


@asynccontextmanager
async def daemon() -> AsyncIterator[GthulhuDaemon]:
    """A daemon on loopback."""
    one, app = GthulhuDaemon(), web.Application()
    app.router.add_post("/api/v1/runtime-config", one.post)
    app.router.add_get("/api/v1/status", one.get)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    one.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield one
    finally:
        await runner.cleanup()


async def test_w20_flags_are_sent_on_as_false(tmp_path: Path) -> None:
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        assert (await config_status(client))["kernelMode"] is True
        await apply_config(client, {"configVersion": "2", "mode": "scx", "schedulerName": "scx_rusty"})
        status = await config_status(client)
    assert {
        key: gthulhu.bodies[1][key] for key in ("kernelMode", "maxTimeWatchdog", "earlyProcessing", "builtinIdle")
    } == {
        "kernelMode": False,
        "maxTimeWatchdog": False,
        "earlyProcessing": False,
        "builtinIdle": False,
    }
    assert (status["kernelMode"], status["mode"], status["restartCount"]) == (False, "scx", 3)


async def test_a_daemon_is_asked_and_never_spoken_for(tmp_path: Path) -> None:
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        gthulhu.config["mode"] = "simple"
        assert (await config_status(client))["mode"] == "simple"
        gthulhu.answers = 500
        status = await config_status(client)
        assert (status["applied"], status["mode"]) == (False, "gthulhu")
        assert "500" in status["lastError"]
        refused = await apply_config(client, {**ON, "configVersion": "9"})
        assert (refused.status, refused.body["error"]) == (400, "Failed to apply runtime config")
        assert (await config_status(client))["configVersion"] == "1"


async def test_a_daemon_whose_answer_comes_in_pieces_is_heard_out(tmp_path: Path) -> None:
    """Only what had arrived by then was read, and a working daemon was said to answer no status."""
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        gthulhu.slow = True
        status = await config_status(client)
        assert (status["applied"], status["mode"]) == (True, "gthulhu")


GARBAGE = [
    b"",
    b"null",
    b"[]",
    b'"yes"',
    b"\xff\xfe",
    b'{"success":true',
    b"[" * 60_000,
    b'{"a":' * 12_000,
    b'{"success":1,"data":{}}',
    b'{"success":null,"data":null}',
    b'{"success":false,"error":"no"}',
]
NO_STATUS = [
    *GARBAGE,
    b'{"success":true}',
    b'{"success":true,"data":[]}',
    b'{"success":true,"data":{"restartCount":1e999}}',
    b'{"success":true,"data":{"restartCount":Infinity}}',
    b'{"success":true,"data":{"restartCount":"3"}}',
    b'{"success":true,"data":{"configVersion":' + b"[" * 400 + b"]" * 400 + b"}}",
    b'{"success":true,"data":{"configAvailable":true,"mode":' + b"[" * 900 + b"]" * 900 + b"}}",
    b'{"success":true,"data":{"configAvailable":true,"sliceNsMin":' + b"9" * 5000 + b"}}",
]


@pytest.mark.parametrize("told", GARBAGE)
async def test_a_daemon_that_answers_garbage_applied_nothing(tmp_path: Path, told: bytes) -> None:
    """Whatever came with status 200 was success."""
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client, gthulhu.told = Client(agent), told
        refused = await apply_config(client, ON)
        assert (refused.status, refused.body["error"]) == (400, "Failed to apply runtime config")
        assert (await config_status(client))["configAvailable"] is False


@pytest.mark.parametrize("told", NO_STATUS)
async def test_a_daemon_that_tells_garbage_is_told_as_an_error(tmp_path: Path, told: bytes) -> None:
    """A field that was nested deeply or endless made it a fault of the agent."""
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        gthulhu.told = told
        status = await config_status(client)
        assert (status["applied"], status["mode"]) == (False, "gthulhu")
        assert gthulhu.url in status["lastError"]


async def test_a_daemon_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, daemon_endpoint="http://127.0.0.1:1") as agent:
        client = Client(agent)
        assert (await apply_config(client, ON)).status == 400
        status = await config_status(client)
        assert (status["applied"], status["configAvailable"]) == (False, False)
        assert "cannot be reached" in status["lastError"]


@pytest.mark.parametrize("mode", ["simple", "scx"])
async def test_other_schedulers_need_a_daemon(tmp_path: Path, mode: str) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        config = {"configVersion": "1", "mode": mode, "schedulerName": "scx_rusty"}
        assert (await apply_config(client, config)).status == 400
        assert (await config_status(client))["configAvailable"] is False
