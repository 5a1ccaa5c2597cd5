"""The loop: what is held is enforced at once, ends by itself, survives errors, and is left alone when told so."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from agent_harness import FakeKernel, FakeScanner, Harness, desired, intent, running, snapshot
from store_steps import Steps

from gthulhu_agent.clock import Clock
from gthulhu_agent.discovery.snapshot import Snapshot
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.protocol import Applied, Refused

RARELY = 3600.0
"""A scan interval after which no test waits: whatever happens, happens for another reason."""


def kinds(state: dict[str, object]) -> set[str]:
    """Conditions that stand, without the one that tests always have."""
    conditions = state["conditions"]
    assert isinstance(conditions, list)
    return {condition["type"] for condition in conditions} - {"OpenOnLoopback"}


async def condition(agent: Harness, *wanted: str) -> dict[str, object]:
    return await agent.until("/v1/state", lambda state: kinds(state) == set(wanted))


async def enforced(agent: Harness, *wanted: str) -> None:
    while True:
        if agent.kernel.enforced == set(wanted):
            return
        await asyncio.sleep(0.005)


async def test_a_new_set_is_enforced_at_once_not_at_the_next_scan(tmp_path: Path) -> None:
    async with running(tmp_path, scan_interval=RARELY) as agent:
        await agent.put(desired(1, intent("web")))
        await enforced(agent, "web")
        await agent.put(desired(2))
        await enforced(agent)


async def test_what_starts_later_is_found_by_the_scan(tmp_path: Path) -> None:
    scanner = FakeScanner(snapshot())
    async with running(tmp_path, scanner=scanner, scan_interval=0.1) as agent:
        await agent.put(desired(1, intent("web")))
        scanner.snapshot = snapshot("uid-1")
        await enforced(agent, "web")


@dataclass
class Time:
    """Wall time that a test moves."""

    seconds: float = 1_800_000_000.0

    def clock(self) -> Clock:
        """As the agent reads it."""
        return Clock(wall=lambda: self.seconds)


async def test_an_intent_ends_by_itself_without_a_scan_falling_due(tmp_path: Path) -> None:
    time = Time(1_800_000_000.9)
    async with running(tmp_path, scan_interval=RARELY, clock=time.clock()) as agent:
        await agent.put(desired(1, intent("web", ends_at=1_800_000_001), intent("other")))
        await enforced(agent, "web", "other")
        time.seconds = 1_800_000_001.0  # a tenth of a second of real time later it wakes up for it
        await enforced(agent, "other")
        rows = (await agent.get("/v1/state"))[1]["intents"]
        assert {row["policy"]["name"]: row["expired"] for row in rows} == {"web": True, "other": False}


async def test_a_thousand_passes_that_fail_one_after_the_other_do_not_end_the_agent(tmp_path: Path) -> None:
    """The rest after so many of them was a number too large for a float, which ended the loop and the process."""
    scanner = FakeScanner(error=OSError(errno.EIO, os.strerror(errno.EIO)))
    async with running(tmp_path, scanner=scanner, scan_interval=RARELY) as agent:
        engine = agent.service.engine
        for _ in range(1100):
            await engine.pass_once()
        for error in (scanner.error, None):
            scanner.error = error
            scans = scanner.scans
            engine.hold(engine.held)
            while scanner.scans == scans:  # noqa: ASYNC110 - the loop tells nobody
                await asyncio.sleep(0.002)
        await agent.until("/v1/state", lambda state: not kinds(state))


async def test_an_end_that_passed_while_the_agent_was_down_is_not_enforced_again(tmp_path: Path) -> None:
    async with running(tmp_path, clock=Time(1_800_000_000).clock()) as agent:
        await agent.put(desired(1, intent("web", ends_at=1_800_000_100)))
        await enforced(agent, "web")
    async with running(tmp_path, clock=Time(1_800_000_100).clock()) as agent:
        await condition(agent)
        assert agent.kernel.enforced == set()


@pytest.mark.parametrize("broken", ["scanner", "kernel"])
async def test_an_error_is_told_tried_again_and_forgotten(tmp_path: Path, broken: str) -> None:
    async with running(tmp_path, scan_interval=0.1) as agent:
        await agent.put(desired(1, intent("web")))
        await condition(agent)
        part = agent.scanner if broken == "scanner" else agent.kernel
        part.error = OSError(errno.EIO, os.strerror(errno.EIO))
        state = await condition(agent, "EnforcementFailed")
        assert "Input/output error" in str(state)
        assert (await agent.get("/v1/ready"))[0] == 503
        part.error = None
        await condition(agent)
        assert (await agent.get("/v1/ready"))[0] == 200


async def test_a_scan_that_saw_less_says_so_and_does_not_take_readiness(tmp_path: Path) -> None:
    scanner = FakeScanner(Snapshot(snapshot("uid-1").groups, incomplete=("/sys/fs/cgroup/x: Permission denied",)))
    async with running(tmp_path, scanner=scanner) as agent:
        state = await condition(agent, "DiscoveryIncomplete")
        assert "Permission denied" in str(state)
        assert (await agent.get("/v1/ready"))[0] == 200


@pytest.mark.parametrize("incomplete", [(), ("/sys/fs/cgroup/x: Too many open files",)])
async def test_a_scan_that_saw_less_puts_nothing_back(tmp_path: Path, incomplete: tuple[str, ...]) -> None:
    """One failed read of a cgroup put all of its threads back, and the next scan set them again."""
    kernel, scanner = FakeKernel(), FakeScanner(Snapshot((), incomplete=incomplete))
    async with running(tmp_path, kernel=kernel, scanner=scanner) as agent:
        assert (await agent.put(desired(1, intent("web"))))[0] == 200
        await agent.until("/v1/state", lambda value: value["passedGeneration"] == 1)
        assert {key[2] for key in kernel.unsure} == ({"web"} if incomplete else set())


class Limited(FakeKernel):
    """Takes nothing."""

    def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
        """Refuse all of it, and say that the journal is gone."""
        applied = super().apply(bindings, unsure=unsure)
        refused = Refused("slice", "the kernel is older than 6.12", "a newer kernel")
        states = {key: replace(state, enforced=False, refused=(refused,)) for key, state in applied.intents.items()}
        return Applied(states, conditions=("the journal was damaged",))


async def test_what_the_kernel_refuses_is_told_by_intent_and_as_a_condition(tmp_path: Path) -> None:
    async with running(tmp_path, kernel=Limited()) as agent:
        await agent.put(desired(1, intent("web")))
        state = await condition(agent, "EnforcerLimited", "EnforcerAiling")
        assert (await agent.get("/v1/ready"))[0] == 200
        row = (await agent.get("/v1/state"))[1]["intents"][0]
        assert row["refused"] == [{"what": "slice", "why": "the kernel is older than 6.12", "cure": "a newer kernel"}]
        assert row["enforcedSince"] is None
        assert "older than 6.12" in str(state)


async def test_revert_puts_back_and_keeps_hands_off_over_pushes_and_restarts(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        await enforced(agent, "web")
        assert (await agent.post("/v1/revert"))[1] == {"node": "node-1", "restored": 1, "warning": ""}
        wishes = len(agent.kernel.wishes)
        assert (await agent.put(desired(2, intent("web"), intent("more"))))[0] == 200
        await agent.next_pass()
        state = await condition(agent, "Reverted")
        assert (len(agent.kernel.wishes), agent.kernel.reverts) == (wishes, 1)
        assert [row["enforcedSince"] for row in (await agent.get("/v1/state"))[1]["intents"]] == [None, None]
        assert state["generation"] == 2
    async with running(tmp_path) as agent:
        await condition(agent, "Reverted")
        assert agent.kernel.wishes == []
        assert (await agent.post("/v1/resume"))[0] == 200
        await enforced(agent, "web", "more")
    async with running(tmp_path) as agent:
        await enforced(agent, "web", "more")


async def test_a_revert_that_cannot_be_remembered_is_done_all_the_same(tmp_path: Path) -> None:
    def no_space() -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    disk = Steps()
    async with running(tmp_path, disk=disk) as agent:
        await condition(agent)
        disk._at, disk._instead = len(disk.names_of_steps), no_space
        _, told = await agent.post("/v1/revert")
        assert agent.kernel.reverts == 1
        assert "No space left" in told["warning"]
        await condition(agent, "Reverted")


async def test_a_full_disk_keeps_what_holds_says_so_and_recovers_by_itself(tmp_path: Path) -> None:
    full = False

    class Full(Steps):
        def write(self, fd: int, data: bytes) -> None:
            """No space while ``full``."""
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().write(fd, data)

    async with running(tmp_path, disk=Full()) as agent:
        await agent.put(desired(1, intent("web")))
        full = True
        status, refusal = await agent.put(desired(2))
        assert (status, refusal["code"], refusal["holds"]["generation"]) == (507, "not-stored", 1)
        assert "No space left" in refusal["message"]
        await condition(agent, "StoreUnwritable")
        assert (await agent.get("/v1/ready"))[0] == 503
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}
        full = False
        assert (await agent.put(desired(2)))[0] == 200
        await condition(agent)


async def test_a_folder_that_cannot_be_written_to_still_enforces_what_it_holds(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))

    class ReadOnly(Steps):
        def create(self, path: Path) -> int:
            """As on a file system that was mounted read-only again."""
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

    async with running(tmp_path, disk=ReadOnly()) as agent:
        await condition(agent, "StoreUnwritable")
        await enforced(agent, "web")
        assert (await agent.put(desired(2)))[0] == 507


async def test_a_damaged_newest_set_leaves_the_older_enforced_and_not_ready_until_the_next(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("old")))
        await agent.put(desired(2, intent("new")))
    newest = max((tmp_path / "state").glob("desired-*.jsonl"))
    newest.write_bytes(newest.read_bytes()[:-1])
    async with running(tmp_path) as agent:
        await condition(agent, "StoreDamaged")
        await enforced(agent, "old")
        assert (await agent.get("/v1/ready"))[0] == 503
        assert (await agent.get("/v1/digest"))[1]["damaged"] is True
        assert (await agent.put(desired(2, intent("late"))))[1]["code"] == "stale-generation"
        status, held = await agent.put(desired(3, intent("new")))
        assert (status, held["damaged"]) == (200, False)
        await condition(agent)
        assert (await agent.get("/v1/ready"))[0] == 200
        assert (await agent.get("/v1/digest"))[1] == held


async def test_when_what_held_is_unknown_the_kernel_is_left_as_it_is(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
    for path in (tmp_path / "state").glob("desired-*.jsonl"):
        path.write_bytes(b"")
    async with running(tmp_path) as agent:
        await condition(agent, "StoreDamaged")
        await agent.next_pass()
        assert agent.kernel.wishes == []  # an empty wish would put everything back
        await agent.put(desired(2, intent("web")))
        await enforced(agent, "web")


async def test_stopping_leaves_what_is_enforced(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        await enforced(agent, "web")
        kernel = agent.kernel
    assert kernel.reverts == 0
    assert kernel.enforced == {"web"}


async def test_a_push_whose_caller_went_away_is_whole_in_memory_and_on_disk(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        push = asyncio.create_task(agent.service.agent.push(desired(1, intent("web")), "d" * 64))
        await asyncio.sleep(0)
        push.cancel()
        with pytest.raises(asyncio.CancelledError):
            await push
        digest = await agent.until("/v1/digest", lambda value: value["generation"] == 1)
        assert digest["owner"] == "main"


async def test_enforcement_does_not_hold_up_answers(tmp_path: Path) -> None:
    gate = threading.Event()

    class Stuck(FakeKernel):
        def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
            """Wait as long as the test does."""
            gate.wait(60)
            return super().apply(bindings, unsure=unsure)

    async with running(tmp_path, kernel=Stuck()) as agent:
        assert (await agent.put(desired(1, intent("web"))))[0] == 200
        assert (await agent.get("/v1/digest"))[1]["generation"] == 1
        assert (await agent.get("/v1/ready"))[1]["reasons"][0]["type"] == "Starting"
        gate.set()
        await enforced(agent, "web")
