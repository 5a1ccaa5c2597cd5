"""Each action, reason, verdict and guard has its line in docs/plan.md, and the page has no other."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from gthulhu_reconcile.model.plan import Action, Guard, Reason, Verdict

PAGE = (Path(__file__).resolve().parents[2] / "docs/plan.md").read_text()


@pytest.mark.parametrize(
    ("heading", "words"), [("Actions", Action), ("Reasons", Reason), ("Verdicts", Verdict), ("Guards", Guard)]
)
def test_the_page_has_a_line_for_each_word(heading: str, words: type[StrEnum]) -> None:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| `([a-z-]+)` \|", section, re.MULTILINE)) == {word.value for word in words}
