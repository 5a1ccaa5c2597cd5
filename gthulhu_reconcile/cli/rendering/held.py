"""What a node's agent says of one pod: which intents it holds, and what the kernel has of them."""

from __future__ import annotations

from rich.text import Text

from gthulhu_reconcile.cli.rendering.columns import columns
from gthulhu_reconcile.cli.rendering.nodes import NodeStatus
from gthulhu_reconcile.cli.rendering.words import count, duration, policy_name, visible
from gthulhu_reconcile.model.plan import Explanation
from gthulhu_reconcile.transport.reports import IntentState


def held(explained: Explanation, status: NodeStatus | None) -> Text:
    """What the node's agent says of the pod: which of the winners it holds, and what the kernel has of them."""
    text = Text()
    if status is None or explained.pod is None:
        return text.append("No agent was asked what it holds.", style="dim")
    if status.state is None or status.holding is None:
        text.append("The agent did not answer", style="yellow")
        return text.append(f": {visible(status.silence)}")
    found = [each for each in status.intents if each.pod is not None and each.pod.uid == explained.pod.uid]
    text.append(
        f"The agent holds generation {status.holding.generation} of {visible(status.holding.owner) or 'nobody'}"
    )
    text.append(f", enforcer {visible(status.state.enforcer)}; ")
    if not found:
        return text.append("nothing of it is about this pod.")
    text.append("of this pod:\n")
    for line in columns([_held(each) for each in found]):
        text.append("  ").append_text(line).append("\n")
    for each in found:
        for refused in each.refused:
            text.append("  refused", style="yellow").append(f" {policy_name(each.policy)}: {visible(refused)}\n")
    text.rstrip()
    return text


def _held(intent: IntentState) -> tuple[Text, ...]:
    since = f"enforced since {intent.enforced_since}" if intent.enforced_since else "not enforced"
    if intent.expired:
        since = "ended"
    numbers = [
        f"{name} {value}" for name, value in (("weight", intent.weight), ("nice", intent.nice)) if value is not None
    ]
    threads = f"{count(intent.threads, 'thread')} in {count(intent.processes, 'process', 'processes')}"
    return (
        Text(policy_name(intent.policy), style="bold"),
        Text(f"rank {intent.rank}"),
        Text(since, style="green" if intent.enforced_since else "yellow"),
        Text(threads),
        Text(", ".join([*_effective(intent), *numbers])),
    )


def _effective(intent: IntentState) -> list[str]:
    words = []
    for name, value in intent.effective.items():
        if value is True:
            words.append(name)
        elif name == "timeSlice" and isinstance(value, int) and value:
            words.append(f"{name} {duration(value)}")
        elif value not in (None, False):
            words.append(visible(f"{name} {value}"))
    return words
