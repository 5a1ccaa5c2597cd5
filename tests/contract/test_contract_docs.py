"""docs/contract.md and docs/bss.md tell of everything that is there, and of nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from contract.matching import MATCHERS, kinds
from contract.table import load
from gthulhu_agent.api import bss

ROOT = Path(__file__).parents[2]
CONTRACT = (ROOT / "docs/contract.md").read_text(encoding="utf-8")
BSS = (ROOT / "docs/bss.md").read_text(encoding="utf-8")


def first_cells(text: str) -> list[str]:
    """The first cell of each row of a table."""
    return [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| `")]


def test_every_matcher_and_every_kind_has_its_line() -> None:
    named = set(re.findall(r"`\{\"(\$\w+)\"", CONTRACT))
    assert named == {*MATCHERS, "$optional"}
    row = next(line for line in CONTRACT.splitlines() if '{"$is": KIND}' in line)
    assert set(re.findall(r"`(\w+)`", row)) == set(kinds())


def test_every_variable_that_a_table_needs_has_its_line() -> None:
    section = CONTRACT.split("## What steps need\n")[1].split("\n## ")[0]
    told = {name for cell in first_cells(section) for name in re.findall(r"`(\w+)`", cell)}
    needed = {
        name
        for table in ("decision-maker.json", "bss.json")
        for step in load(ROOT / "contract" / table).steps
        for name in step.needs
    }
    assert told == needed | {"token"}


def test_every_call_of_the_bss_api_has_its_line() -> None:
    told = {cell.strip("`") for cell in first_cells(BSS) if re.match(r"`(GET|POST) /\S*`$", cell)}
    assert told == {f"{route.method} {route.path}" for route in bss.ROUTES}
