"""What ``GET /v1/usage`` tells, as JSON values: pods with their counters and intents, and one pod's threads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gthulhu_agent.classes import class_of
from gthulhu_agent.enforcing.binding import CommandRule
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.enforcing.protocol import IntentState
from gthulhu_agent.explaining import kernel_json
from gthulhu_agent.usage.counts import Counts
from gthulhu_agent.usage.ledger import PodUsage, ThreadUsage
from gthulhu_agent.usage.meter import Reading
from gthulhu_agent.views import schedule_json
from gthulhu_wire.intents import Intent, PodRef, format_instant

if TYPE_CHECKING:
    from gthulhu_agent.agent import Agent
    from gthulhu_agent.discovery.snapshot import TaskId
    from gthulhu_agent.passes import Pass

MOST_INTENTS = 16
"""Intents of one pod that are told; a node can have 100,000."""
MOST_THREADS = 1000
"""Threads of one pod that are told; each is asked of the kernel."""

_NOTHING = IntentState()


@dataclass(frozen=True, slots=True)
class Following:
    """Intents by the pod that they are for, strongest first."""

    intents: Mapping[str, Sequence[Intent]]

    @classmethod
    def of(cls, intents: Sequence[Intent]) -> Following:
        """Sort ``intents``; those of the node itself are left out."""
        found: dict[str, list[Intent]] = {}
        for intent in intents:
            if intent.pod is not None:
                found.setdefault(intent.pod.uid, []).append(intent)
        for ranked in found.values():
            ranked.sort(key=lambda intent: intent.rank)
        return cls(found)


def usage_head(agent: Agent, reading: Reading) -> dict[str, object]:
    """Everything of ``GET /v1/usage`` but the pods. ``clock`` counts seconds, for rates between two answers."""
    return {
        "node": agent.node,
        "enforcer": agent.engine.enforcer.name,
        "readAt": format_instant(int(reading.at)),
        "clock": reading.monotonic,
        "leftOut": reading.usage.left_out,
        "unreadable": reading.usage.unreadable,
    }


def usage_rows(agent: Agent, pods: Sequence[PodUsage]) -> Iterator[str]:
    """One row for each pod, as JSON text."""
    following = Following.of(agent.held.intents)
    states = {} if agent.engine.last is None else agent.engine.last.states
    for pod in pods:
        intents = following.intents.get(pod.uid, ())
        row = {
            **_named(pod, intents[0].pod if intents else None),
            "processes": pod.processes,
            "threads": pod.threads,
            "counts": counts_json(pod.counts),
            "intents": [_intent(intent, states.get(intent.key, _NOTHING)) for intent in intents[:MOST_INTENTS]],
            "intentsLeftOut": max(0, len(intents) - MOST_INTENTS),
        }
        yield json.dumps(row, separators=(",", ":"))


def threads_json(done: Pass, uid: str, threads: Sequence[ThreadUsage]) -> dict[str, object]:
    """The threads of a pod, those that used the most CPU first where there are too many. Asks the kernel of each."""
    winners = _winners(done, uid)
    told = sorted(threads, key=lambda one: one.counts.cpu, reverse=True)[:MOST_THREADS]
    return {"threads": [_thread(one, winners) for one in told], "threadsLeftOut": len(threads) - len(told)}


def counts_json(counts: Counts) -> dict[str, object]:
    """Counters; times in nanoseconds."""
    return counts._asdict()


def _named(pod: PodUsage, told: PodRef | None) -> dict[str, object]:
    # The node may not know a pod's name (no kubelet's log folder is in sight), while who sent intents did.
    return {
        "uid": pod.uid,
        "namespace": pod.namespace or (told.namespace if told else ""),
        "name": pod.name or (told.name if told else ""),
    }


def _intent(intent: Intent, state: IntentState) -> dict[str, object]:
    policy = intent.terms.policy
    return {
        "policy": {"namespace": policy.namespace, "name": policy.name},
        "class": class_of(intent.terms.schedule).value,
        "threads": state.threads,
        "enforced": state.enforced,
        "effective": schedule_json(state.effective),
    }


def _winners(done: Pass, uid: str) -> dict[TaskId, CommandRule]:
    patterns = Patterns()
    return {
        taken.thread.id: taken.rule
        for binding in done.bindings
        if binding.group.pod_uid == uid
        for taken in match_threads(binding, patterns).taken
        if taken.rule is not None
    }


def _thread(one: ThreadUsage, winners: Mapping[TaskId, CommandRule]) -> dict[str, object]:
    rule = winners.get(one.thread.id)
    return {
        "pid": one.process.id.tid,
        "tid": one.thread.id.tid,
        "comm": one.process.comm,
        "name": one.thread.name,
        "counts": counts_json(one.counts),
        "winner": None if rule is None else {"namespace": rule.intent[1], "name": rule.intent[2]},
        "class": None if rule is None else class_of(rule.schedule).value,
        "kernel": kernel_json(one.thread.id.tid),
    }
