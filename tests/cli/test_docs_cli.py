"""docs/cli.md and docs/exit-codes.md: what they show is what the program prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli.documented import CHECKOUT, Section, check, sections

from gthulhu_reconcile.cli.commands import COMMANDS
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.rendering.drift import Kind

PAGE = CHECKOUT / "docs/cli.md"
SECTIONS = sections(PAGE)


def test_every_command_has_a_heading() -> None:
    assert {section.title for section in SECTIONS} >= {*COMMANDS, "gthulhu-reconcile"}


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.title)
def test_the_page_shows_what_the_program_prints(
    section: Section, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(PAGE, section, tmp_path, monkeypatch)


def test_every_exit_code_has_a_row() -> None:
    rows = (CHECKOUT / "docs/exit-codes.md").read_text(encoding="utf-8")
    for status in Exit:
        assert f"| {status.value} | " in rows


def test_every_kind_of_drift_has_a_row() -> None:
    (drift,) = (section.text for section in SECTIONS if section.title == "drift")
    for kind in Kind:
        assert f"| `{kind}` | " in drift
