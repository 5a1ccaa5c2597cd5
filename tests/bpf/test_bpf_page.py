"""docs/bpf.md names what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from gthulhu_agent.discovery.events.choose import WAYS
from gthulhu_agent.discovery.events.event import Kind
from gthulhu_agent.discovery.events.tracer import Budget
from gthulhu_agent.doctor import examine

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/bpf.md").read_text()


def test_every_event_and_every_way_has_its_line() -> None:
    lines = PAGE.splitlines()
    for name in (*(kind.name for kind in Kind), *WAYS):
        assert any(line.startswith(f"| `{name}` |") for line in lines), name


@pytest.mark.kernel
def test_doctor_looks_at_all_that_hearing_needs() -> None:
    names = {check.name for check in examine() if check.needed_for == "events"}
    assert names == {"libbpf", "bpf-object", *(f"events-{way}" for way in WAYS)}
    assert all(name in PAGE for name in names)


def test_every_file_has_its_line() -> None:
    for source in (ROOT / "bpf").iterdir():
        assert f"| `bpf/{source.name}` |" in PAGE


def test_the_budget_is_the_one_that_is_given() -> None:
    budget = Budget()
    assert f"A watched cgroup has {budget.events} events in {budget.window * 1000:g} ms." in PAGE
    assert f"again {budget.window * 1200:g} ms after" in PAGE
