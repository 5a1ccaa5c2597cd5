"""Diagnostics as text: the place, what is wrong, the lines around it with a caret, what is allowed.

::

    policies/web.yaml:14:7: error[unknown-key]: 'priorty' is not allowed here; did you mean 'priority'?
       13 |   schedule:
       14 |     priorty: 10
          |     ^^^^^^^
          = allowed are active, preempt, priority, timeSlice
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len
from rich.text import Text

from gthulhu_reconcile.cli.rendering.words import count, pod_name, policy_name, visible
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.model.plan import Tie
from gthulhu_reconcile.model.policy import Policy

SHOWN_COLUMNS = 160
"""A minified file must not fill the screen: longer lines are cut around the fault."""
LEAD_IN = 40
TIED_PODS_SHOWN = 3

STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow"}


def in_order(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """As a reader walks through the files."""
    return tuple(sorted(diagnostics, key=lambda found: (found.span, found.severity, found.code, found.message)))


def headline(found: Diagnostic) -> str:
    """One line without colour: what the GitHub and JUnit forms show too."""
    return f"{address(found.span)}: {found.severity}[{found.code}]: {sentence(found)}"


def address(span: Span) -> str:
    """``path:line:column``, as compilers print it and editors follow it."""
    path = visible(span.path)
    return f"{path}:{span.line}:{span.column}" if span.line else path


def sentence(found: Diagnostic) -> str:
    """What is wrong, with the likely cure."""
    asked = f"; did you mean '{visible(found.suggestion)}'?" if found.suggestion else ""
    return f"{visible(found.message)}{asked}"


def diagnostic(found: Diagnostic) -> Text:
    """One finding, several lines."""
    text = Text()
    text.append(f"{address(found.span)}: ", style="bold")
    text.append(f"{found.severity}[{found.code}]", style=STYLES[found.severity])
    text.append(f": {sentence(found)}")
    numbers = len(str(max((number for number, _ in found.snippet), default=0)))
    gutter = max(numbers, 2) + 3
    _snippet(text, found, gutter)
    for line in found.hint.splitlines():
        text.append(f"\n{' ' * gutter} = ", style="blue")
        text.append(visible(line))
    return text


def tally(diagnostics: Sequence[Diagnostic], files: int, policies: int) -> Text:
    """The last line: ``Valid: 12 policies in 3 files.``, or how many findings of each kind."""
    errors = sum(found.severity is Severity.ERROR for found in diagnostics)
    warnings = len(diagnostics) - errors
    text = Text()
    if not diagnostics:
        text.append("Valid", style="bold green").append(": ")
        return text.append(f"{count(policies, 'policy', 'policies')} in {count(files, 'file')}.")
    parts = [count(number, word) for number, word in ((errors, "error"), (warnings, "warning")) if number]
    text.append(", ".join(parts), style=STYLES[Severity.ERROR if errors else Severity.WARNING])
    return text.append(f" in {count(files, 'file')}.")


def tie_findings(ties: Iterable[Tie], policies: Iterable[Policy]) -> tuple[Diagnostic, ...]:
    """Ties of a plan, each at the document of the policy that loses."""
    lines = {policy.ref: policy.line for policy in policies}
    return tuple(_tie(tie, lines.get(tie.loser, 0)) for tie in ties)


def _tie(tie: Tie, line: int) -> Diagnostic:
    pods = ", ".join(map(pod_name, tie.pods[:TIED_PODS_SHOWN]))
    more = tie.count - min(len(tie.pods), TIED_PODS_SHOWN)
    where = f"{pods} and {more} more" if more > 0 else pods
    winner, loser = policy_name(tie.winner), policy_name(tie.loser)
    return Diagnostic(
        Code.TIE,
        Severity.WARNING,
        Span(tie.loser.source, line, min(line, 1), min(line, 1) + 1),
        f"nothing but their names orders '{winner}' and '{loser}'",
        hint=f"'{winner}' wins in {where or 'the node itself'}; give one of them a higher precedence",
    )


def _snippet(text: Text, found: Diagnostic, gutter: int) -> None:
    start = 0
    for number, line in found.snippet:
        if number == found.span.line:
            start = max(found.span.column - 1 - LEAD_IN, 0) if len(line) > SHOWN_COLUMNS else 0
    for number, line in found.snippet:
        shown = _cut(line, start)
        text.append(f"\n{number:>{gutter}} |{' ' if shown else ''}", style="blue")
        text.append(shown)
        if number == found.span.line:
            text.append(f"\n{' ' * gutter} | ", style="blue")
            text.append(_caret(line, found.span, start), style=STYLES[found.severity])


def _cut(line: str, start: int) -> str:
    shown = visible(line)[start : start + SHOWN_COLUMNS]
    return shown.rstrip() if start + SHOWN_COLUMNS >= len(line) else f"{shown}…"


def _caret(line: str, span: Span, start: int) -> str:
    line = visible(line)
    first = max(span.column - 1, start)
    last = min(max(span.end_column - 1, first + 1), start + SHOWN_COLUMNS)
    # Cells, not characters: a caret under Chinese text stands twice as far to the right.
    return " " * cell_len(line[start:first]) + "^" * max(cell_len(line[first:last]), 1)
