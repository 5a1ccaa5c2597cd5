"""What others send becomes intents whole or not at all, and every refusal names its path."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire_strategies import SETS

from gthulhu_wire.documents import MAX_INTENTS, MAX_SET_BYTES, WireError, read_desired
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms


@given(st.builds(DesiredSet, st.just("prod"), st.integers(0, 9), st.integers(0, 2**53 - 1), SETS))
def test_what_one_side_writes_the_other_reads(desired: DesiredSet) -> None:
    assert read_desired(json.loads(json.dumps(desired.as_json()))) == desired


def test_100000_different_patterns_did_not_fit_in_a_set() -> None:
    """Nor did as many intents as its count allows, each with a pattern and a rank of its own."""
    terms = Terms(
        PolicyRef("team-shop", "checkout-latency-199999", "policies/checkout.yaml"),
        Schedule(priority=3, time_slice_ns=3_000_000),
        command="^prog199999x[0-9]$",
    )
    one = Intent(terms, MAX_INTENTS - 1, PodRef("team-shop", "checkout-5d4f8c7b9-x2x4z", "u" * 36))
    assert (len(json.dumps(one.as_json(), separators=(",", ":"))) + 1) * MAX_INTENTS < MAX_SET_BYTES


def _body() -> dict[str, Any]:
    terms = Terms(PolicyRef("shop", "web", "web.yaml"), Schedule(priority=3))
    return DesiredSet("prod", 0, 1, (Intent(terms, 0, PodRef("shop", "web-0", "u-1")),)).as_json()


def _set(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(body: Any) -> None:  # noqa: ANN401 - walks JSON
        for step in path[:-1]:
            body = body[step]
        body[path[-1]] = value

    return change


FAULTS: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (_set("surprise", value=1), "surprise", "is not known"),
    (_set("owner", value=""), "owner", "must not be empty"),
    (_set("owner", value="a\0"), "owner", "NUL"),
    (_set("owner", value="\ud800"), "owner", "surrogate"),
    (_set("owner", value="x" * 2000), "owner", "2000 bytes"),
    (_set("generation", value=-1), "generation", "between 0"),
    (_set("generation", value=2**53), "generation", "between 0"),
    (_set("token", value=True), "token", "integer"),
    (_set("intents", value={}), "intents", "must be a list"),
    (_set("intents", value=[None] * (MAX_INTENTS + 1)), "intents", "at most"),
    (_set("intents", 0, "terms", "schedule", "priority", value=21), "intents[0].terms.schedule.priority", "-20"),
    (_set("intents", 0, "terms", "schedule", "timeSlice", value=99_999), "intents[0].terms.schedule.timeSlice", ""),
    (_set("intents", 0, "terms", "schedule", "preempt", value=1), "intents[0].terms.schedule.preempt", "true or false"),
    (_set("intents", 0, "terms", "commandOn", value="exe"), "intents[0].terms.commandOn", "comm, thread, argv0"),
    (_set("intents", 0, "terms", "endsAt", value="2026-01-01T00:00:00"), "intents[0].terms.endsAt", "offset"),
    (_set("intents", 0, "terms", "endsAt", value="soon"), "intents[0].terms.endsAt", "instant"),
    (_set("intents", 0, "terms", "command", value="x" * 513), "intents[0].terms.command", "513 bytes"),
    (_set("intents", 0, "containers", value=[""]), "intents[0].containers[0]", "must not be empty"),
    (_set("intents", 0, "containers", value=["x"] * 257), "intents[0].containers", "at most 256"),
    (_set("intents", 0, "pod", value="web-0"), "intents[0].pod", "must be an object"),
    (lambda body: body["intents"][0].pop("rank"), "intents[0].rank", "is missing"),
    (lambda body: body["intents"].append(copy.deepcopy(body["intents"][0])), "intents[1]", "already"),
]


@pytest.mark.parametrize(("fault", "path", "problem"), FAULTS, ids=[f"{path}-{text}" for _, path, text in FAULTS])
def test_a_fault_is_named_by_its_path(fault: Callable[[dict[str, Any]], None], path: str, problem: str) -> None:
    body = _body()
    fault(body)
    with pytest.raises(WireError) as raised:
        read_desired(body)
    assert raised.value.path == path
    assert problem in raised.value.problem


@pytest.mark.parametrize("value", [None, [], "x", 1])
def test_a_body_that_is_no_object_is_refused(value: object) -> None:
    with pytest.raises(WireError, match="must be an object"):
        read_desired(value)


@pytest.mark.parametrize("instant", ["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "1969-12-31T23:59:59Z"])
def test_an_instant_that_cannot_be_written_in_utc_is_refused_where_it_stands(instant: str) -> None:
    body = _body()
    body["intents"][0]["terms"]["endsAt"] = instant
    with pytest.raises(WireError, match=r"intents\[0\]\.terms\.endsAt: must be between 1970 and 9999"):
        read_desired(body)


def test_terms_that_are_written_alike_are_one_object_and_all_others_are_looked_into() -> None:
    body = _body()
    first = body["intents"][0]
    second = copy.deepcopy(first) | {"pod": {"namespace": "shop", "name": "web-1", "uid": "u-2"}}
    body["intents"].append(second)
    one, two = read_desired(body).intents
    assert one.terms is two.terms
    second["terms"]["schedule"]["preempt"] = 1  # true and 1 are equal in Python, and not in JSON
    first["terms"]["schedule"]["preempt"] = True
    with pytest.raises(WireError, match=r"intents\[1\]\.terms\.schedule\.preempt"):
        read_desired(body)


def test_terms_nested_beyond_measure_are_refused_where_they_stand() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    body = _body()
    body["intents"][0]["terms"] = deep
    with pytest.raises(WireError, match=r"intents\[0\]\.terms: is nested too deeply"):
        read_desired(body)
