"""What a Decision Maker's clients sent outlives the agent, byte for byte."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from agent_harness import desired, intent
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent import storefile
from gthulhu_agent.legacy.received import Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_agent.state import Held
from gthulhu_agent.store import DesiredStore
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.intents import CommandOn, digest

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
number = st.integers(-(2**63), 2**63 - 1)
pairs = st.lists(st.tuples(text, text), max_size=3).map(tuple)
on = st.sampled_from(CommandOn)
received = st.builds(
    Received,
    st.lists(st.builds(ReceivedIntent, text, text, text, text, text, number, number, pairs, on), max_size=5).map(tuple),
    st.lists(st.builds(ReceivedNodeIntent, text, text, text, number, number, on), max_size=5).map(tuple),
    st.lists(
        st.builds(ReceivedStrategy, st.booleans(), st.integers(0, 2**64 - 1), number, pairs, text), max_size=5
    ).map(tuple),
    st.sampled_from(Dialect),
    st.sampled_from(Dialect),
    st.booleans(),
)
RECEIVED = Received((ReceivedIntent(pod_id="u", labels=(("a", "b"),)), ReceivedIntent()), (ReceivedNodeIntent("p"),))


def _held(value: Received | None) -> Held:
    pushed = desired(3, intent("web"), owner="legacy")
    return Held().followed_by(pushed, digest(pushed.intents), 7, value)


def _bytes(held: Held) -> bytes:
    return b"".join(storefile.encode(held))


@given(received)
def test_everything_received_is_read_as_it_was_written(value: Received) -> None:
    held = _held(value)
    assert storefile.decode(io.BytesIO(_bytes(held))) == held


def test_a_set_that_was_not_received_is_written_in_the_first_format() -> None:
    assert b'"format":1' in _bytes(_held(None)).splitlines()[0]
    assert b'"format":2' in _bytes(_held(RECEIVED)).splitlines()[0]


@pytest.mark.parametrize("at", range(3))
def test_one_bit_of_what_was_received_damages_the_file(at: int) -> None:
    lines = _bytes(_held(RECEIVED)).splitlines(keepends=True)
    line = bytearray(lines[2 + at])
    line[1] ^= 1
    lines[2 + at] = bytes(line)
    with pytest.raises(storefile.Damaged):
        storefile.decode(io.BytesIO(b"".join(lines)))


def test_a_file_that_ends_early_is_damaged_and_still_tells_its_generation() -> None:
    lines = _bytes(_held(RECEIVED)).splitlines(keepends=True)
    with pytest.raises(storefile.Damaged) as damaged:
        storefile.decode(io.BytesIO(b"".join(lines[:3])))
    assert damaged.value.header is not None
    assert damaged.value.header.generation == 3


def test_the_store_gives_it_back(tmp_path: Path) -> None:
    DesiredStore(tmp_path).save(_held(RECEIVED))
    assert DesiredStore(tmp_path).load().held.received == RECEIVED


def test_another_owners_set_drops_it() -> None:
    pushed = desired(4, intent("web"))
    assert _held(RECEIVED).followed_by(pushed, digest(pushed.intents), 8).received is None
