"""Findings in all their forms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from xml.etree import ElementTree as ET

from cli import samples
from syrupy.assertion import SnapshotAssertion

from gthulhu_reconcile.cli.rendering import diagnostics as rendering
from gthulhu_reconcile.cli.rendering import github, junit
from gthulhu_reconcile.cli.terminal import Color
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span

Drawn = Callable[..., str]


def test_a_finding_shows_the_place(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(map(rendering.diagnostic, (samples.unknown_key(), samples.tie()))) == golden


def test_a_finding_in_colour(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(map(rendering.diagnostic, (samples.unknown_key(),)), color=Color.ALWAYS) == golden


def test_a_caret_stands_under_wide_characters(drawn: Drawn) -> None:
    found = replace(samples.unknown_key(), span=Span("x.yaml", 1, 4, 6), snippet=((1, "名: 優先"),))
    lines = drawn([rendering.diagnostic(found)]).splitlines()
    assert lines[1] == "    1 | 名: 優先"
    assert lines[2] == "      |     ^^^^"


def test_a_minified_file_does_not_fill_the_screen(drawn: Drawn) -> None:
    line = "{" + "a: 1, " * 10_000 + "priorty: 2}"
    column = line.index("priorty") + 1
    found = replace(samples.unknown_key(), span=Span("x.yaml", 1, column, column + 7), snippet=((1, line),))
    lines = drawn([rendering.diagnostic(found)]).splitlines()
    assert max(map(len, lines)) < 200
    assert lines[2].index("^") == lines[1].index("priorty")


def test_a_snippet_cannot_steer_the_terminal(drawn: Drawn) -> None:
    found = replace(samples.unknown_key(), snippet=((14, "a: \x1b]0;owned\x07"),), message="bad \x9b2J")
    text = drawn([rendering.diagnostic(found)])
    assert not any(sign in text for sign in "\x1b\x07\x9b")


def test_a_finding_of_a_whole_file_has_no_line() -> None:
    found = Diagnostic(Code.UNREADABLE, Severity.ERROR, Span("policies/", 0, 0, 0), "is not readable")
    assert rendering.headline(found) == "policies/: error[unreadable]: is not readable"


def test_findings_come_in_the_order_of_the_files() -> None:
    first = replace(samples.unknown_key(), span=Span("a.yaml", 9, 1, 2))
    second = replace(samples.unknown_key(), span=Span("a.yaml", 10, 1, 2))
    assert rendering.in_order([second, samples.tie(), first]) == (first, second, samples.tie())


def test_annotations_are_escaped() -> None:
    lines = github.diagnostics([replace(samples.unknown_key(), message="100 %\nreally", span=Span("a,b:c", 1, 2, 3))])
    where = "file=a%2Cb%3Ac,line=1,col=2,endColumn=3,title=unknown-key"
    message = "100 %25␊really; did you mean 'priority'?%0Aallowed are active, preempt, priority, timeSlice"
    assert lines == [f"::error {where}::{message}"]


def test_a_plan_as_annotations(golden: SnapshotAssertion) -> None:
    assert "\n".join(github.plan(samples.troubled_plan(), [samples.tie()])) + "\n" == golden


def test_a_plan_as_junit(golden: SnapshotAssertion) -> None:
    suites = [
        junit.files(["policies/web.yaml", "policies/batch.yaml"], [samples.unknown_key(), samples.tie()]),
        junit.plan(samples.troubled_plan()),
    ]
    assert junit.document(suites) == golden


def test_junit_carries_no_character_that_xml_cannot() -> None:
    found = replace(samples.unknown_key(), message="bell \x07 and \x00")
    root = ET.fromstring(junit.document([junit.files([], [found])]))  # noqa: S314 - made two lines above
    assert root.get("failures") == "1"
