"""Which way of hearing is taken and what is said about those that were not; cgroups that stay crowded for a while."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.events import choose
from gthulhu_agent.discovery.events.event import Events
from gthulhu_agent.discovery.events.tracer import Crowds
from gthulhu_agent.discovery.layout import Layout, LayoutKind
from gthulhu_agent.errors import BpfError, EventsError

LAYOUT = Layout(LayoutKind.V2, 2, Path("/nowhere"))


def only(works: str | None) -> object:
    def open_way(way: str, layout: Layout) -> Events:
        assert layout is LAYOUT
        if way == works:
            return way  # type: ignore[return-value] # stands for itself
        raise {"bpf": BpfError("no BTF", "another kernel"), "connector": EventsError("no answer")}[way]

    return open_way


@pytest.mark.parametrize(
    ("name", "works", "expected"),
    [
        ("auto", "bpf", ("bpf", "")),
        ("auto", "connector", ("connector", "bpf: no BTF; another kernel")),
        ("auto", None, (None, "bpf: no BTF; another kernel; connector: no answer")),
        ("bpf", "connector", (None, "bpf: no BTF; another kernel")),
        ("connector", "bpf", (None, "connector: no answer")),
        ("none", "bpf", (None, "switched off")),
    ],
)
def test_the_best_that_works_is_taken(
    name: str, works: str | None, expected: tuple[str | None, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choose, "open_way", only(works))
    assert choose.open_events(name, LAYOUT) == expected


def test_a_way_that_is_none_is_refused_with_those_there_are() -> None:
    assert choose.open_events("audit", LAYOUT) == (
        None,
        "audit: audit is no way of hearing; one of auto, bpf, connector, none",
    )


MOMENTS = st.lists(st.tuples(st.floats(0, 1), st.lists(st.integers(1, 4), max_size=3)), max_size=30)


@given(MOMENTS)
def test_who_is_crowded_is_told_so_once_more_after_the_last_word_about_it(
    moments: list[tuple[float, list[int]]],
) -> None:
    window = 0.1
    crowds, now = Crowds(window), 0.0
    open_words: dict[int, float] = {}
    for pause, crowded in moments:
        now += pause
        for cgroup in crowds.over(now):
            assert now >= open_words.pop(cgroup) + window
        crowds.heard(crowded, now)
        open_words |= dict.fromkeys(crowded, now)
    due = crowds.next()
    assert (due is None) == (not open_words)
    assert set(crowds.over(now + 1)) == set(open_words)
    assert crowds.next() is None
