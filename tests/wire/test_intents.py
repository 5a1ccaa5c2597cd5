"""The digest is over the canonical JSON of every field, and the fast path writes the same bytes as the plain one."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st
from wire_strategies import SETS

from gthulhu_wire.intents import (
    EMPTY_DIGEST,
    DesiredSet,
    Intent,
    PodRef,
    PolicyRef,
    Schedule,
    Terms,
    canonical_json,
    digest,
    ordered,
)


@given(SETS)
def test_the_digest_is_the_hash_of_the_canonical_json(intents: tuple[Intent, ...]) -> None:
    text = canonical_json([intent.as_json() for intent in intents])
    assert digest(intents) == hashlib.sha256(text.encode()).hexdigest()


@given(SETS, st.randoms())
def test_order_of_arrival_does_not_change_the_digest(intents: tuple[Intent, ...], random: object) -> None:
    shuffled = list(intents)
    random.shuffle(shuffled)  # type: ignore[attr-defined]  # hypothesis gives a random.Random
    assert digest(ordered(shuffled)) == digest(intents)


def test_nobody_holds_the_empty_set() -> None:
    assert digest(()) == EMPTY_DIGEST == hashlib.sha256(b"[]").hexdigest()


def test_a_digest_that_others_can_reproduce() -> None:
    """A vector for the other side: change it only with the API's version."""
    intent = Intent(
        terms=Terms(
            policy=PolicyRef("free5gc-team", "upf-latency", "policies/upf.yaml"),
            schedule=Schedule(priority=10, time_slice_ns=5_000_000, preempt=True),
            command="^(upf|nr-gnb)$",
            ends_at=1_800_000_000,
        ),
        rank=0,
        pod=PodRef("free5gc", "upf-0", "11111111-2222-3333-4444-555555555555"),
        containers=("ab" * 32,),
    )
    assert canonical_json(intent.as_json()) == (
        '{"containers":["' + "ab" * 32 + '"],'
        '"pod":{"name":"upf-0","namespace":"free5gc","uid":"11111111-2222-3333-4444-555555555555"},'
        '"rank":0,"terms":{"cgroups":[],"command":"^(upf|nr-gnb)$","commandOn":"comm",'
        '"endsAt":"2027-01-15T08:00:00Z","onDelete":"revert",'
        '"policy":{"name":"upf-latency","namespace":"free5gc-team","source":"policies/upf.yaml"},'
        '"released":[],"schedule":{"preempt":true,"priority":10,"timeSlice":5000000},"units":[]}}'
    )
    assert digest((intent,)) == hashlib.sha256(f"[{canonical_json(intent.as_json())}]".encode()).hexdigest()


def test_generation_is_not_part_of_the_digest() -> None:
    assert DesiredSet("a", 0, 1).as_json()["digest"] == DesiredSet("b", 7, 9).as_json()["digest"]
