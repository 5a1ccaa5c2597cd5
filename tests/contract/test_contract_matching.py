"""What a table expects is told apart from what comes close to it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.matching import Json, TableError, differences

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=2), inner, max_size=3),
    max_leaves=8,
)


def told(expected: Json, found: Json) -> list[str]:
    return list(differences(expected, found, "body"))


@given(json_values)
def test_a_value_without_matchers_is_like_itself(value: Json) -> None:
    assert told(value, value) == []


@given(json_values, json_values)
def test_two_values_are_like_each_other_both_ways_or_in_none(one: Json, other: Json) -> None:
    assert bool(told(one, other)) == bool(told(other, one))


@pytest.mark.parametrize(
    ("expected", "found", "problem"),
    [
        (1, True, "body: expected 1, found True"),
        (0, False, "body: expected 0, found False"),
        (1, 1.0, "body: expected 1, found 1.0"),
        ("1", 1, "body: expected '1', found 1"),
        ([], None, "body: expected an array, found None"),
        ({}, [], "body: expected an object, found []"),
        ([1], [1, 2], "body: expected 1 entries, found 2: [1, 2]"),
        ({"a": 1}, {}, "body: has no 'a'"),
        ({"a": 1}, {"a": 1, "b": 2}, "body: has 'b' = 2 besides"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 2}]}, "body.a[0].b: expected 1, found 2"),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}, "body: keys come in the order b, a"),
        ({"$more": True, "a": 1, "b": 2}, {"b": 2, "c": 0, "a": 1}, "body: keys come in the order b, a"),
        ({"a": {"$optional": 1}}, {"a": 2}, "body.a: expected 1, found 2"),
        ({"$is": "integer"}, True, "body: expected integer, found True"),
        ({"$is": "instant"}, "2026-03-05T10:11:12.5Z", "body: expected instant, found '2026-03-05T10:11:12.5Z'"),
        ({"$is": "instant"}, "2026-03-05T10:11:12+00:00", "body: expected instant, found '2026-03-05T10:11:12+00:00'"),
        ({"$is": "digest"}, "E" * 64, f"body: expected digest, found '{'E' * 64}'"),
        ({"$is": "token"}, "a.b", "body: expected token, found 'a.b'"),
        ({"$matches": "a+"}, "aab", "body: expected text like a+, found 'aab'"),
        ({"$in": [1, 2]}, 3, "body: expected one of [1, 2], found 3"),
        ({"$each": 1, "$least": 1}, [], "body: expected an array of 1 entries or more, found []"),
        ({"$each": 1}, [1, 2], "body[1]: expected 1, found 2"),
        ({"$holds": [3]}, [1, 2], "body: has no entry like 3; it has [1, 2]"),
        ({"$unordered": [1, 1]}, [1, 2], "body: has no entry like 1; it has [1, 2]"),
        ({"$unordered": [1]}, [1, 1], "body: expected 1 entries in any order, found [1, 1]"),
    ],
)
def test_what_differs_is_told_with_its_place(expected: Json, found: Json, problem: str) -> None:
    assert told(expected, found) == [problem]


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": {"$optional": 1}}, {}),
        ({"a": {"$optional": 1}}, {"a": 1}),
        ({"$more": True}, {"a": 1}),
        ({"$more": True, "b": 1}, {"a": 1, "b": 1, "c": 2}),
        ({"$is": "anything"}, None),
        ({"$is": "instant"}, "2026-03-05T10:11:12Z"),
        ({"$is": "digest"}, "e" * 64),
        ({"$is": "token"}, "a-_.B.c1"),
        ({"$matches": "a.*"}, "a\nb"),
        ({"$in": [None, {"$is": "array"}]}, []),
        ({"$each": {"$is": "text"}}, []),
        ({"$holds": [{"$is": "text"}, 1]}, [1, "x", None]),
        ({"$unordered": [1, 2]}, [2, 1]),
    ],
)
def test_matchers_take_what_they_are_for(expected: Json, found: Json) -> None:
    assert told(expected, found) == []


@pytest.mark.parametrize("expected", [{"$like": "x"}, {"$is": "uuid"}, {"$in": 1}, {"$holds": "x"}])
def test_a_matcher_that_there_is_not_is_a_fault_of_the_table(expected: Json) -> None:
    with pytest.raises(TableError):
        told(expected, [])
