"""What changed on nodes outside of us: found and drawn from what agents say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import groupby

from rich.text import Text

from gthulhu_reconcile.cli.rendering.nodes import NodeStatus, gap
from gthulhu_reconcile.cli.rendering.words import count, visible

DIGITS = 12
DRIFTING = frozenset({"Reverted", "StoreDamaged", "EnforcementFailed"})
"""Conditions of agents that mean that what we brought is not in force; others are lasting properties: see status."""


class Kind(StrEnum):
    """What drifted. A closed list, documented in docs/cli.md."""

    OWNER = "owner"
    """Another owner holds the node."""
    SET = "set"
    """The agent holds another set than the plan brought it."""
    REFUSED = "refused"
    """The kernel does not take a part of an intent."""
    NOT_ENFORCED = "not-enforced"
    """Threads do not run as told: new ones that the agent has not met yet, or changed by somebody else."""
    CONDITION = "condition"
    """The agent itself says that something is wrong."""


@dataclass(frozen=True, slots=True)
class Drift:
    """One thing that is not as we left it."""

    node: str
    kind: Kind
    message: str


def find(nodes: Sequence[NodeStatus], owner: str, applied: Mapping[str, str]) -> tuple[Drift, ...]:
    """What drifted, by node.

    Args:
        nodes: what agents say; those that do not answer are no drift, and say nothing.
        owner: who we are.
        applied: per node, the digest of the set that it was brought; nodes that are not there are not compared.
    """
    return tuple(drift for node in nodes for drift in _of_node(node, owner, applied.get(node.node)))


def drift(found: Sequence[Drift], nodes: Sequence[NodeStatus]) -> Iterator[Text]:
    """By node, then the nodes that did not answer, then the count."""
    for node, drifts in groupby(found, key=lambda each: each.node):
        text = Text()
        text.append("node ").append(visible(node), style="bold")
        for each in drifts:
            text.append(f"\n  {each.kind}", style="yellow").append(f": {visible(each.message)}")
        yield text
    for silent in nodes:
        if silent.silence:
            text = Text()
            text.append("node ").append(visible(silent.node), style="bold")
            yield text.append("\n  silent", style="red").append(f": {visible(silent.silence)}")
    yield Text(
        f"\n{drift_line(found, nodes)}" if found or any(node.silence for node in nodes) else drift_line(found, nodes)
    )


def drift_line(found: Sequence[Drift], nodes: Sequence[NodeStatus]) -> str:
    """The count: ``Drift: 3 findings on 2 of 40 nodes, 1 node does not answer.``."""
    silent = sum(bool(node.silence) for node in nodes)
    line = (
        f"Drift: {count(len(found), 'finding')} on {len({each.node for each in found})} of {count(len(nodes), 'node')}"
    )
    return f"{line}, {count(silent, 'node does', 'nodes do')} not answer." if silent else f"{line}."


def as_json(found: Sequence[Drift], nodes: Sequence[NodeStatus]) -> dict[str, object]:
    """The machine form; keys are only added to."""
    return {
        "formatVersion": "1.0",
        "drift": [{"node": each.node, "kind": each.kind.value, "message": each.message} for each in found],
        "unreachable": [{"node": node.node, "reason": node.silence} for node in nodes if node.silence],
    }


def _of_node(node: NodeStatus, owner: str, applied: str | None) -> Iterator[Drift]:
    holding, state = node.holding, node.state
    if holding is None or state is None:
        return
    if holding.owner not in ("", owner):
        yield Drift(node.node, Kind.OWNER, f"held by '{holding.owner}', we are '{owner}'")
    if applied is not None and holding.digest != applied:
        held, left = holding.digest[:DIGITS], applied[:DIGITS]
        message = f"holds set {held} as generation {holding.generation}; the plan brought it {left}"
        yield Drift(node.node, Kind.SET, message)
    for condition in state.conditions:
        if condition.kind not in DRIFTING:
            continue
        yield Drift(node.node, Kind.CONDITION, f"{condition.kind}: {condition.message}")
    for each in node.gaps:
        yield Drift(node.node, Kind.REFUSED if each.refused else Kind.NOT_ENFORCED, gap(each))
