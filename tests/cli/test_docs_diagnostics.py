"""docs/diagnostics.md: a heading for every code, each with an example that really prints what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.documented import CHECKOUT, WRITE, Section, check, sections

from gthulhu_reconcile.model.diagnostics import Code

PAGE = CHECKOUT / "docs/diagnostics.md"
SECTIONS = sections(PAGE)


def test_every_code_has_a_heading() -> None:
    assert [section.title for section in SECTIONS] == [code.value for code in Code]


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_the_example_prints_what_the_page_says(
    section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(PAGE, section, tmp_path, monkeypatch)
    assert WRITE or f"[{section.title}]: " in section.text
