"""What agents hold, what the kernel has of it, and what changed outside of us."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from gthulhu_reconcile.cli.rendering.columns import columns
from gthulhu_reconcile.cli.rendering.words import count, place, pod_name, policy_name, visible
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_reconcile.transport.reports import AgentState, IntentState

GAPS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """One node's agent: what it holds and enforces, or ``silence``, why it could not be asked."""

    node: str
    holding: Holding | None = None
    state: AgentState | None = None
    silence: str = ""

    @property
    def intents(self) -> tuple[IntentState, ...]:
        """State by intent; none where it could not be asked."""
        return () if self.state is None else self.state.intents

    @property
    def enforced(self) -> int:
        """Intents that the kernel has as told."""
        return sum(each.enforced_since is not None for each in self.intents)

    @property
    def idle(self) -> int:
        """Intents that no thread matches now: nothing is to be done for them."""
        return sum(waits(each) for each in self.intents)

    @property
    def gaps(self) -> tuple[IntentState, ...]:
        """Intents that have threads and that the kernel does not have as told."""
        return tuple(each for each in self.intents if not waits(each) and each.enforced_since is None)


def waits(intent: IntentState) -> bool:
    """Whether there is nothing to enforce: no thread matches, or its window is over."""
    return intent.expired or (intent.threads == 0 and not intent.refused)


def status(nodes: Sequence[NodeStatus], owner: str) -> Iterator[Text]:
    """A line for each node, its gaps and what ails it below, and the count."""
    rows = [_row(node, owner) for node in nodes]
    for node, line in zip(nodes, columns(rows), strict=True):
        yield line
        yield from _details(node)
    yield _ending(nodes)


def gap(intent: IntentState) -> str:
    """An intent that is not enforced, and why."""
    target = "the node itself" if intent.pod is None else f"pod {pod_name(intent.pod)}"
    where = place(intent.policy.source, 0)
    by = f"{policy_name(intent.policy)}{f' ({where})' if where else ''}"
    why = "; ".join(map(visible, intent.refused)) or f"not enforced yet on {count(intent.threads, 'thread')}"
    return f"{target} by {by}: {why}"


def status_line(nodes: Sequence[NodeStatus]) -> str:
    """The count: ``Status: 39 of 40 nodes answer; 12 intents accepted, 7 enforced, 3 without threads, 2 gaps.``."""
    answering = [node for node in nodes if node.state is not None]
    accepted = sum(len(node.intents) for node in answering)
    enforced = sum(node.enforced for node in answering)
    idle = sum(node.idle for node in answering)
    gaps = sum(len(node.gaps) for node in answering)
    return (
        f"Status: {len(answering)} of {count(len(nodes), 'node')} answer; {count(accepted, 'intent')} accepted, "
        f"{enforced} enforced, {idle} without threads, {count(gaps, 'gap')}."
    )


def as_json(nodes: Sequence[NodeStatus]) -> dict[str, object]:
    """The machine form; keys are only added to."""
    return {"formatVersion": "1.0", "nodes": [_node_json(node) for node in nodes]}


def _node_json(node: NodeStatus) -> dict[str, object]:
    holding, state = node.holding, node.state
    if holding is None or state is None:
        return {"node": node.node, "answers": False, "reason": node.silence}
    return {
        "node": node.node,
        "answers": True,
        "owner": holding.owner,
        "token": holding.token,
        "generation": holding.generation,
        "digest": holding.digest,
        "enforcer": state.enforcer,
        "accepted": len(node.intents),
        "enforced": node.enforced,
        "withoutThreads": node.idle,
        "conditions": [{"type": each.kind, "message": each.message, "cure": each.cure} for each in state.conditions],
        "gaps": [
            {
                "pod": None
                if each.pod is None
                else {"namespace": each.pod.namespace, "name": each.pod.name, "uid": each.pod.uid},
                "policy": {"namespace": each.policy.namespace, "name": each.policy.name, "source": each.policy.source},
                "rank": each.rank,
                "threads": each.threads,
                "refused": list(each.refused),
            }
            for each in node.gaps
        ],
    }


def _row(node: NodeStatus, owner: str) -> tuple[Text, ...]:
    name = Text(visible(node.node), style="bold")
    holding, state = node.holding, node.state
    if holding is None or state is None:
        return (Text("silent", style="bold red"), name, *[Text()] * 4)
    ails = bool(node.gaps or state.conditions)
    health = Text("gaps", style="bold yellow") if node.gaps else Text("ails" if ails else "ok")
    health.stylize("yellow" if ails else "green")
    ours = holding.owner in ("", owner)
    return (
        health,
        name,
        Text(f"owner {visible(holding.owner) or 'nobody'}", style="" if ours else "bold yellow"),
        Text(f"generation {holding.generation}"),
        Text(f"enforcer {visible(state.enforcer)}"),
        Text(f"{len(node.intents)} accepted, {node.enforced} enforced, {node.idle} without threads"),
    )


def _details(node: NodeStatus) -> Iterator[Text]:
    if node.silence:
        yield Text(f"    {visible(node.silence)}")
    if node.state is not None:
        for condition in node.state.conditions:
            text = Text()
            text.append("    ").append(visible(condition.kind), style="yellow").append(
                f": {visible(condition.message)}"
            )
            if condition.cure:
                text.append("\n      = ", style="blue").append(visible(condition.cure))
            yield text
    for each in node.gaps[:GAPS_SHOWN]:
        text = Text()
        yield text.append("    gap: ", style="yellow").append(gap(each))
    if len(node.gaps) > GAPS_SHOWN:
        yield Text(f"    and {len(node.gaps) - GAPS_SHOWN} more; -o json has all", style="dim")


def _ending(nodes: Sequence[NodeStatus]) -> Text:
    text = Text("\n")
    return text.append("Status:", style="bold").append(status_line(nodes).removeprefix("Status:"))
