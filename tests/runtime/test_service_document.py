"""docs/service.md names what there is, all of it and nothing else."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path

import pytest

from gthulhu_reconcile.model.plan import Action, Guard
from gthulhu_reconcile.runtime.causes import Cause
from gthulhu_reconcile.runtime.metrics import PHASES, RESOURCES, AgentState, Metrics
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.transport.watched_calls import OPERATIONS, OUTCOMES

PAGE = (Path(__file__).parents[2] / "docs" / "service.md").read_text(encoding="utf-8")
LINES = dict(re.findall(r"^\| `([a-z_]+(?:\{[a-z,]+\})?)` \| (.*) \|$", PAGE, re.MULTILINE))


def _documented() -> dict[str, tuple[str, ...]]:
    found = {}
    for name in LINES:
        if match := re.fullmatch(r"((?:gthulhu|process)_[a-z_]+)(?:\{([a-z,]+)\})?", name):
            found[match[1]] = tuple((match[2] or "").split(",")) if match[2] else ()
    return found


def _served() -> dict[str, tuple[str, ...]]:
    metrics = Metrics()
    metrics.policies({"default/web": True}, {"default/web": 1.0})
    found = {}
    for family in metrics.registry.collect():
        suffix = "_total" if family.type == "counter" else ""
        samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
        names = {name for sample in samples for name in sample.labels if name != "le"}
        found[family.name + suffix] = tuple(sorted(names))
    return found


def test_every_metric_has_its_line_with_its_labels_and_every_line_its_metric() -> None:
    assert {name: tuple(sorted(labels)) for name, labels in _documented().items()} == _served()


@pytest.mark.parametrize("words", [Result, Cause])
def test_results_and_causes_have_a_line_each(words: type[StrEnum]) -> None:
    for word in words:
        assert word.value in LINES


def test_closed_lists_of_labels_are_written_out() -> None:
    for word in (*PHASES, *RESOURCES, *OPERATIONS, *OUTCOMES, *Action, *Guard, *AgentState):
        assert f"`{word}`" in PAGE, word


def test_series_of_a_policy_end_with_it() -> None:
    metrics = Metrics()
    metrics.policies({"a/x": True, "a/y": False}, {"a/y": 1.0})
    value = metrics.registry.get_sample_value
    assert value("gthulhu_policy_ready", {"policy": "a/y"}) == 0
    assert value("gthulhu_policy_suspended_timestamp_seconds", {"policy": "a/y"}) == 1
    metrics.policies({"a/x": True}, {})
    assert value("gthulhu_policy_ready", {"policy": "a/x"}) == 1
    assert value("gthulhu_policy_ready", {"policy": "a/y"}) is None
    assert value("gthulhu_policy_suspended_timestamp_seconds", {"policy": "a/y"}) is None
