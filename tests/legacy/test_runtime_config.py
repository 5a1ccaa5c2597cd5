"""Runtime configurations: switched here, or forwarded to Gthulhu's daemon, and told as they are."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
from agent_harness import FakeKernel, FakeScanner, Harness, desired, running, settings, snapshot
from agent_harness import intent as ours
from aiohttp import web
from decision_maker_client import Answered, Client, intent
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent import reverting
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.legacy.runtime_config import BadConfig, RuntimeConfig, as_json, normal, of_json
from gthulhu_agent.legacy.runtime_file import NAME, Damaged, Kept, RuntimeFile

ON = {"configVersion": "1", "mode": "gthulhu", "kernelMode": True, "builtinIdle": True, "monitoringEnabled": True}
OFF = {"configVersion": "2", "mode": "none"}


async def _apply(client: Client, config: Mapping[str, object]) -> Answered:
    return await client.call("POST", "/api/v1/runtime-config", config)


async def _status(client: Client) -> dict[str, Any]:
    data = (await client.call("GET", "/api/v1/runtime-config")).body["data"]
    assert isinstance(data, dict)
    return data


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


async def test_mode_none_puts_everything_back_until_gthulhu_is_set(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await agent.put(desired(1, ours()))
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await _apply(client, OFF)).status == 200
        assert agent.kernel.reverts == 1
        status, ready = await agent.get("/v1/ready")
        assert (status, [reason["type"] for reason in ready["reasons"]]) == (503, ["SwitchedOff"])
        await agent.next_pass()
        wishes = len(agent.kernel.wishes)
        await agent.next_pass()
        assert len(agent.kernel.wishes) == wishes
        assert (await _apply(client, {**ON, "configVersion": "3"})).status == 200
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await agent.get("/v1/ready"))[0] == 200


async def test_mode_none_outlives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, ours()))
        await _apply(Client(agent), OFF)
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.wishes == []
        status = await _status(Client(agent))
        assert (status["configVersion"], status["mode"], status["applied"]) == ("2", "none", True)
        await _apply(Client(agent), {**ON, "configVersion": "3"})
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}


async def test_resume_ends_what_a_client_switched_off(tmp_path: Path) -> None:
    """It answered 200, and everything stayed off."""
    async with running(tmp_path) as agent:
        client = Client(agent)
        await agent.put(desired(1, ours()))
        await _apply(client, OFF)
        await agent.post("/v1/revert")
        await agent.post("/v1/resume")
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await agent.get("/v1/ready"))[0] == 200
        assert (await _status(client))["configAvailable"] is False
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}


async def test_resume_that_cannot_be_remembered_changes_nothing(tmp_path: Path) -> None:
    class Stuck(Disk):
        def remove(self, path: Path) -> None:
            if path.name == NAME:
                raise OSError(30, "Read-only file system")
            super().remove(path)

    async with running(tmp_path, disk=Stuck()) as agent:
        await _apply(Client(agent), OFF)
        status, refusal = await agent.post("/v1/resume")
        assert (status, refusal["code"]) == (507, "not-stored")
        assert (await _status(Client(agent)))["applied"] is True
        assert (await agent.get("/v1/ready"))[0] == 503


def test_resume_without_a_running_agent_ends_it_too(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    RuntimeFile(folder).save(Kept(RuntimeConfig("1", "gthulhu"), 7))
    reverting.resume(settings(tmp_path))
    assert RuntimeFile(folder).load() is not None
    RuntimeFile(folder).save(Kept(RuntimeConfig("2", "none"), 7))
    reverting.resume(settings(tmp_path))
    assert RuntimeFile(folder).load() is None


@pytest.mark.parametrize("how", ["off", "reverted"])
async def test_intents_say_why_nothing_is_enforced(tmp_path: Path, how: str) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, ours()))
        await (_apply(Client(agent), OFF) if how == "off" else agent.post("/v1/revert"))
        (row,) = (await agent.get("/v1/state"))[1]["intents"]
        (told,) = [one for one in row["refused"] if one["what"] == "enforcement"]
        assert ("mode none" in told["why"], "resume" in told["cure"]) == (how == "off", True)
        await agent.post("/v1/resume")
        assert (await agent.get("/v1/state"))[1]["intents"][0]["refused"] == []


async def _sent(agent: Harness) -> dict[str, int]:
    return {"intents": (await Client(agent).send(intent())).status, "off": (await _apply(Client(agent), OFF)).status}


@pytest.mark.parametrize("held", [True, False])
async def test_what_a_client_switched_off_is_enforced_again_when_another_owner_takes_the_node(
    tmp_path: Path, held: bool
) -> None:
    """Mode none, which any token may set, stayed in force for the control plane's set."""
    async with running(tmp_path) as agent:
        if held:
            assert await _sent(agent) == {"intents": 200, "off": 200}
        else:
            await _apply(Client(agent), OFF)
        assert (await agent.put(desired(5, ours()), query="?adopt=true"))[0] == 200
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await _status(Client(agent)))["configAvailable"] is False
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}


async def test_what_stayed_on_the_disk_is_void_for_the_new_owner(tmp_path: Path) -> None:
    """Also where the agent is killed after it took the set and before it dropped the configuration."""

    class Stuck(Disk):
        def remove(self, path: Path) -> None:
            if path.name == NAME:
                raise OSError(30, "Read-only file system")
            super().remove(path)

    async with running(tmp_path, disk=Stuck()) as agent:
        await _sent(agent)
        await agent.put(desired(5, ours()), query="?adopt=true")
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
    assert RuntimeFile(tmp_path / "state").load() == Kept(RuntimeConfig("2", "none"), ANY, "legacy")
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}
        assert (await _status(Client(agent)))["configAvailable"] is False


async def test_a_configuration_that_comes_while_the_node_is_taken_is_void(tmp_path: Path) -> None:
    class Slow(Disk):
        def rename(self, source: Path, target: Path) -> None:
            if target.name == NAME:
                reached.set()
                assert goes_on.wait(20)
            super().rename(source, target)

    reached, goes_on = threading.Event(), threading.Event()
    async with running(tmp_path, disk=Slow()) as agent:
        await Client(agent).send(intent())
        off = asyncio.create_task(_apply(Client(agent), OFF))
        await asyncio.to_thread(reached.wait)
        put = asyncio.create_task(agent.put(desired(5, ours()), query="?adopt=true"))
        await agent.until("/v1/digest", lambda held: held["owner"] != "legacy")
        goes_on.set()
        assert ((await off).status, (await put)[0]) == (400, 200)
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await _status(Client(agent)))["configAvailable"] is False
    assert RuntimeFile(tmp_path / "state").load() is None


async def test_a_client_that_adopts_keeps_what_it_set(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, ours()))
        await _apply(Client(agent), OFF)
        assert (await Client(agent).send(intent(), query="?adopt=true")).status == 200
        assert (await _status(Client(agent)))["mode"] == "none"
        assert (await agent.get("/v1/ready"))[0] == 503


async def test_what_was_reverted_is_not_told_as_applied(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await _apply(client, ON)
        assert (await _status(client))["applied"] is True
        await agent.post("/v1/revert")
        status = await _status(client)
        assert status["applied"] is False
        assert "reverted" in status["lastError"] or "put back" in status["lastError"]


async def test_what_the_kernel_keeps_is_told(tmp_path: Path) -> None:
    class Stubborn(FakeKernel):
        def revert(self) -> int:
            raise PermissionError(1, "no")

    async with running(tmp_path, kernel=Stubborn()) as agent:
        client = Client(agent)
        assert (await _apply(client, OFF)).status == 200
        status = await _status(client)
        assert (status["applied"], status["mode"]) == (False, "none")
        assert "could be put back" in status["lastError"]


async def test_what_the_kernel_kept_is_put_back_when_a_client_says_it_again(tmp_path: Path) -> None:
    """A Manager sends the same configuration until it is applied; the second one did nothing."""

    class Reluctant(FakeKernel):
        def revert(self) -> int:
            if not self.reverts:
                self.reverts += 1
                raise PermissionError(1, "no")
            return super().revert()

    async with running(tmp_path, kernel=Reluctant()) as agent:
        client = Client(agent)
        await _apply(client, OFF)
        assert (await _status(client))["applied"] is False
        await _apply(client, OFF)
        assert (await _status(client))["applied"] is True


async def test_w20_flags_can_be_switched_off(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await _apply(client, ON)
        await _apply(client, {**ON, "configVersion": "2", "kernelMode": False, "builtinIdle": False})
        status = await _status(client)
    assert (status["kernelMode"], status["builtinIdle"], status["monitoringEnabled"]) == (False, False, True)


async def test_w20_flags_are_sent_on_as_false(tmp_path: Path) -> None:
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await _apply(client, ON)
        assert (await _status(client))["kernelMode"] is True
        await _apply(client, {"configVersion": "2", "mode": "scx", "schedulerName": "scx_rusty"})
        status = await _status(client)
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
        await _apply(client, ON)
        gthulhu.config["mode"] = "simple"
        assert (await _status(client))["mode"] == "simple"
        gthulhu.answers = 500
        status = await _status(client)
        assert (status["applied"], status["mode"]) == (False, "gthulhu")
        assert "500" in status["lastError"]
        refused = await _apply(client, {**ON, "configVersion": "9"})
        assert (refused.status, refused.body["error"]) == (400, "Failed to apply runtime config")
        assert (await _status(client))["configVersion"] == "1"


async def test_a_daemon_whose_answer_comes_in_pieces_is_heard_out(tmp_path: Path) -> None:
    """Only what had arrived by then was read, and a working daemon was said to answer no status."""
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await _apply(client, ON)
        gthulhu.slow = True
        status = await _status(client)
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
        refused = await _apply(client, ON)
        assert (refused.status, refused.body["error"]) == (400, "Failed to apply runtime config")
        assert (await _status(client))["configAvailable"] is False


@pytest.mark.parametrize("told", NO_STATUS)
async def test_a_daemon_that_tells_garbage_is_told_as_an_error(tmp_path: Path, told: bytes) -> None:
    """A field that was nested deeply or endless made it a fault of the agent."""
    async with daemon() as gthulhu, running(tmp_path, daemon_endpoint=gthulhu.url) as agent:
        client = Client(agent)
        await _apply(client, ON)
        gthulhu.told = told
        status = await _status(client)
        assert (status["applied"], status["mode"]) == (False, "gthulhu")
        assert gthulhu.url in status["lastError"]


async def test_a_daemon_that_is_not_there_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, daemon_endpoint="http://127.0.0.1:1") as agent:
        client = Client(agent)
        assert (await _apply(client, ON)).status == 400
        status = await _status(client)
        assert (status["applied"], status["configAvailable"]) == (False, False)
        assert "cannot be reached" in status["lastError"]


@pytest.mark.parametrize("mode", ["simple", "scx"])
async def test_other_schedulers_need_a_daemon(tmp_path: Path, mode: str) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        config = {"configVersion": "1", "mode": mode, "schedulerName": "scx_rusty"}
        assert (await _apply(client, config)).status == 400
        assert (await _status(client))["configAvailable"] is False


async def test_one_version_with_other_content_is_another_configuration(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(snapshot("uid-1"))) as agent:
        client = Client(agent)
        await _apply(client, ON)
        await _apply(client, {**ON, "kernelMode": False})
        assert (await _status(client))["kernelMode"] is False


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        (RuntimeConfig("1"), ("none", "", False)),
        (RuntimeConfig("1", scheduler_enabled=True), ("gthulhu", "", True)),
        (RuntimeConfig("1", " gthulhu ", "scx_x"), ("gthulhu", "", True)),
        (RuntimeConfig("1", "simple", "scx_x"), ("simple", "", True)),
        (RuntimeConfig("1", "none", "scx_x", scheduler_enabled=True), ("none", "", False)),
        (RuntimeConfig("1", "scx", " scx_lavd "), ("scx", "scx_lavd", True)),
    ],
)
def test_a_mode_brings_its_name_and_its_switch(said: RuntimeConfig, wanted: tuple[str, str, bool]) -> None:
    config = normal(said)
    assert (config.mode, config.scheduler, config.scheduler_enabled) == wanted
    assert normal(config) == config


@pytest.mark.parametrize(
    "said",
    [
        RuntimeConfig(),
        RuntimeConfig("1", "fast"),
        RuntimeConfig("1", "scx"),
        RuntimeConfig("1", "scx", "rusty"),
        RuntimeConfig("1", "scx", "scx_/../sh"),
        RuntimeConfig("1", "scx", "scx_\\x"),
        RuntimeConfig("v" * 2000),
    ],
)
def test_what_means_nothing_is_refused(said: RuntimeConfig) -> None:
    with pytest.raises(BadConfig):
        normal(said)


configs = st.builds(
    RuntimeConfig,
    st.text(max_size=5),
    st.text(max_size=5),
    st.text(max_size=5),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    *[st.booleans()] * 6,
)


@given(configs)
def test_what_is_said_in_json_is_read_back(config: RuntimeConfig) -> None:
    assert of_json(as_json(config)) == config


@pytest.mark.parametrize("said", [{"mode": 1}, {"kernelMode": "yes"}, {"sliceNsMin": True}, {"configVersion": []}])
def test_a_daemons_field_of_another_type_is_no_configuration(said: dict[str, object]) -> None:
    with pytest.raises(TypeError):
        of_json(said)


@given(configs, st.integers(0, 2**40))
def test_what_is_kept_is_what_was_applied(
    tmp_path_factory: pytest.TempPathFactory, config: RuntimeConfig, at: int
) -> None:
    file = RuntimeFile(tmp_path_factory.mktemp("kept"))
    assert file.load() is None
    file.save(Kept(config, at))
    assert file.load() == Kept(config, at)


def test_a_damaged_file_is_told_and_not_guessed(tmp_path: Path) -> None:
    file = RuntimeFile(tmp_path)
    file.save(Kept(RuntimeConfig("1", "none"), 7))
    data = bytearray((tmp_path / NAME).read_bytes())
    data[70] ^= 1
    (tmp_path / NAME).write_bytes(data)
    with pytest.raises(Damaged):
        file.load()


async def test_a_configuration_that_was_lost_is_told(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    (tmp_path / "state" / NAME).write_bytes(b"damaged")
    async with running(tmp_path) as agent:
        client = Client(agent)
        status = await _status(client)
        assert (status["applied"], status["configAvailable"]) == (False, False)
        assert "lost" in status["lastError"]
        await _apply(client, ON)
        assert "lastError" not in await _status(client)


def test_what_cannot_be_written_leaves_the_former(tmp_path: Path) -> None:
    class Full(Disk):
        def sync(self, fd: int) -> None:
            raise OSError(28, f"No space left on device for {fd}")

    RuntimeFile(tmp_path).save(Kept(RuntimeConfig("1"), 7))
    with pytest.raises(NotStored):
        RuntimeFile(tmp_path, Full()).save(Kept(RuntimeConfig("2"), 8))
    assert RuntimeFile(tmp_path).load() == Kept(RuntimeConfig("1"), 7)


def test_every_flag_is_said_also_when_it_is_off() -> None:
    said = as_json(RuntimeConfig("1", "none"))
    assert [key for key, value in said.items() if value is False] == [
        "kernelMode",
        "maxTimeWatchdog",
        "earlyProcessing",
        "builtinIdle",
        "schedulerEnabled",
        "monitoringEnabled",
    ]
