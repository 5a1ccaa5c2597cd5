"""What the agent tells of itself, as JSON values: state by intent, pods, one process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from gthulhu_agent.discovery.snapshot import DiscoveredPod
from gthulhu_agent.enforcing.protocol import IntentState, Refused
from gthulhu_agent.legacy.received import Received
from gthulhu_agent.legacy.strategies import StrategyState
from gthulhu_agent.state import Condition, ConditionKind, Held
from gthulhu_wire.intents import Intent, Schedule, format_instant

if TYPE_CHECKING:
    from gthulhu_agent.agent import Agent

_NOTHING = IntentState()
_HANDS_OFF = (ConditionKind.REVERTED, ConditionKind.SWITCHED_OFF)


def holding_json(agent: Agent, held: Held) -> dict[str, object]:
    """``held`` without its intents, and whether it has to be sent again although it may look as wanted."""
    return {"node": agent.node, **held.summary(), "damaged": agent.damaged}


def state_head(agent: Agent) -> dict[str, object]:
    """Everything of ``GET /v1/state`` but the intents."""
    last = agent.engine.last
    return {
        "node": agent.node,
        "generation": agent.held.generation,
        "digest": agent.held.digest,
        "enforcer": agent.engine.enforcer.name,
        "passedAt": None if last is None else format_instant(last.at),
        "passedGeneration": None if last is None else last.held.generation,
        "received": _received_json(agent.held.received),
        "conditions": [condition_json(condition) for condition in agent.conditions],
        "strategies": [_strategy_json(state) for state in agent.strategy_states()],
    }


def state_rows(agent: Agent) -> Iterator[str]:
    """The intents of ``GET /v1/state`` in wire order, each as JSON text."""
    held, engine, now = agent.held, agent.engine, agent.clock.now
    states = {} if engine.last is None else engine.last.states
    off = tuple(_off(condition) for condition in agent.conditions if condition.kind in _HANDS_OFF)
    for intent, since in zip(held.intents, held.since, strict=True):
        state = states.get(intent.key, _NOTHING)
        if notes := (*off, *agent.notes(held, intent.key)):
            state = replace(state, refused=(*notes, *state.refused))
        yield json.dumps(_row(intent, state, since, engine.enforced_since(intent.key), now), separators=(",", ":"))


def _off(condition: Condition) -> Refused:
    return Refused("enforcement", condition.message, condition.cure)


def _strategy_json(state: StrategyState) -> dict[str, object]:
    said = state.strategy
    return {
        "priority": said.priority,
        "executionTime": said.execution_time,
        "pid": said.pid or None,
        "selectors": [{"key": key, "value": value} for key, value in said.selectors],
        "commandRegex": said.command_regex,
        "pods": state.pods,
        "refused": [_refused_json(refused) for refused in state.refused],
    }


def _refused_json(refused: Refused) -> dict[str, object]:
    return {"what": refused.what, "why": refused.why, "cure": refused.cure}


def _received_json(received: Received | None) -> dict[str, object] | None:
    if received is None:
        return None
    return {
        "intents": len(received.intents),
        "intentsWithoutPod": sum(not one.pod_id for one in received.intents),
        "nodeIntents": len(received.node_intents),
        "strategies": len(received.strategies),
        "dialect": received.dialect.value,
    }


def condition_json(condition: Condition) -> dict[str, object]:
    """One condition."""
    return {
        "type": condition.kind.value,
        "message": condition.message,
        "cure": condition.cure,
        "since": format_instant(condition.since),
        "blocksReady": condition.kind.blocks_ready,
    }


def pod_json(pod: DiscoveredPod) -> dict[str, object]:
    """One pod that runs here."""
    return {
        "uid": pod.uid,
        "namespace": pod.namespace,
        "name": pod.name,
        "labels": dict(pod.labels),
        "containers": [{"name": name, "id": identifier} for name, identifier in pod.containers],
    }


def schedule_json(schedule: Schedule | None) -> dict[str, object] | None:
    """A schedule, as in an intent's terms."""
    if schedule is None:
        return None
    return {"priority": schedule.priority, "timeSlice": schedule.time_slice_ns, "preempt": schedule.preempt}


def _row(intent: Intent, state: IntentState, since: int, enforced_since: int | None, now: int) -> dict[str, object]:
    pod, policy, ends_at = intent.pod, intent.terms.policy, intent.terms.ends_at
    return {
        "pod": None if pod is None else {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
        "policy": {"namespace": policy.namespace, "name": policy.name, "source": policy.source},
        "rank": intent.rank,
        "acceptedSince": format_instant(since),
        "enforcedSince": None if enforced_since is None else format_instant(enforced_since),
        "threads": state.threads,
        "processes": state.processes,
        "effective": schedule_json(state.effective),
        "weight": state.weight,
        "nice": state.nice,
        "refused": [_refused_json(refused) for refused in state.refused],
        "expired": ends_at is not None and ends_at <= now,
    }
