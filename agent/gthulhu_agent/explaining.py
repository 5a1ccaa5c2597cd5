"""One process under the lens: where it belongs, who takes each thread and who lost it, and what the kernel says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gthulhu_agent.classes import class_of
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Thread
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.binding import Binding, CommandRule, IntentKey
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.passes import Pass
from gthulhu_agent.views import schedule_json
from gthulhu_wire.intents import Intent, format_instant

MOST_LOSERS = 16
"""Intents that lost a thread, of which so many are told; each has up to 100,000."""


class Lost(StrEnum):
    """Why an intent does not take a thread. A closed list."""

    OUTRANKED = "outranked"
    """A stronger one takes the thread."""
    COMMAND = "command"
    """Its pattern does not match."""
    PATTERN = "pattern"
    """Its pattern cannot be used."""
    ENDED = "ended"
    """Its end has passed."""
    SCOPE = "scope"
    """It is for other containers, units or cgroups, or this one is protected."""


@dataclass(frozen=True, slots=True)
class Found:
    """A process in a pass, and its binding where an intent reaches its group."""

    group: Group
    process: Process
    binding: Binding | None


def find(done: Pass, pid: int) -> Found | None:
    """The process that has ``pid``, or a thread of that number."""
    for group in done.snapshot.groups:
        for process in group.processes:
            if pid == process.id.tid or any(pid == thread.id.tid for thread in process.threads):
                binding = next((bound for bound in done.bindings if _is_of(bound, group, process)), None)
                return Found(group, process, binding)
    return None


def process_json(done: Pass, found: Found) -> dict[str, object]:
    """The answer of ``GET /v1/processes/{pid}``. Asks the kernel of each thread."""
    winners: dict[Thread, CommandRule | None] = {}
    bad: Mapping[IntentKey, str] = {}
    if found.binding is not None:
        matched = match_threads(found.binding, Patterns())
        winners = {entry.thread: entry.rule for entry in matched.taken if entry.process.id == found.process.id}
        bad = dict(matched.bad_patterns)
    candidates = _candidates(done, found.group)
    process, group = found.process, found.group
    pod = next((pod for pod in done.snapshot.pods if pod.uid == group.pod_uid), None) if group.pod_uid else None
    return {
        "pid": process.id.tid,
        "start": process.id.start,
        "comm": process.comm,
        "argv0": process.argv0,
        "group": {
            "kind": group.kind.value,
            "cgroup": group.cgroup,
            "unit": group.unit,
            "containerId": group.container_id,
        },
        "pod": None
        if not group.pod_uid
        else {
            "uid": group.pod_uid,
            "namespace": pod.namespace if pod else "",
            "name": pod.name if pod else "",
        },
        "threads": [
            {
                **_thread(done, thread, winners.get(thread)),
                **_losers(candidates, found.binding, bad, winners.get(thread)),
            }
            for thread in process.threads
        ],
    }


def _is_of(binding: Binding, group: Group, process: Process) -> bool:
    # A binding's group lacks the protected processes; those are bound by nothing.
    bound = binding.group
    return (bound.kind, bound.cgroup, bound.pod_uid, bound.container_id) == (
        group.kind,
        group.cgroup,
        group.pod_uid,
        group.container_id,
    ) and any(process.id == other.id for other in bound.processes)


def _candidates(done: Pass, group: Group) -> list[Intent]:
    """Intents for the pod, or for the node where the group is the host's; strongest first."""
    of_node = group.kind is GroupKind.HOST
    found = (
        intent
        for intent in done.held.intents
        if (of_node and intent.pod is None) or (intent.pod is not None and intent.pod.uid == group.pod_uid)
    )
    return sorted(found, key=lambda intent: intent.rank)


def _losers(
    candidates: list[Intent], binding: Binding | None, bad: Mapping[IntentKey, str], winner: CommandRule | None
) -> dict[str, object]:
    lost = list(_reasons(candidates, binding, bad, None if winner is None else winner.intent))
    return {
        "losers": [
            {"namespace": intent.key[1], "name": intent.key[2], "reason": reason.value, "text": text}
            for intent, reason, text in lost[:MOST_LOSERS]
        ],
        "losersLeftOut": max(0, len(lost) - MOST_LOSERS),
    }


def _reasons(
    candidates: list[Intent], binding: Binding | None, bad: Mapping[IntentKey, str], winner: IntentKey | None
) -> Iterator[tuple[Intent, Lost, str]]:
    reaching = {rule.intent for rule in binding.rules} if binding else set()
    ended = set(binding.ended) if binding else set()
    taken = False
    for intent in candidates:
        key, terms = intent.key, intent.terms
        if key == winner:
            taken = True
        elif key in ended and terms.ends_at is not None:
            yield intent, Lost.ENDED, f"it ended at {format_instant(terms.ends_at)}"
        elif key not in reaching:
            what = "containers" if intent.pod is not None else "units or cgroups, or this one is protected"
            yield intent, Lost.SCOPE, f"it is for other {what}"
        elif key in bad:
            yield intent, Lost.PATTERN, bad[key]
        elif taken:
            yield intent, Lost.OUTRANKED, f"its rank is {intent.rank}, and a stronger one takes the thread"
        else:
            yield intent, Lost.COMMAND, f"{terms.command!r} is not found in the {terms.command_on.value}"


def _thread(done: Pass, thread: Thread, rule: CommandRule | None) -> dict[str, object]:
    state = None if rule is None else done.states.get(rule.intent)
    return {
        "tid": thread.id.tid,
        "name": thread.name,
        "winner": None if rule is None else {"namespace": rule.intent[1], "name": rule.intent[2]},
        "class": None if rule is None else class_of(rule.schedule).value,
        "wanted": None if rule is None else schedule_json(rule.schedule),
        "weight": None if state is None else state.weight,
        "kernel": kernel_json(thread.id.tid),
    }


def kernel_json(tid: int) -> dict[str, object] | None:
    """What the kernel says of a thread now; None where it has ended."""
    try:
        attributes = sched_attr.read(tid)
    except OSError:
        return None
    return {
        "policy": _policy_name(attributes.policy),
        "nice": attributes.nice,
        "timeSlice": attributes.slice_ns or None,
    }


def _policy_name(policy: int) -> str:
    try:
        return sched_attr.Policy(policy).name
    except ValueError:
        return str(policy)
