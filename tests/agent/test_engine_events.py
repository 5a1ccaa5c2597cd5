"""Quick passes: what is told of is seen to at once, alone, and a whole pass follows whatever cannot be told."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pytest
from agent_harness import FakeKernel, intent
from engine_world import ALL, OTHER, OTHER_UID, POD, RARELY, UID, WEB, FakeEvents, world
from recorded_host import V2, FakeHost

from gthulhu_agent.clock import Clock
from gthulhu_agent.discovery.events.event import Event, Kind, Watch
from gthulhu_agent.discovery.members import Members
from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Applied
from gthulhu_agent.engine import Engine
from gthulhu_agent.errors import BpfError
from gthulhu_agent.state import ConditionKind, Conditions, Held


async def test_a_new_process_is_seen_to_without_a_whole_pass(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        passes = here.engine.tally.passes
        here.host.run(101, "worker", WEB, threads={102: ("pool", 1001)})
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101, 102)
        ((binding,), threads) = here.kernel.hastened[0]
        assert threads == {TaskId(101, 1000), TaskId(102, 1001)}
        assert {process.id.tid for process in binding.group.processes} == {100, 101}
        assert here.engine.tally.passes == passes
        assert here.engine.quick.hastened == 2


async def test_what_a_quick_pass_found_is_known_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until(lambda: _pids(here.engine) >= {101})
        last = here.engine.last
        assert last is not None
        assert {process.id.tid for one in last.bindings for process in one.group.processes} == {100, 101}


def _pids(engine: Engine) -> set[int]:
    return set() if engine.last is None else {process.id.tid for process in engine.last.snapshot.processes()}


async def test_threads_that_are_born_while_their_process_is_looked_at_are_seen_to(tmp_path: Path) -> None:
    class Growing(FakeKernel):
        def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
            """A thread is born of one that was not set yet."""
            if not self.hastened:
                host.change(101, threads={102: ("late", 1001)})
            return super().hasten(bindings, threads)

    async with world(tmp_path, kernel=Growing()) as here:
        host = here.host
        host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101, 102)
        assert here.kernel.hastened[1][1] == {TaskId(102, 1001)}


@pytest.mark.parametrize("precise", [True, False])
async def test_what_a_process_forked_before_it_was_set_is_seen_to_though_no_fork_is_told(
    tmp_path: Path, precise: bool
) -> None:
    """A server that forked its workers at once left them as they were born, where forks are not told one by one."""

    class Forking(FakeKernel):
        def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
            """Its process has forked meanwhile, and its child too."""
            if not self.hastened:
                for parent, child in ((101, 102), (102, 103)):
                    host.run(child, "worker", WEB, ppid=parent)
                    (host.proc / f"{parent}/task/{parent}/children").write_text(f"{child} ")
            return super().hasten(bindings, threads)

    async with world(tmp_path, kernel=Forking(), precise=precise) as here:
        host = here.host
        host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101, 102, 103)


async def test_what_no_intent_is_for_is_left_alone(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.host.run(201, "stranger", f"{OTHER}/{'b2' * 32}")
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 201, 201), Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101)
        assert 201 not in _pids(here.engine) - {200}
        assert all(thread.tid != 201 for _, threads in here.kernel.hastened for thread in threads)


async def test_a_whole_pass_follows_within_the_interval(tmp_path: Path) -> None:
    async with world(tmp_path, interval=0.1) as here:
        passes = here.engine.tally.passes
        here.events.tell(Event(Kind.EXIT, 100, 100))
        await here.until(lambda: here.engine.tally.passes > passes)


async def test_while_nothing_is_told_passes_are_rare(tmp_path: Path) -> None:
    async with world(tmp_path, interval=0.01) as here:
        assert here.engine._rest() >= 30.0


async def test_an_exec_does_not_wait_for_a_scan_that_runs_and_stays_as_it_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scan of 10,000 threads kept every exec of the node waiting for a quarter of a second."""
    begun, during = threading.Event(), threading.Event()
    visit = Members._visit

    def slow(members: Members, cgroup: str) -> tuple[str, list[int]] | None:
        if cgroup == "/" and not begun.is_set():
            here.host.run(101, "worker", WEB)  # whose cgroup was visited
            begun.set()
            while not any(TaskId(101, 1000) in threads for _, threads in here.kernel.hastened):
                members._between()
            during.set()
        return visit(members, cgroup)

    async with world(tmp_path) as here:
        monkeypatch.setattr(Members, "_visit", slow)
        passing = asyncio.create_task(here.engine.pass_once())
        await here.until(begun.is_set)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await passing
        assert during.is_set()
        last = here.engine.last
        assert last is not None
        assert {process.id.tid for one in last.bindings for process in one.group.processes} == {100, 101}


async def test_what_ends_untold_is_found_by_passes_that_are_less_rare(tmp_path: Path) -> None:
    """The connector tells no exits: a number that is another's by then must not be listed as a pod's for long."""
    async with world(tmp_path, interval=0.01, precise=False) as here:
        assert 10.0 <= here.engine._rest() < 30.0


async def test_what_is_told_without_end_is_read_at_a_bounded_share(tmp_path: Path) -> None:
    """Reading was charged to nobody: storms in many pods at once took as much of a CPU as they liked."""
    async with world(tmp_path) as here:
        quick = here.engine._quick
        assert quick is not None
        quick._reads.charge(RARELY)
        here.events.tell(Event(Kind.BUSY, cgroup=here.number(WEB)))
        await here.until(lambda: quick._read_on is not None)
        here.events.tell(Event(Kind.CROWDED, cgroup=here.number(WEB)))
        await asyncio.sleep(0.02)
        assert here.engine.quick.crowded == 0
        quick._stop_reading()
        quick._listen()
        await here.until(lambda: here.engine.quick.crowded == 1)


async def test_a_storm_of_forks_is_left_to_the_next_whole_pass(tmp_path: Path) -> None:
    """Each window of a fork bomb had its pod looked at whole."""
    async with world(tmp_path, interval=0.01) as here:
        await here.until(lambda: here.engine.quick.passes)  # at what is watched from now on
        passes, quick = here.engine.tally.passes, here.engine.quick.passes
        here.events.tell(Event(Kind.BUSY, cgroup=here.number(WEB)))
        await here.until(lambda: here.engine.tally.passes > passes)
        assert here.engine.quick.passes == quick


async def test_lost_events_bring_a_whole_pass_soon_and_are_counted(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        passes = here.engine.tally.passes
        here.host.run(101, "worker", WEB)
        here.events.tell(lost=7)
        await here.until(lambda: here.engine.tally.passes > passes)
        assert here.engine.quick.lost == 7
        assert 101 in _pids(here.engine)


async def test_a_crowded_cgroup_is_looked_at_whole(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.host.run(101, "worker", WEB)
        here.host.run(102, "worker", WEB)
        here.events.tell(Event(Kind.CROWDED, cgroup=here.number(WEB)))
        await here.until_hastened(101, 102)
        assert here.engine.quick.crowded == 1


async def test_an_exec_does_not_wait_for_a_storms_share(tmp_path: Path) -> None:
    """The loop slept until the storm's share was filled again, and every exec of the node with it."""
    async with world(tmp_path) as here:
        crowd = Event(Kind.CROWDED, cgroup=here.number(WEB))
        assert here.engine._quick is not None
        here.events.tell(crowd)
        await here.until(lambda: here.engine.quick.crowded == 1 and here.engine.quick.passes > 1)
        here.engine._quick._heard._crowds.duty.charge(RARELY)
        here.events.tell(crowd)
        await here.until(lambda: here.engine.quick.crowded == 2)
        await asyncio.sleep(0.02)  # it goes to sleep until there is a share for it
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101)


async def test_a_crowd_where_nobody_knows_brings_a_whole_pass(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        passes = here.engine.tally.passes
        here.events.tell(Event(Kind.CROWDED, cgroup=4711))
        await here.until(lambda: here.engine.tally.passes > passes)


async def test_watched_are_the_pods_that_have_intents(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        assert here.events.watched[here.number(POD)] == ALL
        assert here.events.watched[here.number(WEB)] == ALL
        assert here.events.watched[here.number("/kubepods/burstable")] == Watch.CGROUPS
        assert here.number(OTHER) not in here.events.watched


async def test_a_new_set_is_watched_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.engine.hold(Held(generation=2, intents=(intent("web", pod=OTHER_UID),), since=(0,)))
        await here.until(lambda: here.events.watched.get(here.number(OTHER)) == ALL)
        assert here.number(POD) not in here.events.watched


async def test_a_new_pod_whose_intents_are_held_is_watched_at_once_and_looked_at_after(tmp_path: Path) -> None:
    """What execs between the making of a cgroup and the watching of it is told to nobody."""
    new = "40da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
    pod, container = f"/kubepods/burstable/pod{new}", f"/kubepods/burstable/pod{new}/{'c3' * 32}"

    class Late(FakeEvents):
        def watch(self, cgroups: Mapping[int, Watch]) -> None:
            """A process begins when it is watched and not before: only a look afterwards finds it."""
            super().watch(cgroups)
            if made and not begun and number(pod) in cgroups:
                begun.append(True)
                host.run(300, "app", container)

    made: list[bool] = []
    begun: list[bool] = []
    async with world(tmp_path, intent("web", pod=UID), intent("new", pod=new)) as here:
        host, number = here.host, here.number
        here.events.__class__ = Late
        host.cgroup(host.mounts[0], pod)
        made.append(True)
        here.events.tell(Event(Kind.CGROUP_MADE, cgroup=number(pod), parent=number("/kubepods/burstable")))
        await here.until_hastened(300)
        assert here.events.watched[number(pod)] == ALL


async def test_what_is_found_to_be_watched_by_a_pass_is_looked_at_once_more(tmp_path: Path) -> None:
    class Sly(FakeEvents):
        def watch(self, cgroups: Mapping[int, Watch]) -> None:
            """A process has begun after the scan and before it is watched."""
            super().watch(cgroups)
            if number(OTHER) in cgroups and 210 not in host.processes:
                host.run(210, "sly", f"{OTHER}/{'b2' * 32}")

    async with world(tmp_path) as here:
        host, number = here.host, here.number
        here.events.__class__ = Sly
        here.engine.hold(Held(generation=2, intents=(intent("web", pod=OTHER_UID),), since=(0,)))
        await here.until_hastened(210)


async def test_hands_are_kept_off_by_quick_passes_too(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        await here.engine.revert()
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until(lambda: 101 in _pids(here.engine))
        assert here.kernel.hastened == []


async def test_events_that_fail_leave_scans_and_say_so(tmp_path: Path) -> None:
    async with world(tmp_path, interval=0.05) as here:
        here.events.fail()
        await here.until(lambda: ConditionKind.EVENTS_UNAVAILABLE in here.conditions)
        assert here.events.closed
        assert here.engine.events is None
        here.host.run(101, "worker", WEB)
        await here.until(lambda: 101 in _pids(here.engine))


async def test_a_new_pod_that_cannot_be_watched_leaves_scans_and_says_so(tmp_path: Path) -> None:
    """Its error ended the hearing without a word, and the agent relied on what it heard no more."""
    new = "40da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
    pod = f"/kubepods/burstable/pod{new}"

    class Full(FakeEvents):
        def watch(self, cgroups: Mapping[int, Watch]) -> None:
            """There is no room for one more."""
            if number(pod) in cgroups:
                raise BpfError("watching 2 cgroups: Argument list too long")
            super().watch(cgroups)

    async with world(tmp_path, intent("web", pod=UID), intent("new", pod=new), interval=0.05) as here:
        host, number = here.host, here.number
        host.cgroup(host.mounts[0], pod)
        here.events.__class__ = Full
        here.events.tell(Event(Kind.CGROUP_MADE, cgroup=number(pod), parent=number("/kubepods/burstable")))
        await here.until(lambda: ConditionKind.EVENTS_UNAVAILABLE in here.conditions)
        host.run(300, "app", f"{pod}/{'c3' * 32}")
        await here.until(lambda: 300 in _pids(here.engine))


async def test_a_quick_pass_that_fails_brings_a_whole_one(tmp_path: Path) -> None:
    class Broken(FakeKernel):
        def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
            """Break."""
            super().hasten(bindings, threads)
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    async with world(tmp_path, kernel=Broken()) as here:
        passes = here.engine.tally.passes
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until(lambda: here.engine.tally.passes > passes)
        # It hears on.
        here.host.run(102, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 102, 102))
        await here.until(lambda: 102 in _pids(here.engine))


async def test_who_hears_of_the_whole_host_is_stirred_by_what_intents_reach_alone(tmp_path: Path) -> None:
    async with world(tmp_path, interval=0.01, precise=False) as here:
        passes = here.engine.tally.passes
        here.host.run(900, "stranger", "/system.slice/db.service")
        for kind in (Kind.FORK, Kind.EXEC, Kind.EXIT):
            here.events.tell(Event(kind, 900, 900))
        here.host.run(101, "worker", WEB)
        here.events.tell(Event(Kind.EXEC, 101, 101))
        await here.until_hastened(101)
        await here.until(lambda: here.engine.tally.passes > passes)
        passes = here.engine.tally.passes
        here.events.tell(Event(Kind.EXIT, 900, 900))
        here.events.tell(Event(Kind.EXEC, 901, 901))
        await here.until(lambda: here.engine.quick.passes >= 3)
        assert here.engine._stirred is None


async def test_passes_keep_to_their_duty_however_much_is_told(tmp_path: Path) -> None:
    """The rest after a pass that took a second, beside quick passes: a fiftieth of one CPU."""
    ticks = iter(range(10_000))

    async with world(tmp_path) as here:
        here.engine._clock = Clock(monotonic=lambda: float(next(ticks)))
        await here.engine.pass_once()
        seconds = here.engine.last.seconds if here.engine.last else 0.0
        assert seconds >= 1.0
        here.engine.stir(soon=True)
        stirred = here.engine._stirred
        assert stirred is not None
        assert stirred.when() - asyncio.get_running_loop().time() > 40 * seconds - 5


async def test_without_events_calm_passes_come_less_often_and_a_change_brings_them_back(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, V2)
    host.run(100, "web", WEB)
    discovery = host.discovery()
    engine = Engine(
        scanner=discovery,
        bind=bind,
        enforcer=FakeKernel(),
        conditions=Conditions(),
        interval=10.0,
        protected_units=(),
        self_pid=-1,
    )
    rests = []
    for _ in range(5):
        await engine.pass_once()
        rests.append(engine._rest())
    host.run(101, "worker", WEB)
    await engine.pass_once()
    rests.append(engine._rest())
    await engine.stop()
    assert rests == pytest.approx([10.0, 20.0, 40.0, 40.0, 40.0, 10.0])


async def test_a_pass_that_sets_things_again_is_not_calm(tmp_path: Path) -> None:
    class Drifting(FakeKernel):
        def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
            """Somebody else writes, each time."""
            return Applied(super().apply(bindings, unsure=unsure).intents, drifted=(TaskId(100, 1000),))

    host = FakeHost(tmp_path, V2)
    host.run(100, "web", WEB)
    engine = Engine(
        scanner=host.discovery(),
        bind=bind,
        enforcer=Drifting(),
        conditions=Conditions(),
        interval=10.0,
        protected_units=(),
        self_pid=-1,
    )
    for _ in range(3):
        await engine.pass_once()
    assert engine._rest() == pytest.approx(10.0)
    await engine.stop()
