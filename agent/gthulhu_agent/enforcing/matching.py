"""From intents and what runs to bindings, and from a binding to the rule that takes each thread.

Pure: what is protected, who asks and what time it is are passed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, Thread
from gthulhu_agent.enforcing.binding import Binding, CommandRule, IntentKey
from gthulhu_agent.enforcing.first_match import FirstMatch, FirstMatches
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.enforcing.ranked import Ranked, Ranks
from gthulhu_wire.globs import any_matches
from gthulhu_wire.intents import Intent

_COMM_MAX = 15
"""Bytes of a comm (TASK_COMM_LEN without its NUL)."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A thread, the process it is of, and the rule that takes it; None where none does."""

    process: Process
    thread: Thread
    rule: CommandRule | None


@dataclass(frozen=True, slots=True)
class Matched:
    """All threads of a binding with their rules, and the patterns that could not be used, by intent."""

    taken: tuple[Taken, ...]
    bad_patterns: tuple[tuple[IntentKey, str], ...] = ()


def bind(
    intents: Sequence[Intent] | Ranked, snapshot: Snapshot, *, protected_units: Sequence[str], self_pid: int, now: int
) -> tuple[Binding, ...]:
    """What an enforcer is to do on this node.

    Node intents take groups of the host alone: never a pod's, never a protected unit unless the intent's terms
    release it by name. On a host without systemd there are no units, so there a protected unit's name without its
    suffix protects processes of that name. The agent's own process is taken by nobody.

    Args:
        intents: the desired set; as :class:`Ranked` where more than one snapshot is bound to it.
        snapshot: what runs, or those pods and units of it that are to be bound.
        protected_units: names or globs.
        self_pid: the agent's pid, as the snapshot counts.
        now: Unix seconds; intents that end at or before it only let go.
    """
    ranked = intents if isinstance(intents, Ranked) else Ranked(intents, protected_units)
    bindings: list[Binding] = []
    unbound: list[Group] = []
    for group in snapshot.groups:
        # Nothing to release here: an intent that names a unit takes no group that has none.
        guarded = tuple(protected_units) if group.kind is GroupKind.HOST and not group.unit else ()
        binding = _binding(group, ranked.of(group), guarded, self_pid=self_pid, now=now)
        if binding is None:
            unbound.append(group)
        else:
            bindings.append(binding)
            if len(binding.group.processes) < len(group.processes):
                unbound.append(group)
    return _with_foreign(bindings, unbound)


def match_threads(binding: Binding, first: FirstMatches | Patterns) -> Matched:
    """Every thread of ``binding`` with the first rule that takes it. A bad pattern silences its own rule only."""
    rules = first.of(binding.rules) if isinstance(first, FirstMatches) else FirstMatch(binding.rules, first)
    taken = tuple(
        Taken(process, thread, rules.of(process, thread))
        for process in binding.group.processes
        for thread in process.threads
    )
    return Matched(taken, rules.bad)


def is_sandbox(group: Group) -> bool:
    """Whether a group is a pod's pause container, which only sleeps.

    It holds the pod's namespaces open and never competes for the CPU, so a rule that does not take it does not keep
    the pod's own cgroup from carrying the weight of everything else.
    """
    return (
        group.kind is GroupKind.CONTAINER
        and len(group.processes) == 1
        and group.processes[0].comm == "pause"
        and len(group.processes[0].threads) == 1
    )


def top_of(group: Group) -> str | None:
    """The highest cgroup that may carry a weight for ``group``: the pod's, the unit's, else its own."""
    if group.cgroup is None or group.cgroup == "/":
        return None
    if group.pod_cgroup is not None:
        return group.pod_cgroup
    if group.unit:
        parts = group.cgroup.split("/")
        if group.unit in parts:
            return "/".join(parts[: parts.index(group.unit) + 1])
    return group.cgroup


def within(cgroup: str, top: str) -> bool:
    """Whether ``cgroup`` is ``top`` or below it."""
    return cgroup == top or cgroup.startswith(top.rstrip("/") + "/")


def _binding(group: Group, ranks: Ranks, guarded: Sequence[str], *, self_pid: int, now: int) -> Binding | None:
    if not ranks.intents:
        return None
    processes = tuple(
        process for process in group.processes if process.id.tid != self_pid and not _guarded(process, guarded)
    )
    rules, ended = ranks.at(now)
    if processes == group.processes:
        return Binding(group, rules, ended=ended)
    return Binding(replace(group, processes=processes), rules, ended=ended)


def _guarded(process: Process, units: Sequence[str]) -> bool:
    return any(any_matches((unit.removesuffix(".service")[:_COMM_MAX],), process.comm) for unit in units)


def _with_foreign(bindings: Sequence[Binding], unbound: Sequence[Group]) -> tuple[Binding, ...]:
    occupied = sorted(
        {group.cgroup for group in unbound if group.cgroup is not None and group.processes and not is_sandbox(group)}
    )
    foreign_below: dict[str, tuple[str, ...]] = {}
    result: list[Binding] = []
    for binding in bindings:
        top = top_of(binding.group)
        if top is None:
            result.append(binding)
            continue
        if top not in foreign_below:
            foreign_below[top] = tuple(cgroup for cgroup in occupied if within(cgroup, top))
        result.append(replace(binding, foreign=foreign_below[top]) if foreign_below[top] else binding)
    return tuple(result)
