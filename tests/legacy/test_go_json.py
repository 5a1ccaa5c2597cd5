"""JSON as Go reads and writes it. What Go does was looked up in encoding/json; the contract's table asks a real one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.api import go_json
from gthulhu_agent.api.go_json import INT64, UINT64, Struct, Unreadable

SHAPE = Struct(
    {
        "podID": go_json.text,
        "k8s": go_json.text,
        "priority": go_json.integer(INT64),
        "count": go_json.integer(UINT64),
        "all": go_json.boolean,
        "labels": go_json.texts_by_name,
        "inner": go_json.list_of(Struct({"x": go_json.integer(INT64)})),
    }
)


def _read(text: str | bytes) -> dict[str, object]:
    return go_json.read(text if isinstance(text, bytes) else text.encode(), SHAPE)


@pytest.mark.parametrize("name", ["podID", "podId", "PODID", "podid"])
def test_names_are_told_apart_without_their_case(name: str) -> None:
    assert _read(json.dumps({name: "a"})) == {"podID": "a"}


def test_two_letters_outside_of_ascii_fold_into_it() -> None:
    assert _read('{"\u212a8\u017f": "a"}') == {"k8s": "a"}


def test_the_last_of_several_wins_in_whatever_case() -> None:
    assert _read('{"podID":"exact","podid":"later"}') == {"podID": "later"}
    assert _read('{"podid":"folded","podID":"later"}') == {"podID": "later"}


def test_null_leaves_what_is_there() -> None:
    assert _read('{"priority":5,"priority":null,"all":null}') == {"priority": 5}


def test_null_empties_maps_and_lists_and_takes_pointers_back() -> None:
    """A later null left the labels and the intents that an earlier field of the name had."""
    text = '{"labels":{"a":"1"},"LABELS":null,"inner":[{"x":1}],"inner":null,"inner":[{}]}'
    assert _read(text) == {"inner": [{}]}
    assert _read('{"labels":{"a":"1"},"labels":null,"labels":{"b":"2"}}') == {"labels": {"b": "2"}}
    pointers = Struct({"pid": go_json.integer(INT64)}, withdrawn=("pid",))
    assert go_json.read(b'{"pid":5,"pid":null}', pointers) == {}


ROWS = Struct(
    {
        "l": go_json.list_of(
            Struct(
                {
                    "a": go_json.integer(INT64),
                    "m": go_json.texts_by_name,
                    "s": go_json.list_of(Struct({"k": go_json.text})),
                }
            )
        )
    }
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"l":[{"a":1}],"l":[{"m":{"x":"y"}}]}', [{"a": 1, "m": {"x": "y"}}]),
        ('{"l":[{"a":1},{"a":2}],"l":[{"a":3}]}', [{"a": 3}]),
        ('{"l":[{"a":1},{"a":2},{"a":3}],"l":[{}],"L":[{"a":9},{},null,{}]}', [{"a": 9}, {"a": 2}, {"a": 3}, {}]),
        ('{"l":[{"a":1},{"a":2}],"l":[],"l":[{},{}]}', [{}, {}]),
        ('{"l":[{"a":1}],"l":null,"l":[{}]}', [{}]),
        ('{"l":[{"a":1}],"l":[null,null]}', [{"a": 1}, {}]),
        ('{"l":[{"m":{"a":"1"}}],"l":[{"m":{"b":"2"}}]}', [{"m": {"a": "1", "b": "2"}}]),
        ('{"l":[{"s":[{"k":"a"},{"k":"b"}]}],"l":[{"s":[{}]}],"l":[{"s":[{},{}]}]}', [{"s": [{"k": "a"}, {"k": "b"}]}]),
    ],
)
def test_a_list_that_is_there_twice_is_read_over_the_elements_of_the_former(text: str, wanted: list[object]) -> None:
    """Each of these was put to Go's encoding/json: it keeps a slice's elements, also behind its end."""
    assert go_json.read(text.encode(), ROWS) == {"l": wanted}


def test_names_that_are_there_many_times_cost_no_more_than_what_they_say() -> None:
    """Each copied what the former had: a body of 2 MiB kept the agent busy for minutes."""
    rows = ",".join(['{"a":1}'] * 50_000)
    labels = ",".join(f'"{number}":""' for number in range(50_000))
    body = f'{{"l":[{rows}]' + ',"l":[{}]' * 50_000 + "}"
    assert len(go_json.read(body.encode(), ROWS)["l"]) == 1  # type: ignore[arg-type] # a list, as ROWS has it
    body = f'{{"labels":{{{labels}}}' + ',"labels":{}' * 50_000 + "}"
    assert len(go_json.read(body.encode(), SHAPE)["labels"]) == 50_000  # type: ignore[arg-type] # a map


def test_maps_that_are_there_twice_are_one() -> None:
    assert _read('{"labels":{"a":"1","b":"2"},"labels":{"b":"3","c":null}}') == {
        "labels": {"a": "1", "b": "3", "c": ""}
    }


def test_names_of_maps_keep_their_case() -> None:
    assert _read('{"labels":{"A":"1","a":"2"}}') == {"labels": {"A": "1", "a": "2"}}


@pytest.mark.parametrize("text", ['{"podID":"a"} and more', ' \n\t{"podID":"a"}{"podID":"b"}', '{"podID":"a"}}'])
def test_what_follows_the_first_document_does_not_count(text: str) -> None:
    assert _read(text) == {"podID": "a"}


@pytest.mark.parametrize("text", ["null", "{}", '{"unknown":[1,{"x":1e400}]}', '{"inner":[]}'])
def test_what_is_absent_or_unknown_is_passed_over(text: str) -> None:
    assert _read(text) in ({}, {"inner": []})


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "{",
        "[]",
        "5",
        '"x"',
        "true",
        "\ufeff{}",
        "{'a':1}",
        '{"priority":1.0}',
        '{"priority":1e1}',
        '{"priority":"1"}',
        '{"priority":true}',
        '{"priority":NaN}',
        '{"priority":01}',
        '{"priority":9223372036854775808}',
        '{"priority":-9223372036854775809}',
        '{"count":-1}',
        '{"count":18446744073709551616}',
        '{"podID":1}',
        '{"podID":"a\nb"}',
        '{"all":"true"}',
        '{"all":1}',
        '{"labels":[]}',
        '{"labels":{"a":1}}',
        '{"inner":{}}',
        '{"inner":["x"]}',
        '{"inner":[[]]}',
        '{"unknown":Infinity}',
        '{"a":1,}',
        "[" * 100_000,
        '{"priority":' + "1" * 5000 + "}",
    ],
)
def test_what_go_refuses_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        _read(text)


def test_the_bounds_of_numbers_are_those_of_their_bits() -> None:
    text = '{"priority":-9223372036854775808,"count":18446744073709551615}'
    assert _read(text) == {"priority": -(2**63), "count": 2**64 - 1}


def test_null_in_a_list_is_an_object_of_no_fields() -> None:
    assert _read('{"inner":[null,{"X":2}]}') == {"inner": [{}, {"x": 2}]}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        (b'{"podID":"\xff\xe2\x82"}', "\ufffd\ufffd\ufffd"),
        (b'{"podID":"\\ud800"}', "\ufffd"),
        (b'{"podID":"\\ud83d\\ude00"}', "\U0001f600"),
        ('{"podID":"\xf6"}'.encode(), "\xf6"),
    ],
)
def test_what_is_no_unicode_is_replaced(body: bytes, wanted: str) -> None:
    assert _read(body) == {"podID": wanted}


def test_writing_escapes_what_html_would_take_and_nothing_else() -> None:
    value = {"a": '<b>&\u2028\u2029\x01\n"\\/é\U0001f600\x7f', "n": 2**64 - 1, "t": True, "e": []}
    assert go_json.write(value) == (
        '{"a":"\\u003cb\\u003e\\u0026\\u2028\\u2029\\u0001\\n\\"\\\\/é\U0001f600\x7f","n":18446744073709551615,"t":true,"e":[]}'
    )


def test_a_name_that_is_no_utf8_is_written_as_go_writes_it() -> None:
    assert go_json.encode({"command": b"a\xff".decode(errors="surrogateescape")}) == b'{"command":"a\\ufffd"}\n'


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_what_is_written_says_what_it_was(value: object) -> None:
    assert json.loads(go_json.encode(value)) == value


@given(st.binary(max_size=64))
def test_no_bytes_break_it(body: bytes) -> None:
    try:
        go_json.read(body, SHAPE)
    except Unreadable:
        return
