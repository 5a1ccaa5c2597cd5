"""What became of a push: the failures as a table, the rest as a count."""

from __future__ import annotations

from collections import Counter

from rich.text import Text

from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome, PushResult, PushStatus
from gthulhu_reconcile.cli.rendering.columns import columns
from gthulhu_reconcile.cli.rendering.words import count, visible

OUTCOMES: dict[Outcome, str] = {
    Outcome.ACKNOWLEDGED: "acknowledged",
    Outcome.ALREADY: "already held it",
    Outcome.STALE: "has moved since it was planned",
    Outcome.FOREIGN: "belongs to another owner",
    Outcome.REFUSED: "refused",
    Outcome.FAULTY: "gave a wrong answer",
    Outcome.UNREACHABLE: "did not answer",
}

STYLES = {PushStatus.SUCCESS: "bold green", PushStatus.PARTIAL: "bold yellow", PushStatus.ERROR: "bold red"}


def pushed(result: PushResult) -> Text:
    """The table and the last line."""
    text = Text()
    if result.failed:
        for line in columns([_row(node) for node in result.failed]):
            text.append("  ").append_text(line).append("\n")
        text.append("\n")
    return text.append_text(_ending(result))


def applied_line(result: PushResult) -> str:
    """``Applied: 38 of 40 nodes hold their set, 2 do not.``: an interface."""
    failed = len(result.failed)
    line = f"Applied: {len(result.nodes) - failed} of {count(len(result.nodes), 'node')} hold their set"
    return f"{line}, {failed} {'does' if failed == 1 else 'do'} not." if failed else f"{line}."


def _ending(result: PushResult) -> Text:
    text = Text()
    text.append("Applied:", style=STYLES[result.status]).append(applied_line(result).removeprefix("Applied:"))
    if any(node.outcome is Outcome.STALE for node in result.failed):
        text.append("\nPlan again for the nodes that have moved.")
    unreachable = Counter(node.outcome for node in result.failed)[Outcome.UNREACHABLE]
    if unreachable:
        text.append("\nA node that did not answer may have taken its set all the same; the next pass reads that.")
    return text


def _row(node: NodeOutcome) -> tuple[Text, ...]:
    return (
        Text(visible(node.node), style="bold"),
        Text(OUTCOMES[node.outcome], style="red"),
        Text(visible(node.reason)),
    )
