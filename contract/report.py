"""Outcomes for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence

from contract.matching import show
from contract.running import Outcome, Verdict

_MARKS = {Verdict.HELD: "ok      ", Verdict.BROKEN: "BROKEN  ", Verdict.LEFT_OUT: "left out"}


def line(outcome: Outcome, *, verbose: bool) -> str:
    """One outcome as text; empty where it held and nobody asked."""
    if outcome.verdict is Verdict.HELD:
        return f"{_MARKS[outcome.verdict]} {outcome.step.name}" if verbose else ""
    if outcome.verdict is Verdict.LEFT_OUT:
        return f"{_MARKS[outcome.verdict]} {outcome.step.name}: {'; '.join(outcome.details)}"
    request = outcome.step.request
    lines = [f"{_MARKS[outcome.verdict]} {outcome.step.name}", f"         {request.method} {request.path}"]
    lines += [f"         {detail}" for detail in outcome.details]
    if outcome.got is not None:
        lines.append(f"         answered {outcome.got.status} {show(outcome.got.text)}")
    return "\n".join(lines)


def summary(outcomes: Sequence[Outcome]) -> str:
    """How many held, are broken, and were left out."""
    count = {verdict: sum(one.verdict is verdict for one in outcomes) for verdict in Verdict}
    return (
        f"{count[Verdict.HELD]} held, {count[Verdict.BROKEN]} broken, {count[Verdict.LEFT_OUT]} left out "
        f"of {len(outcomes)}"
    )


def as_json(outcomes: Sequence[Outcome]) -> str:
    """All outcomes as one JSON array."""
    rows = [{"step": one.step.name, "verdict": one.verdict.value, "details": list(one.details)} for one in outcomes]
    return json.dumps(rows, indent=2)
