"""GitHub workflow commands: one annotation a line, at the file and line it is about.

GitHub shows at most ten of a kind for each step, so changes are gathered by policy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from gthulhu_reconcile.cli.rendering.diagnostics import in_order, sentence
from gthulhu_reconcile.cli.rendering.plan import SENT_AGAIN, sent_again, summary_line
from gthulhu_reconcile.cli.rendering.words import GUARDS, count, policy_name, visible
from gthulhu_reconcile.model.diagnostics import Diagnostic, Severity
from gthulhu_reconcile.model.plan import Action, Change, Plan
from gthulhu_wire.intents import PolicyRef

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning"}


def annotation(level: str, message: str, *, title: str = "", path: str = "", line: int = 0, **span: int) -> str:
    """One workflow command, escaped as the runner's parser reads it back.

    Args:
        level: ``error``, ``warning`` or ``notice``.
        message: may have several lines.
        title: shown in bold.
        path: file relative to the repository.
        line: 1-based, 0 where the whole file is meant.
        **span: ``col`` and ``endColumn``.
    """
    properties: dict[str, str | int] = {"file": path} if path else {}
    if path and line:
        properties |= {"line": line, **span}
    if title:
        properties["title"] = title
    listed = ",".join(f"{key}={_property(str(value))}" for key, value in properties.items())
    return f"::{level}{' ' if listed else ''}{listed}::{_message(message)}"


def diagnostics(found: Iterable[Diagnostic]) -> list[str]:
    """Findings as annotations."""
    return [
        annotation(
            LEVELS[each.severity],
            "\n".join(filter(None, (sentence(each), each.hint))),
            title=each.code,
            path=each.span.path,
            line=each.span.line,
            col=each.span.column,
            endColumn=each.span.end_column,
        )
        for each in in_order(found)
    ]


def plan(planned: Plan, found: Sequence[Diagnostic] = ()) -> list[str]:
    """A plan as annotations: findings, the hold, nodes left out, ties, and a notice for each policy that changes."""
    lines = diagnostics(found)
    if planned.held is not None:
        lines.append(annotation("error", planned.held.message, title=f"plan held: {GUARDS[planned.held.guard]}"))
    lines += [
        annotation("warning", f"{left.node}: {left.reason}", title="node left out") for left in planned.unreachable
    ]
    lines += [
        annotation("warning", f"{node}: {SENT_AGAIN}", title="stored set damaged") for node in sent_again(planned)
    ]
    lines += [_policy(policy, changes) for policy, changes in sorted(_by_policy(planned.changes).items())]
    lines.append(annotation("notice", summary_line(planned), title="plan"))
    return lines


def _by_policy(changes: Iterable[Change]) -> dict[PolicyRef, list[Change]]:
    gathered: dict[PolicyRef, list[Change]] = {}
    for change in changes:
        gathered.setdefault(change.policy, []).append(change)
    return gathered


def _policy(policy: PolicyRef, changes: Sequence[Change]) -> str:
    actions = Counter(change.action for change in changes)
    nodes = len({change.node for change in changes})
    counted = ", ".join(f"{actions[action]} to {action}" for action in Action if actions[action])
    gone = not any(change.line for change in changes)
    return annotation(
        "notice",
        f"{counted} on {count(nodes, 'node')}",
        title=policy_name(policy),
        path="" if gone else policy.source,
        line=max(change.line for change in changes),
    )


def _message(text: str) -> str:
    safe = "\n".join(visible(line) for line in text.splitlines())
    return safe.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
