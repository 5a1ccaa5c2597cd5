"""Hypothesis strategies for the wire's values."""

from __future__ import annotations

from hypothesis import strategies as st

from gthulhu_wire.intents import CommandOn, Intent, OnDelete, PodRef, PolicyRef, Schedule, Terms, ordered

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)

SCHEDULES = st.builds(
    Schedule,
    priority=st.integers(-20, 20),
    time_slice_ns=st.none() | st.integers(100_000, 100_000_000),
    preempt=st.booleans(),
)
TERMS = st.builds(
    Terms,
    policy=st.builds(PolicyRef, TEXT, TEXT, TEXT),
    schedule=SCHEDULES,
    command=st.none() | TEXT,
    command_on=st.sampled_from(CommandOn),
    units=st.lists(TEXT, max_size=2).map(tuple),
    cgroups=st.lists(TEXT, max_size=2).map(tuple),
    released=st.lists(TEXT, max_size=2).map(tuple),
    on_delete=st.sampled_from(OnDelete),
    ends_at=st.none() | st.integers(0, 4_000_000_000),
)
INTENTS = st.builds(
    Intent,
    terms=TERMS,
    rank=st.integers(0, 9),
    pod=st.none() | st.builds(PodRef, TEXT, TEXT, TEXT),
    containers=st.none() | st.lists(TEXT, max_size=2).map(tuple),
)
SETS = st.lists(INTENTS, max_size=6, unique_by=lambda intent: intent.key).map(ordered)
