"""What a Decision Maker's clients read back: which thread has which strategy, and which processes a pod has. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import Process, Snapshot, TaskId
from gthulhu_agent.enforcing.binding import Binding, CommandRule, IntentKey
from gthulhu_agent.enforcing.first_match import FirstMatches
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.legacy.received import Labels, ReceivedIntent, ReceivedStrategy
from gthulhu_agent.legacy.translating import ALL_BUT_PAUSE, PAUSE, Origin
from gthulhu_wire.dialects import Dialect, clamped, speak

MAP_ENTRIES = 4096
"""Threads that Gthulhu's scheduler has room for; what comes after them it loses without a word (fault Y-11)."""


@dataclass(frozen=True, slots=True)
class ThreadStrategy:
    """One thread and what it is told.

    Attributes:
        tid: the thread: the scheduler's map has threads for keys, not processes (fault W-17).
        priority: in the dialect that was asked for.
        execution_time: nanoseconds, as it is enforced; 0 is none.
        selectors: labels of the pod, as received.
        command_regex: empty where every thread is taken.
    """

    tid: int
    priority: int
    execution_time: int
    selectors: Labels = ()
    command_regex: str = ""


@dataclass(frozen=True, slots=True)
class PodProcess:
    """One process of a pod. ``ppid`` is 0 where it is not known."""

    pid: int
    comm: str
    ppid: int
    container_id: str


@dataclass(frozen=True, slots=True)
class PodProcesses:
    """A pod and its processes, the pause container's too."""

    uid: str
    processes: tuple[PodProcess, ...]


def thread_strategies(
    bindings: Sequence[Binding], origins: Mapping[IntentKey, Origin], dialect: Dialect
) -> tuple[ThreadStrategy, ...]:
    """Each thread that an intent takes, once, with the one that wins it; the strongest first.

    Whoever has room for some of them only keeps those that matter most.
    """
    rules = FirstMatches(Patterns())
    rules.learn([binding.rules for binding in bindings])
    told = _Told(origins, dialect)
    found: dict[int, tuple[int, ThreadStrategy]] = {}
    for binding in bindings:
        for taken in match_threads(binding, rules).taken:
            if taken.rule is None or taken.process.comm == PAUSE:
                continue
            tid = taken.thread.id.tid
            schedule = taken.rule.schedule
            found.setdefault(tid, (schedule.priority + 100 * schedule.preempt, told.by(taken.rule, tid)))
    return tuple(row for _, row in sorted(found.values(), key=lambda ranked: (-ranked[0], ranked[1].tid)))


def pod_processes(snapshot: Snapshot, ppid_of: Callable[[TaskId], int]) -> tuple[PodProcesses, ...]:
    """The pods that have processes, by uid; each process once (fault W-16)."""
    pods: dict[str, dict[int, PodProcess]] = {}
    for group in snapshot.groups:
        if group.pod_uid:
            mine = pods.setdefault(group.pod_uid, {})
            for process in group.processes:
                mine[process.id.tid] = _process(process, ppid_of(process.id), group.container_id)
    return tuple(
        PodProcesses(uid, tuple(one for _, one in sorted(mine.items()))) for uid, mine in sorted(pods.items()) if mine
    )


def _process(process: Process, ppid: int, container_id: str) -> PodProcess:
    return PodProcess(process.id.tid, process.comm, ppid, container_id)


class _Told:
    """What a rule says in a dialect, made once for all of its threads."""

    def __init__(self, origins: Mapping[IntentKey, Origin], dialect: Dialect) -> None:
        self._origins = origins
        self._dialect = dialect
        self._made: dict[IntentKey, tuple[int, int, Labels, str]] = {}

    def by(self, rule: CommandRule, tid: int) -> ThreadStrategy:
        made = self._made.get(rule.intent)
        if made is None:
            made = self._made[rule.intent] = self._make(rule)
        priority, execution_time, selectors, command_regex = made
        return ThreadStrategy(tid, priority, execution_time, selectors, command_regex)

    def _make(self, rule: CommandRule) -> tuple[int, int, Labels, str]:
        schedule, origin = rule.schedule, self._origins.get(rule.intent)
        if origin is None:
            regex = "" if rule.command in (None, ALL_BUT_PAUSE) else rule.command or ""
            return speak(self._dialect, schedule), schedule.time_slice_ns or 0, (), regex
        said, same = origin.said, origin.dialect is self._dialect
        # What holds here, in the words of whoever sent it: a scheduler that reads what is out of range goes by other
        # numbers than the state says, a negative time as an unsigned one at that (fault W-19).
        priority = clamped(self._dialect, int(said.priority)) if same else speak(self._dialect, schedule)
        labels: Labels = ()
        if isinstance(said, ReceivedIntent):
            labels = said.labels
        elif isinstance(said, ReceivedStrategy):
            labels = said.selectors
        return priority, schedule.time_slice_ns or 0, labels, said.command_regex
