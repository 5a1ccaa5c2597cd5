"""The law: whatever happened, orphans or none, after a revert every value is what its owner wrote last.

The owners' values and ours are chosen apart, since a value that is equal to ours cannot be told from it.
"""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Callable
from pathlib import Path

import hypothesis.strategies as st
from enforcing.fake_kernel import APP, POD, Agent, Crash, FakeKernel, key, wish
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.journal import JournalError
from gthulhu_wire.intents import Intent

SIDE = f"{POD}/side"
COMMS = ("upf", "sh", "amf")
OWNERS_SLICES = (0, 2_000_001, 33_000_003)
OWNERS_NICE = (0, 3, 7)
OWNERS_WEIGHTS = (79, 500, 20)

intents = st.lists(
    st.builds(
        wish,
        st.sampled_from(["one", "two", "three"]),
        containers=st.sampled_from([None, ("app",), ("side",)]),
        command=st.sampled_from([None, None, "^upf$", "^(upf|amf)$"]),
        priority=st.sampled_from([0, 5, 10, -10]),
        time_slice_ns=st.sampled_from([None, 500_000, 700_000]),
        preempt=st.booleans(),
        orphan=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda intent: intent.key,
)


class EverybodyWrites(RuleBasedStateMachine):
    """A pod of two containers, its application, the kubelet, a failing disk, kill -9, and the enforcer."""

    @initialize()
    def start(self) -> None:
        """A pod without processes."""
        self.folder = tempfile.TemporaryDirectory()
        self.kernel = FakeKernel()
        for cgroup in (POD, APP, SIDE):
            self.kernel.make(cgroup)
        self.threads: dict[int, list[int]] = {}
        self.weights = dict.fromkeys((POD, APP, SIDE), 100)
        self.disk_full = False
        self.wanted: list[Intent] = []
        self.restart()

    def teardown(self) -> None:
        """The law itself."""
        if not hasattr(self, "kernel"):
            return
        self.kernel.refuse = lambda _what, _where, _value: 0
        self.disk_full = False
        self.agent.enforcer.revert()
        assert {tid: [task.nice, task.slice_ns] for tid, task in self.kernel.tasks.items()} == self.threads
        assert {path: self.kernel.tree[path].weight for path in self.weights} == self.weights
        assert self.agent.enforcer.revert() == 0
        self.folder.cleanup()

    @rule(cgroup=st.sampled_from([APP, SIDE]), comm=st.sampled_from(COMMS), nice=st.sampled_from(OWNERS_NICE))
    def spawn(self, cgroup: str, comm: str, nice: int) -> None:
        """A process from outside, as `kubectl exec` brings it."""
        self.threads[self.kernel.spawn(cgroup, comm, nice=nice)] = [nice, 0]

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), comm=st.sampled_from(COMMS), thread=st.booleans())
    def fork(self, data: st.DataObject, comm: str, thread: bool) -> None:
        """A child or a thread: what its owner wants is what its parent's owner wanted."""
        parent = self._one(data)
        pid = self.kernel.tasks[parent].pid
        born = self.kernel.clone(pid) if thread else self.kernel.fork(pid, comm)
        self.threads[born] = list(self.threads[pid])

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), comm=st.sampled_from(COMMS))
    def exec(self, data: st.DataObject, comm: str) -> None:
        """Another name."""
        self.kernel.tasks[self._one(data)].comm = comm

    @precondition(lambda self: self.threads)
    @rule(data=st.data())
    def exit(self, data: st.DataObject) -> None:
        """The end of a process."""
        self.kernel.exit(self.kernel.tasks[self._one(data)].pid)
        self.threads = {tid: values for tid, values in self.threads.items() if tid in self.kernel.tasks}

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), slice_ns=st.sampled_from(OWNERS_SLICES))
    def owner_sets_slice(self, data: st.DataObject, slice_ns: int) -> None:
        """The application's own sched_setattr."""
        tid = self._one(data)
        self.kernel.tasks[tid].slice_ns = self.threads[tid][1] = slice_ns

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), nice=st.sampled_from(OWNERS_NICE))
    def owner_sets_nice(self, data: st.DataObject, nice: int) -> None:
        """The application's own nice."""
        tid = self._one(data)
        self.kernel.tasks[tid].nice = self.threads[tid][0] = nice

    @rule(cgroup=st.sampled_from([POD, APP, SIDE]), weight=st.sampled_from(OWNERS_WEIGHTS))
    def kubelet_sets_weight(self, cgroup: str, weight: int) -> None:
        """A resize."""
        self.kernel.tree[cgroup].weight = self.weights[cgroup] = weight

    @rule(cgroup=st.sampled_from([POD, APP, SIDE]))
    def made_anew(self, cgroup: str) -> None:
        """A cgroup goes and another of its name comes."""
        self.kernel.make(cgroup)
        self.weights[cgroup] = 100

    @rule(what=st.sampled_from(["", "nice", "slice", "weight"]))
    def refuse(self, what: str) -> None:
        """The kernel's mind."""
        self.kernel.refuse = lambda asked, _where, _value: errno.EPERM if asked == what else 0

    @rule()
    def disk(self) -> None:
        """Full, or no longer."""
        self.disk_full = not self.disk_full

    @rule(wanted=intents)
    def apply(self, wanted: list[Intent]) -> None:
        """A round, and another with nothing left to do."""
        self.wanted = wanted
        self.agent.apply(*wanted)
        kernel_is_willing = self.kernel.refuse("nice", "", 0) == self.kernel.refuse("weight", "", 0) == 0
        if kernel_is_willing and self.kernel.refuse("slice", "", 0) == 0 and not self.disk_full:
            self.kernel.writes.clear()
            self.agent.apply(*wanted)
            assert self.kernel.writes == []

    @rule(wanted=intents, after=st.integers(0, 6), before=st.booleans())
    def apply_until_killed(self, wanted: list[Intent], after: int, before: bool) -> None:
        """Kill -9 right before or right after some write, and a new agent."""
        left = [after]

        def killed(_what: str, _where: object) -> None:
            left[0] -= 1
            if left[0] < 0:
                raise Crash

        hook: Callable[[str, object], None] = killed
        if before:
            self.kernel.before_write = hook
        else:
            self.kernel.after_write = hook
        self.wanted = wanted
        try:
            self.agent.apply(*wanted)
        except Crash:
            pass
        finally:
            self.kernel.before_write = self.kernel.after_write = lambda _what, _where: None
        self.restart()

    @precondition(lambda self: self.threads)
    @rule(data=st.data(), after=st.integers(0, 6), killed=st.booleans())
    def hasten(self, data: st.DataObject, after: int, killed: bool) -> None:
        """What the kernel told of some threads, and perhaps kill -9 right before some write."""
        some = data.draw(st.sets(st.sampled_from(sorted(self.threads)), min_size=1))
        threads = {TaskId(tid, self.kernel.tasks[tid].start) for tid in some}
        left = [after]

        def count(_what: str, _where: object) -> None:
            left[0] -= 1
            if killed and left[0] < 0:
                raise Crash

        self.kernel.before_write = count
        held = set(self.agent.enforcer._memory.threads)
        try:
            self.agent.hasten(threads, *self.wanted)
            assert held <= set(self.agent.enforcer._memory.threads) | threads  # nothing was put back
        except Crash:
            self.restart()
        finally:
            self.kernel.before_write = lambda _what, _where: None

    @rule()
    def revert(self) -> None:
        """In the middle of it all; hands are kept off then."""
        self.wanted = []
        self.agent.enforcer.revert()

    def restart(self) -> None:
        """A new agent over the same disk."""
        self.agent = Agent(self.kernel, Path(self.folder.name) / "journal")
        save, add = self.agent.journal.save, self.agent.journal.add

        def saving(memory: object) -> None:
            if self.disk_full:
                raise JournalError(errno.ENOSPC, "No space left on device")
            save(memory)  # type: ignore[arg-type]  # the very memory that the enforcer passes

        def adding(*records: object) -> None:
            if self.disk_full:
                raise JournalError(errno.ENOSPC, "No space left on device")
            add(*records)  # type: ignore[arg-type]  # the very records that the enforcer passes

        self.agent.journal.save = saving  # type: ignore[method-assign]  # the disk is the fault to inject
        self.agent.journal.add = adding  # type: ignore[method-assign,assignment]  # same

    @invariant()
    def states_are_of_intents(self) -> None:
        """Nothing is reported for what was never asked."""
        if hasattr(self, "agent"):
            assert self.agent.enforcer.state().keys() <= {key(name) for name in ("one", "two", "three")}

    def _one(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(sorted(self.threads)))


TestEverybodyWrites = EverybodyWrites.TestCase
TestEverybodyWrites.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
