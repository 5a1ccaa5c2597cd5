"""A plan as people read it: by node, then by pod, only what changes, and who asks for it.

::

    Signs:
      + add
      ~ update

    node worker-07: 1 to add, 1 to update

      pod shop/web-6d4
        ~ by web-latency (policies/web.yaml:3): the policy asks for something else
            priority  = 0 -> 20
            timeSlice = 5ms -> 2ms

    Plan: 1 to add, 1 to update, 0 to delete, 0 to forget on 1 of 40 nodes.

:func:`summary_line` is an interface: scripts read it, so it changes only with a new major version.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from rich.text import Text

from gthulhu_reconcile.cli.rendering.attributes import compare
from gthulhu_reconcile.cli.rendering.diagnostics import diagnostic
from gthulhu_reconcile.cli.rendering.words import (
    ACTIONS,
    GUARDS,
    REASONS,
    count,
    place,
    pod_name,
    policy_name,
    visible,
)
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.plan import Action, Change, Guard, Plan, Reason
from gthulhu_wire.intents import PodRef

SIGNS = {Action.ADD: "+", Action.UPDATE: "~", Action.DELETE: "-", Action.FORGET: "."}
LEFT_OUT_SHOWN = 20
SENT_AGAIN = "is sent the whole set again, since what was stored there is damaged"
STYLES = {Action.ADD: "green", Action.UPDATE: "yellow", Action.DELETE: "red", Action.FORGET: "cyan"}


def plan(planned: Plan, *, approve: str = "", ties: Iterable[Diagnostic] = ()) -> Iterator[Text]:
    """The whole plan in blocks, one for each node, so that a large one appears while it is made.

    Args:
        planned: the plan.
        approve: the command that would release its hold; empty leaves the advice out.
        ties: the plan's ties as findings.
    """
    if planned.changes:
        yield _legend(planned.changes)
        for node, changes in groupby(planned.changes, key=lambda change: change.node):
            yield _node(node, tuple(changes))
    if planned.adopted:
        yield _adopted(planned.adopted)
    for tie in ties:
        yield diagnostic(tie).append("\n")
    if again := sent_again(planned):
        yield _again(again)
    if planned.unreachable:
        yield _left_out(planned)
    if planned.held is not None:
        yield _hold(planned, approve)
    yield _ending(planned)


def sent_again(planned: Plan) -> tuple[str, ...]:
    """Nodes that are sent their set whatever changes: their agents could not read back what they had stored."""
    return tuple(node for node in planned.changed_nodes if planned.bases[node].damaged)


def summary_line(planned: Plan) -> str:
    """``Plan: 2 to add, 1 to update, 0 to delete, 0 to forget on 2 of 40 nodes.``: an interface."""
    summary = planned.summary
    counts = f"{summary.add} to add, {summary.update} to update, {summary.delete} to delete, {summary.forget} to forget"
    return f"Plan: {counts} on {len(planned.changed_nodes)} of {count(len(planned.digests), 'node')}."


def _legend(changes: Sequence[Change]) -> Text:
    used = {change.action for change in changes}
    text = Text("Signs:\n")
    for action in Action:
        if action in used:
            text.append(f"  {SIGNS[action]} ", style=STYLES[action]).append(f"{ACTIONS[action]}\n")
    return text


def _node(node: str, changes: Sequence[Change]) -> Text:
    text = Text()
    text.append("node ").append(visible(node), style="bold").append(f": {_counts(changes)}\n")
    for pod, of_pod in groupby(changes, key=lambda change: change.pod):
        text.append("\n")
        _target(text, pod)
        for change in of_pod:
            _change(text, change)
    return text


def _counts(changes: Iterable[Change]) -> str:
    actions = Counter(change.action for change in changes)
    return ", ".join(f"{actions[action]} to {action}" for action in Action if actions[action])


def _target(text: Text, pod: PodRef | None) -> None:
    if pod is None:
        text.append("  the node itself\n")
    else:
        text.append("  pod ").append(pod_name(pod), style="bold").append("\n")


def _change(text: Text, change: Change) -> None:
    text.append(f"    {SIGNS[change.action]} ", style=STYLES[change.action])
    text.append("by " if change.after is not None else "was by ")
    text.append(policy_name(change.policy), style="bold")
    if where := place(change.policy.source, change.line):
        text.append(f" ({where})")
    text.append(f": {REASONS[change.reason]}\n", style="dim")
    if change.reason is Reason.MOVED and change.before is not None:
        text.append(f"        was in {visible(change.before.terms.policy.source) or 'no file'}\n")
        return
    _attributes(text, change)


def _attributes(text: Text, change: Change) -> None:
    everything = compare(change.before, change.after)
    attributes = [each for each in everything if each.changed or change.action is not Action.UPDATE]
    hidden = len(everything) - len(attributes)
    width = max((len(each.name) for each in attributes), default=0)
    if change.action is not Action.UPDATE:
        # In one piece: a first rollout has a hundred thousand of these.
        text.append("".join(f"        {each.name:<{width}} = {each.value}\n" for each in attributes))
        return
    for each in attributes:
        text.append(f"        {each.name:<{width}} = {each.before}").append(" -> ", style="dim")
        text.append(f"{each.after}\n", style="bold")
    if hidden:
        text.append(f"        ({count(hidden, 'unchanged attribute')} hidden)\n", style="dim")


def _adopted(nodes: Sequence[str]) -> Text:
    text = Text()
    text.append("Taken over", style="bold yellow").append(" from another owner: ")
    text.append(", ".join(map(visible, nodes))).append("\n")
    return text


def _again(nodes: Sequence[str]) -> Text:
    text = Text()
    text.append("Sent again: ", style="bold yellow")
    text.append(f"{count(len(nodes), 'node has', 'nodes have')} to be sent the whole set again, whatever changes, ")
    text.append("since what was stored there is damaged:\n")
    for node in nodes[:LEFT_OUT_SHOWN]:
        text.append(f"  {visible(node)}\n")
    if len(nodes) > LEFT_OUT_SHOWN:
        text.append(f"  and {len(nodes) - LEFT_OUT_SHOWN} more\n", style="dim")
    return text


def _left_out(planned: Plan) -> Text:
    text = Text()
    text.append("Warning: ", style="bold yellow")
    text.append(f"{count(len(planned.unreachable), 'node')} left out, with nothing planned there:\n")
    shown = planned.unreachable[:LEFT_OUT_SHOWN]
    width = max(len(left.node) for left in shown)
    for left in shown:
        text.append(f"  {visible(left.node):<{width}}  ")
        text.append(f"{visible(left.reason)}\n")
    more = len(planned.unreachable) - len(shown)
    if more:
        text.append(f"  and {more} more; -o json has all\n", style="dim")
    return text


def _hold(planned: Plan, approve: str) -> Text:
    held = planned.held
    text = Text()
    if held is None:
        return text
    rule = "│ "
    lines = [("Held: ", f"{GUARDS[held.guard]} (guard {held.guard})."), ("", visible(held.message))]
    if held.guard is Guard.UNREADABLE_INPUT:
        lines.append(("", "This hold cannot be approved: what was not read is not known. Mend the input, plan again."))
    elif approve:
        lines += [("", "Where that is meant, release this one plan with"), ("", f"  {approve}")]
    text.append("╷\n", style="yellow")
    for lead, line in lines:
        text.append(rule, style="yellow").append(lead, style="bold yellow").append(f"{line}\n")
    return text.append("╵\n", style="yellow")


def _ending(planned: Plan) -> Text:
    text = Text()
    if planned.held is None and not planned.bases:
        text.append("No node could be planned.", style="bold yellow")
        text.append(" What their agents hold is not compared.\n" if planned.unreachable else " There is none.\n")
    elif planned.held is None and not planned.changes and not planned.changed_nodes:
        held = count(planned.summary.unchanged, "intent")
        whose = "agents of the planned nodes" if planned.unreachable else "agents"
        text.append("No changes.", style="bold green").append(f" The {whose} hold what the policies ask for: {held}.\n")
    text.append("Plan:", style="bold").append(summary_line(planned).removeprefix("Plan:"))
    return text
