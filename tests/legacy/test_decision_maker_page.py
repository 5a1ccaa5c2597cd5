"""docs/decision-maker.md says what is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gthulhu_agent.api.decision_maker import INSIDE, OUTSIDE
from gthulhu_wire.dialects import Dialect, hear

TEXT = (Path(__file__).parents[2] / "docs/decision-maker.md").read_text(encoding="utf-8")
TESTS = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parents[1].rglob("test_*.py"))


def section(heading: str) -> str:
    return TEXT.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]


def test_every_call_has_its_line() -> None:
    told = set(re.findall(r"^\| `([A-Z]+ [^`]+)` \|", section("Calls"), re.MULTILINE))
    assert told == {f"{route.method} {route.path}" for route in (*INSIDE, *OUTSIDE)}


@pytest.mark.parametrize(("number", "dialects"), [(0, (Dialect.KERNEL,)), (1, (Dialect.USER, Dialect.BOOL))])
def test_the_scales_are_as_told(number: int, dialects: tuple[Dialect, ...]) -> None:
    table = section("Scales of priority").split("| said |")[number + 1]
    rows = re.findall(r"^\| (-?\d+) \| (-?\d+) \| (yes|no) \|", table, re.MULTILINE)
    assert len(rows) >= 3
    for said, priority, preempts in rows:
        for dialect in dialects:
            heard = hear(dialect, int(said), 0).schedule
            assert (heard.priority, heard.preempt) == (int(priority), preempts == "yes")


def test_every_dialect_is_named() -> None:
    assert set(re.findall(r"`dialect=(\w+)`", TEXT)) == {dialect.value for dialect in Dialect}


def test_every_fault_that_is_said_to_be_mended_has_a_test_of_its_name() -> None:
    rows = re.findall(r"[WXY]-\d\d", section("What is different from upstream"))
    assert len(rows) > 10
    missing = [row for row in rows if f"test_{row[0].lower()}{row[2:]}_" not in TESTS]
    assert missing == []
