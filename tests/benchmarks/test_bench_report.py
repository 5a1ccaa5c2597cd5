"""The page of figures: each benchmark's section is its own, and what others wrote stays."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report import PAGE, Facts, PageError, Section, facts, finish, options, placed, ratio, render, spread, table

FACTS = Facts("2026-01-02", 2, "Linux 6.18.44", "3.11.7", 0.25)
SECTION = Section("bench-plan", "Planning", ("Words.", table(("what", "ms"), [("a", "1.0"), ("b", "2.0")])))
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="<\r"), max_size=40)


def test_a_section_has_its_command_its_table_its_day_and_its_machine() -> None:
    assert render(SECTION, FACTS) == (
        "## Planning: `make bench-plan`\n\nWords.\n\n| what | ms |\n| --- | ---: |\n| a | 1.0 |\n| b | 2.0 |\n\n"
        "2026-01-02, 2 CPUs, Linux 6.18.44, Python 3.11.7, load 0.2 before the run.\n"
    )


@given(TEXTS, TEXTS, TEXTS, TEXTS)
def test_writing_one_section_leaves_every_other_byte(head: str, one: str, other: str, again: str) -> None:
    page = placed(placed(head, "bench-a", one), "bench-b", other)
    changed = placed(page, "bench-a", again)
    assert changed == placed(placed(head, "bench-a", again), "bench-b", other)
    assert placed(changed, "bench-a", one) == page


@pytest.mark.parametrize(
    "spoil",
    [
        lambda page: page.replace("<!-- bench-a: end -->\n", ""),
        lambda page: page.replace("<!-- bench-a: begin, written by the benchmark -->\n", ""),
        lambda page: page + page,
        lambda page: page.replace("one\n", "one\n<!-- bench-b: end -->\n"),
    ],
    ids=["no end", "no begin", "twice", "another's mark inside"],
)
def test_marks_that_do_not_pair_are_refused_before_anything_is_lost(spoil: object) -> None:
    assert callable(spoil)
    with pytest.raises(PageError):
        placed(spoil(placed("", "bench-a", "one")), "bench-a", "two")


@pytest.mark.parametrize("name", ["", "Bench", "a b", "a-->"])
def test_a_name_that_could_end_the_mark_is_refused(name: str) -> None:
    with pytest.raises(PageError):
        placed("", name, "text")


def test_nothing_is_written_unless_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Figures\n")
    finish(options("").parse_args([]), SECTION, FACTS, page=page)
    assert page.read_text() == "# Figures\n"
    assert render(SECTION, FACTS) in capsys.readouterr().out
    asked = options("").parse_args(["--write", "--date", "2026-03-04"])
    finish(asked, SECTION, facts(asked), page=page)
    assert "2026-03-04, " in page.read_text()


def test_medians_are_told_with_their_spread() -> None:
    assert (spread([3.0, 1.0, 2.0], 1), spread([1.25], 2)) == ("2.0 (1.0 – 3.0)", "1.25")  # noqa: RUF001 - a range
    assert ratio([4.0, 2.0, 9.0], [2.0]) == "2.0"


def test_every_benchmark_has_its_section_on_the_page_and_its_target() -> None:
    page = PAGE.read_text(encoding="utf-8")
    makefile = (PAGE.parents[1] / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"^<!-- (bench-[a-z0-9-]+): begin", page, re.MULTILINE)
    assert sorted(named) == sorted(re.findall(r"^(bench-[a-z0-9-]+):", makefile, re.MULTILINE))
    for name in named:
        assert placed(page, name, "") != page
