"""``gthulhu-agent doctor``: what :mod:`gthulhu_agent.doctor` found, for people and for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict

import click

from gthulhu_agent.doctor import Check, examine

__all__ = ["as_json", "as_text", "examine", "sound"]


def sound(checks: Sequence[Check]) -> bool:
    """Whether this agent sees its node, and one enforcer has all that it needs."""
    enforcers = {check.needed_for for check in checks if check.needed_for} - {"events"}
    return all(check.ok for check in checks if not check.needed_for) and any(
        all(check.ok for check in checks if check.needed_for == enforcer) for enforcer in enforcers
    )


def as_json(checks: Sequence[Check]) -> str:
    """A list of objects, one a check."""
    return json.dumps([asdict(check) for check in checks], indent=2)


def as_text(checks: Sequence[Check], *, colour: bool) -> str:
    """A line a check, by what needs it, the cure under what is missing."""
    colour = colour and "NO_COLOR" not in os.environ
    width = max(len(check.name) for check in checks)
    lines: list[str] = []
    for needed_for in dict.fromkeys(check.needed_for for check in checks):
        lines.append(f"for {needed_for}:" if needed_for else "this node:")
        for check in checks:
            if check.needed_for == needed_for:
                word, tone = ("ok     ", "green") if check.ok else ("missing", "red")
                word = click.style(word, fg=tone) if colour else word
                lines.append(f"  {word}  {check.name:{width}}  {check.why}")
                if check.cure and not check.ok:
                    lines.append(f"           {'':{width}}  cure: {check.cure}")
    return "\n".join(lines)
