"""Runtime configurations: switched on and off here, kept over restarts and owners, and told as they are."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from unittest.mock import ANY

import pytest
from agent_harness import FakeKernel, FakeScanner, Harness, desired, running, settings, snapshot
from agent_harness import intent as ours
from decision_maker_client import OFF, ON, Client, apply_config, config_status, intent
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent import reverting
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.legacy.runtime_config import BadConfig, RuntimeConfig, as_json, normal, of_json
from gthulhu_agent.legacy.runtime_file import NAME, Damaged, Kept, RuntimeFile


async def test_mode_none_puts_everything_back_until_gthulhu_is_set(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await agent.put(desired(1, ours()))
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await apply_config(client, OFF)).status == 200
        assert agent.kernel.reverts == 1
        status, ready = await agent.get("/v1/ready")
        assert (status, [reason["type"] for reason in ready["reasons"]]) == (503, ["SwitchedOff"])
        await agent.next_pass()
        wishes = len(agent.kernel.wishes)
        await agent.next_pass()
        assert len(agent.kernel.wishes) == wishes
        assert (await apply_config(client, {**ON, "configVersion": "3"})).status == 200
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await agent.get("/v1/ready"))[0] == 200


async def test_mode_none_outlives_a_restart(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, ours()))
        await apply_config(Client(agent), OFF)
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.wishes == []
        status = await config_status(Client(agent))
        assert (status["configVersion"], status["mode"], status["applied"]) == ("2", "none", True)
        await apply_config(Client(agent), {**ON, "configVersion": "3"})
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}


async def test_resume_ends_what_a_client_switched_off(tmp_path: Path) -> None:
    """It answered 200, and everything stayed off."""
    async with running(tmp_path) as agent:
        client = Client(agent)
        await agent.put(desired(1, ours()))
        await apply_config(client, OFF)
        await agent.post("/v1/revert")
        await agent.post("/v1/resume")
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await agent.get("/v1/ready"))[0] == 200
        assert (await config_status(client))["configAvailable"] is False
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
        await apply_config(Client(agent), OFF)
        status, refusal = await agent.post("/v1/resume")
        assert (status, refusal["code"]) == (507, "not-stored")
        assert (await config_status(Client(agent)))["applied"] is True
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
        await (apply_config(Client(agent), OFF) if how == "off" else agent.post("/v1/revert"))
        (row,) = (await agent.get("/v1/state"))[1]["intents"]
        (told,) = [one for one in row["refused"] if one["what"] == "enforcement"]
        assert ("mode none" in told["why"], "resume" in told["cure"]) == (how == "off", True)
        await agent.post("/v1/resume")
        assert (await agent.get("/v1/state"))[1]["intents"][0]["refused"] == []


async def _sent(agent: Harness) -> dict[str, int]:
    return {
        "intents": (await Client(agent).send(intent())).status,
        "off": (await apply_config(Client(agent), OFF)).status,
    }


@pytest.mark.parametrize("held", [True, False])
async def test_what_a_client_switched_off_is_enforced_again_when_another_owner_takes_the_node(
    tmp_path: Path, held: bool
) -> None:
    """Mode none, which any token may set, stayed in force for the control plane's set."""
    async with running(tmp_path) as agent:
        if held:
            assert await _sent(agent) == {"intents": 200, "off": 200}
        else:
            await apply_config(Client(agent), OFF)
        assert (await agent.put(desired(5, ours()), query="?adopt=true"))[0] == 200
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await config_status(Client(agent)))["configAvailable"] is False
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
        assert (await config_status(Client(agent)))["configAvailable"] is False


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
        off = asyncio.create_task(apply_config(Client(agent), OFF))
        await asyncio.to_thread(reached.wait)
        put = asyncio.create_task(agent.put(desired(5, ours()), query="?adopt=true"))
        await agent.until("/v1/digest", lambda held: held["owner"] != "legacy")
        goes_on.set()
        assert ((await off).status, (await put)[0]) == (400, 200)
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        assert (await config_status(Client(agent)))["configAvailable"] is False
    assert RuntimeFile(tmp_path / "state").load() is None


async def test_a_client_that_adopts_keeps_what_it_set(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, ours()))
        await apply_config(Client(agent), OFF)
        assert (await Client(agent).send(intent(), query="?adopt=true")).status == 200
        assert (await config_status(Client(agent)))["mode"] == "none"
        assert (await agent.get("/v1/ready"))[0] == 503


async def test_what_was_reverted_is_not_told_as_applied(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        assert (await config_status(client))["applied"] is True
        await agent.post("/v1/revert")
        status = await config_status(client)
        assert status["applied"] is False
        assert "reverted" in status["lastError"] or "put back" in status["lastError"]


async def test_what_the_kernel_keeps_is_told(tmp_path: Path) -> None:
    class Stubborn(FakeKernel):
        def revert(self) -> int:
            raise PermissionError(1, "no")

    async with running(tmp_path, kernel=Stubborn()) as agent:
        client = Client(agent)
        assert (await apply_config(client, OFF)).status == 200
        status = await config_status(client)
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
        await apply_config(client, OFF)
        assert (await config_status(client))["applied"] is False
        await apply_config(client, OFF)
        assert (await config_status(client))["applied"] is True


async def test_w20_flags_can_be_switched_off(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        await apply_config(client, {**ON, "configVersion": "2", "kernelMode": False, "builtinIdle": False})
        status = await config_status(client)
    assert (status["kernelMode"], status["builtinIdle"], status["monitoringEnabled"]) == (False, False, True)


async def test_one_version_with_other_content_is_another_configuration(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(snapshot("uid-1"))) as agent:
        client = Client(agent)
        await apply_config(client, ON)
        await apply_config(client, {**ON, "kernelMode": False})
        assert (await config_status(client))["kernelMode"] is False


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
        status = await config_status(client)
        assert (status["applied"], status["configAvailable"]) == (False, False)
        assert "lost" in status["lastError"]
        await apply_config(client, ON)
        assert "lastError" not in await config_status(client)


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
