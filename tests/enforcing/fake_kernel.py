"""A kernel in memory, for faults that a real one does not show on demand: crashes, refusals, reused numbers."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId, Thread
from gthulhu_agent.enforcing.cgroups import V2, WeightScale
from gthulhu_agent.enforcing.eevdf import Eevdf
from gthulhu_agent.enforcing.journal import Journal
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Applied
from gthulhu_agent.enforcing.sched_attr import Ability, Attributes
from gthulhu_agent.enforcing.systemd import UnitWeight
from gthulhu_wire.intents import CommandOn, Intent, OnDelete, PodRef, PolicyRef, Schedule, Terms

DEFAULT_SLICE = 1_400_000
POD_UID = "0a1b2c3d-0000-4000-8000-000000000001"
POD = f"/kubepods/burstable/pod{POD_UID}"
APP = f"{POD}/app"


class Crash(BaseException):
    """kill -9 at this very moment."""


@dataclass
class FakeThread:
    """A thread; ``slice_ns`` 0 is the default."""

    tid: int
    pid: int
    parent: int
    start: int
    cgroup: str
    comm: str
    policy: int = 0
    nice: int = 0
    slice_ns: int = 0
    reset_on_fork: bool = False


@dataclass
class FakeCgroup:
    """A cgroup; ``weight`` None where the cpu controller is not enabled for it."""

    inode: int
    weight: int | None
    unit: str = ""
    unit_weight: int | None = None


@dataclass
class FakeKernel:
    """What both ports stand on, with the moves of everybody else."""

    scale: WeightScale = V2
    custom_slice: bool = True
    nice_back: bool = True
    tasks: dict[int, FakeThread] = field(default_factory=dict)
    tree: dict[str, FakeCgroup] = field(default_factory=dict)
    ticks: int = 1000
    seconds: float = 0.0
    writes: list[tuple[str, object]] = field(default_factory=list)
    refuse: Callable[[str, object, int], int] = lambda _what, _where, _value: 0
    before_write: Callable[[str, object], None] = lambda _what, _where: None
    after_write: Callable[[str, object], None] = lambda _what, _where: None
    _next: int = 100

    def make(self, cgroup: str, weight: int | None = 100, unit: str = "") -> None:
        """A new cgroup."""
        self.tree[cgroup] = FakeCgroup(self._number(), weight, unit)

    def spawn(self, cgroup: str, comm: str, *, parent: int = 1, nice: int = 0, slice_ns: int = 0) -> int:
        """A new process of one thread."""
        tid = self._number()
        self.ticks += 1
        self.tasks[tid] = FakeThread(tid, tid, parent, self.ticks, cgroup, comm, 0, nice, slice_ns)
        return tid

    def fork(self, parent: int, comm: str | None = None, cgroup: str | None = None) -> int:
        """A child as the kernel makes it: it inherits nice and slice."""
        old = self.tasks[parent]
        tid = self.spawn(cgroup or old.cgroup, comm or old.comm, parent=old.pid, nice=old.nice, slice_ns=old.slice_ns)
        if old.reset_on_fork:
            self.tasks[tid].nice, self.tasks[tid].slice_ns = max(0, old.nice), 0
        return tid

    def clone(self, pid: int) -> int:
        """A new thread of a process."""
        tid = self.fork(pid)
        self.tasks[tid].pid, self.tasks[tid].parent = pid, self.tasks[pid].parent
        return tid

    def exit(self, pid: int) -> None:
        """The end of a process; its children go to pid 1."""
        for tid in [tid for tid, task in self.tasks.items() if task.pid == pid]:
            del self.tasks[tid]
        for task in self.tasks.values():
            if task.parent == pid:
                task.parent = 1

    def snapshot(self, kind: GroupKind = GroupKind.CONTAINER) -> Snapshot:
        """What discovery would find."""
        groups = []
        for cgroup in sorted(self.tree):
            leaders = sorted(t.tid for t in self.tasks.values() if t.cgroup == cgroup and t.pid == t.tid)
            in_pod = cgroup.startswith(POD + "/")
            if leaders or in_pod:
                groups.append(
                    Group(
                        kind=kind if in_pod else GroupKind.HOST,
                        cgroup=cgroup,
                        pod_cgroup=POD if in_pod else None,
                        pod_uid=POD_UID if in_pod else "",
                        container_id=cgroup.rpartition("/")[2] if in_pod else "",
                        unit=self.tree[cgroup].unit,
                        processes=tuple(self._process(pid) for pid in leaders),
                    )
                )
        return Snapshot(tuple(groups))

    def _process(self, pid: int) -> Process:
        leader = self.tasks[pid]
        threads = sorted((t for t in self.tasks.values() if t.pid == pid), key=lambda t: t.tid)
        return Process(
            TaskId(pid, leader.start),
            leader.comm,
            leader.comm,
            tuple(Thread(TaskId(t.tid, t.start), t.comm) for t in threads),
        )

    def ask(self, what: str, where: object, value: int) -> None:
        """Raise what ``refuse`` says."""
        if number := self.refuse(what, where, value):
            raise OSError(number, os.strerror(number))

    def _number(self) -> int:
        self._next += 1
        return self._next


@dataclass
class FakeTasks:
    """The port of threads."""

    kernel: FakeKernel

    def ability(self) -> Ability:
        """See ``Tasks``."""
        custom = self.kernel.custom_slice
        return Ability(custom, DEFAULT_SLICE if custom else 0, self.kernel.nice_back)

    def read(self, tid: int) -> Attributes:
        """See ``Tasks``."""
        task = self._task(tid)
        slice_ns = (task.slice_ns or DEFAULT_SLICE) if self.kernel.custom_slice else 0
        return Attributes(task.policy, task.nice, slice_ns)

    def write(self, tid: int, *, nice: int, slice_ns: int) -> None:
        """See ``Tasks``."""
        self.kernel.before_write("thread", tid)
        task = self._task(tid)
        if task.policy in {1, 2, 6}:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        if nice != task.nice:
            self.kernel.ask("nice", tid, nice)
        if slice_ns != task.slice_ns:
            self.kernel.ask("slice", tid, slice_ns)
        self.kernel.writes.append(("thread", tid))
        task.nice, task.slice_ns = nice, slice_ns
        self.kernel.after_write("thread", tid)

    def start(self, tid: int) -> int | None:
        """See ``Tasks``."""
        task = self.kernel.tasks.get(tid)
        return task.start if task else None

    def parent(self, tid: int) -> int:
        """See ``Tasks``."""
        task = self.kernel.tasks.get(tid)
        return task.parent if task else 0

    def process(self, tid: int) -> int:
        """See ``Tasks``."""
        task = self.kernel.tasks.get(tid)
        return task.pid if task else 0

    def family(self, pid: int) -> tuple[int, ...]:
        """See ``Tasks``."""
        tasks = self.kernel.tasks.values()
        children = {task.pid for task in tasks if task.parent == pid and task.pid != pid}
        mine = tuple(task.tid for task in tasks if task.pid == pid)
        return mine + tuple(tid for child in sorted(children) for tid in self.family(child))

    def clock(self) -> int:
        """See ``Tasks``."""
        return self.kernel.ticks

    def _task(self, tid: int) -> FakeThread:
        if tid not in self.kernel.tasks:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        return self.kernel.tasks[tid]


@dataclass
class FakeCgroups:
    """The port of cgroups."""

    kernel: FakeKernel

    @property
    def scale(self) -> WeightScale:
        """See ``Cgroups``."""
        return self.kernel.scale

    def inode(self, cgroup: str) -> int | None:
        """See ``Cgroups``."""
        found = self.kernel.tree.get(cgroup)
        return found.inode if found else None

    def read(self, cgroup: str) -> int | None:
        """See ``Cgroups``."""
        found = self.kernel.tree.get(cgroup)
        return found.weight if found else None

    def owner(self, cgroup: str) -> UnitWeight | None:
        """See ``Cgroups``."""
        found = self.kernel.tree[cgroup]
        return UnitWeight(found.unit, found.unit_weight) if found.unit else None

    def write(self, cgroup: str, value: int) -> None:
        """See ``Cgroups``."""
        self.kernel.before_write("weight", cgroup)
        self.kernel.ask("weight", cgroup, value)
        self.kernel.writes.append(("weight", cgroup))
        self.kernel.tree[cgroup].weight = value
        self.kernel.after_write("weight", cgroup)

    def write_unit(self, cgroup: str, unit: str, value: int | None, expected: int) -> None:
        """See ``Cgroups``."""
        self.kernel.ask("unit", unit, expected)
        self.kernel.writes.append(("unit", (unit, value)))
        self.kernel.tree[cgroup].unit_weight = value
        self.kernel.tree[cgroup].weight = expected

    def threads(self, cgroup: str) -> tuple[int, ...]:
        """See ``Cgroups``."""
        return tuple(task.tid for task in self.kernel.tasks.values() if task.cgroup == cgroup)


class Agent:
    """An enforcer over the fake kernel; a new one over the same path is the agent after a restart."""

    def __init__(self, kernel: FakeKernel, path: Path, boot: str = "boot-1") -> None:
        self.kernel = kernel
        self.journal = Journal(path, boot)
        self.enforcer = Eevdf(
            journal=self.journal,
            tasks=FakeTasks(kernel),
            cgroups=FakeCgroups(kernel),
            monotonic=lambda: kernel.seconds,
        )

    def apply(
        self, *intents: Intent, now: int = 0, kind: GroupKind = GroupKind.CONTAINER, units: Iterable[str] = ()
    ) -> Applied:
        """One scan and one apply, two seconds after the last."""
        self.kernel.seconds += 2
        bindings = bind(intents, self.kernel.snapshot(kind), protected_units=tuple(units), self_pid=-1, now=now)
        return self.enforcer.apply(bindings)

    def hasten(self, threads: Collection[TaskId], *intents: Intent) -> int:
        """A quick pass over ``threads``."""
        bindings = bind(intents, self.kernel.snapshot(), protected_units=(), self_pid=-1, now=0)
        return self.enforcer.hasten(bindings, threads)

    def tasks(self, *tids: int) -> set[TaskId]:
        """These threads with their start times."""
        return {TaskId(tid, self.kernel.tasks[tid].start) for tid in tids}


def wish(
    name: str = "fast",
    *,
    rank: int = 0,
    containers: tuple[str, ...] | None = None,
    command: str | None = None,
    command_on: CommandOn = CommandOn.COMM,
    priority: int = 0,
    time_slice_ns: int | None = None,
    preempt: bool = False,
    orphan: bool = False,
    ends_at: int | None = None,
    pod_uid: str | None = POD_UID,
    units: tuple[str, ...] = (),
    cgroups: tuple[str, ...] = (),
    released: tuple[str, ...] = (),
) -> Intent:
    """An intent; for the fake pod unless ``pod_uid`` is None."""
    terms = Terms(
        policy=PolicyRef("default", name),
        schedule=Schedule(priority, time_slice_ns, preempt),
        command=command,
        command_on=command_on,
        units=units,
        cgroups=cgroups,
        released=released,
        on_delete=OnDelete.ORPHAN if orphan else OnDelete.REVERT,
        ends_at=ends_at,
    )
    pod = None if pod_uid is None else PodRef("shop", "web", pod_uid)
    return Intent(terms, rank, pod, containers)


def key(name: str = "fast", pod_uid: str | None = POD_UID) -> tuple[str, str, str]:
    """The key of ``wish(name)``."""
    return (pod_uid or "", "default", name)
