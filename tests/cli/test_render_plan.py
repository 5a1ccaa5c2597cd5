"""A plan as people read it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace

import pytest
from cli import samples
from rich.text import Text
from syrupy.assertion import SnapshotAssertion

from gthulhu_reconcile.cli.rendering import github, junit
from gthulhu_reconcile.cli.rendering import plan as rendering
from gthulhu_reconcile.cli.rendering.diagnostics import tie_findings
from gthulhu_reconcile.cli.rendering.words import ACTIONS, GUARDS, REASONS, VERDICTS, duration, visible
from gthulhu_reconcile.cli.terminal import Color
from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.model.plan import Action, Guard, Hold, Reason, Summary, Verdict
from gthulhu_wire.intents import Intent, PodRef

Drawn = Callable[..., str]


def test_a_plan_reads_by_node_and_pod(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(rendering.plan(samples.plan())) == golden


def test_a_plan_in_colour(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(rendering.plan(samples.plan()), color=Color.ALWAYS) == golden


def test_a_plan_tells_what_stands_in_its_way(golden: SnapshotAssertion, drawn: Drawn) -> None:
    command = "gthulhu-reconcile apply --approve 4f1c2aa0b9d3"
    troubled = samples.troubled_plan()
    assert drawn(rendering.plan(troubled, approve=command, ties=tie_findings(troubled.ties, ()))) == golden


def test_a_plan_without_changes_still_has_its_summary_line(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(rendering.plan(samples.plan(()))) == golden


def test_a_plan_without_changes_that_heals_a_damaged_store_does_not_say_no_changes(drawn: Drawn) -> None:
    text = drawn(rendering.plan(samples.healing_plan()))
    assert "No changes." not in text
    assert "1 node has to be sent the whole set again" in text
    assert "worker-08" in text
    assert text.endswith("Plan: 0 to add, 0 to update, 0 to delete, 0 to forget on 1 of 3 nodes.\n")
    assert any("worker-08" in line and "damaged" in line for line in github.plan(samples.healing_plan()))
    assert "damaged" in junit.document([junit.plan(samples.healing_plan())])


def test_where_every_agent_was_left_out_nobody_is_said_to_hold_what_is_wanted(drawn: Drawn) -> None:
    left = (Unreachable("worker-07", "no answer within 2s"), Unreachable("worker-08", "owned by staging"))
    nothing = replace(samples.plan((), unreachable=left), bases={}, digests={}, summary=Summary(pods=2))
    text = drawn(rendering.plan(nothing))
    assert "No changes." not in text
    assert "No node could be planned." in text
    assert text.endswith("Plan: 0 to add, 0 to update, 0 to delete, 0 to forget on 0 of 0 nodes.\n")
    some = drawn(rendering.plan(samples.plan((), unreachable=left)))
    assert "No changes. The agents of the planned nodes hold what the policies ask for: 235 intents." in some


def test_only_the_signs_that_are_used_are_explained(drawn: Drawn) -> None:
    text = drawn(rendering.plan(samples.plan((samples.update(),))))
    legend = text.split("\n\n")[0]
    assert "~ update" in legend
    assert not re.search(r"^ *[+.-] ", legend, re.MULTILINE)


def test_an_unreadable_input_offers_no_approval(drawn: Drawn) -> None:
    held = samples.plan(held=Hold(Guard.UNREADABLE_INPUT, "policies/ could not be read in full"))
    text = drawn(rendering.plan(held, approve="gthulhu-reconcile apply --approve 4f1c2aa0b9d3"))
    assert "cannot be approved" in text
    assert "--approve" not in text


def test_a_fleet_without_agents_does_not_bury_the_plan(drawn: Drawn) -> None:
    left = tuple(Unreachable(f"worker-{number:04d}", "no agent") for number in range(500))
    text = drawn(rendering.plan(samples.plan(unreachable=left)))
    assert text.count("no agent") == 20
    assert "and 480 more" in text


def test_the_summary_line_is_an_interface() -> None:
    assert rendering.summary_line(samples.plan()) == (
        "Plan: 2 to add, 1 to update, 1 to delete, 1 to forget on 2 of 3 nodes."
    )


def test_a_hostile_name_cannot_steer_the_terminal(drawn: Drawn) -> None:
    pod = PodRef("shop", "web\x1b[2J\u202eevil\nnode fake", "u")
    change = replace(samples.update(), pod=pod, before=Intent(samples.SLOW, 0, pod), after=Intent(samples.FAST, 0, pod))
    text = drawn(rendering.plan(samples.plan((change,))))
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\nnode fake" not in text


@pytest.mark.parametrize(
    ("enumeration", "words"), [(Reason, REASONS), (Action, ACTIONS), (Verdict, VERDICTS), (Guard, GUARDS)]
)
def test_every_value_has_words(enumeration: Iterable[object], words: dict[object, str]) -> None:
    assert set(enumeration) == set(words)


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(100_000, "100us"), (1_500_000, "1.5ms"), (5_000_000, "5ms"), (100_000_000, "100ms"), (1_234_567, "1234.567us")],
)
def test_slices_are_shown_exactly(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_visible_text_keeps_its_length() -> None:
    text = "a\tb\x00c\x9bd\u2028e\u2066f"
    assert len(visible(text)) == len(text)
    assert visible(text).isprintable()


def test_a_block_for_each_node() -> None:
    blocks = list(rendering.plan(samples.plan()))
    assert all(isinstance(block, Text) for block in blocks)
    assert sum(block.plain.startswith("node ") for block in blocks) == 2
