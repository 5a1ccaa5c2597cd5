"""YAML that means harm, or means YAML 1.1: stopped by events, read as YAML 1.2's core schema, never in silence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.loading.scalars import resolve
from gthulhu_reconcile.loading.yamltree import Limits, Value, open_reader, parse
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic


def value_of(text: str) -> Value:
    """The value of a document that has to be right."""
    tree, findings = parse(text.encode(), "t.yaml")
    assert tree is not None
    assert findings == ()
    return tree.documents[0].value


def codes_of(data: str | bytes, limits: Limits | None = None) -> list[Code]:
    """The codes of what is wrong with a file."""
    raw = data.encode() if isinstance(data, str) else data
    return [finding.code for finding in parse(raw, "t.yaml", limits=limits or Limits())[1]]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("y", "y"),
        ("12:30:00", "12:30:00"),
        ("2026-01-31", "2026-01-31"),
        ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
        ("0777", 777),
        ("0o777", 511),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("1e3", 1000.0),
        ("1.", 1.0),
        (".5", 0.5),
        ("+12", 12),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("~", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("=", "="),
        ("<<", "<<"),
        ('"5"', "5"),
        ("'true'", "true"),
        ("+", "+"),
        ("0x", "0x"),
    ],
)
def test_plain_scalars_are_those_of_yaml_1_2(text: str, value: Value) -> None:
    assert value_of(f"a: {text}") == {"a": value}
    assert type(value_of(f"- {text}")[0]) is type(value)  # type: ignore[index] # a list it is


def test_not_a_number_is_a_float() -> None:
    assert math.isnan(float(str(resolve(".nan"))))


@given(st.text(alphabet="0123456789+-.eExXobinfaNULtrue_:~", max_size=12))
def test_resolving_a_scalar_never_raises(text: str) -> None:
    assert resolve(text) is None or isinstance(resolve(text), str | int | float)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{", "- - ? "])
def test_thirty_thousand_nested_brackets_are_refused_before_they_are_built(opening: str) -> None:
    """Libyaml's composer recurses on the C stack: read by it, this ends the process."""
    assert codes_of(opening * 30_000) == [Code.TOO_LARGE]


def test_depth_and_events_are_counted_over_the_whole_file() -> None:
    assert codes_of("[[[1]]]", Limits(depth=3)) == []
    assert codes_of("[[[[1]]]]", Limits(depth=3)) == [Code.TOO_LARGE]
    assert codes_of("---\n- 1\n" * 4, Limits(events=12)) == [Code.TOO_LARGE]
    assert codes_of("a" * 11, Limits(file_bytes=10)) == [Code.TOO_LARGE]


def test_a_billion_laughs_are_refused_at_the_first() -> None:
    lines = ["a0: &a0 [lol, lol]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 30)]
    assert set(codes_of("\n".join(lines))) == {Code.UNSAFE_YAML}


def test_a_merge_key_is_refused_and_a_quoted_one_is_a_key() -> None:
    assert codes_of("a: {<<: {b: 1}}") == [Code.UNSAFE_YAML]
    assert value_of('a: {"<<": {b: 1}}') == {"a": {"<<": {"b": 1}}}


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system [x]", "!!str 5", "!own 5", "! 5", "!!binary aGk="])
def test_no_tag_is_taken(tag: str) -> None:
    assert codes_of(f"a: {tag}") == [Code.UNSAFE_YAML]


@pytest.mark.parametrize("key", ["1", "true", "~", "1.5", "[a]", "{a: b}", "? [a]\n"])
def test_keys_are_strings(key: str) -> None:
    assert Code.UNSAFE_YAML in codes_of(f"{key}: x")


def test_the_first_of_two_equal_keys_is_named() -> None:
    (finding,) = parse(b"a: 1\nb: 2\n'a': 3\n", "t.yaml")[1]
    assert (finding.code, finding.span.line) == (Code.DUPLICATE_KEY, 3)
    assert "line 1" in finding.message


@pytest.mark.parametrize("digits", [65, 4301, 900_000])
def test_endless_numbers_are_out_of_range_and_not_converted(digits: int) -> None:
    """Python refuses to convert more than 4300 digits, with a ValueError that is easily forgotten."""
    assert codes_of(f"a: {'9' * digits}") == [Code.OUT_OF_RANGE]
    assert codes_of(f"a: 0x{'f' * digits}") == [Code.OUT_OF_RANGE]


@pytest.mark.parametrize(
    "data",
    [
        "a: b".encode("utf-16"),
        "a: b".encode("utf-16-le"),
        "a: b".encode("utf-32"),
        b"a: \xff\xfe",
        b"a: caf\xe9",
        b"\x00",
        b"a: b\x00c",
        b"a: \x1b[31m",
        b"a: \xed\xa0\x80",
        "a: \x9b31m".encode(),
    ],
)
def test_what_is_not_clean_utf_8_is_refused(data: bytes) -> None:
    assert codes_of(data) == [Code.ENCODING]


def test_a_byte_order_mark_of_utf_8_does_not_shift_columns() -> None:
    tree, findings = parse(b"\xef\xbb\xbfa: 1\nb: 2", "t.yaml")
    assert tree is not None
    assert findings == ()
    assert tree.documents[0].locate(["a"], key=True).column == 1


def test_a_damaged_file_gives_no_tree() -> None:
    tree, findings = parse(b"a: 1\n---\n]\n", "t.yaml")
    assert tree is None
    assert [finding.code for finding in findings] == [Code.YAML_SYNTAX]


def test_documents_around_a_broken_one_are_still_read() -> None:
    reader = open_reader(b"a: 1\n---\nb: : 2\n---\nc: 3\n---\n'\n---\nd: 4\n", "t.yaml")
    assert not isinstance(reader, Diagnostic)
    assert [document.value for document in reader.documents()] == [{"a": 1}, {"c": 3}, {"d": 4}]
    assert not reader.complete
    assert [finding.span.line for finding in reader.diagnostics] == [3, 8]


def test_a_document_knows_what_was_left_out_of_it() -> None:
    tree, _ = parse(b"a: *x\n---\na: 1\na: 2\n---\na: 1\n", "t.yaml")
    assert tree is not None
    assert [(document.whole, document.sound) for document in tree.documents] == [
        (False, False),
        (True, False),
        (True, True),
    ]


def test_line_feeds_of_all_systems_count_once() -> None:
    tree, _ = parse("a: 1\r\nb: 2\rc: 3\nd: é x\n".encode(), "t.yaml")
    assert tree is not None
    spans = [tree.documents[0].locate([key]) for key in "abcd"]
    assert [(span.line, span.column, span.end_column) for span in spans] == [
        (1, 4, 5),
        (2, 4, 5),
        (3, 4, 5),
        (4, 4, 7),
    ]


PATHS: list[tuple[Sequence[str | int], bool, tuple[int, int, int]]] = [
    (["a"], True, (1, 1, 2)),
    (["a", "b"], False, (2, 6, 9)),
    (["a", "c", 1], False, (3, 10, 11)),
    (["a", "c", 7], False, (3, 6, 12)),
    (["a", "missing"], True, (1, 1, 2)),
    (["q"], False, (5, 4, 9)),
]


@pytest.mark.parametrize(("pointer", "key", "place"), PATHS)
def test_every_value_and_key_has_its_place(
    pointer: Sequence[str | int], key: bool, place: tuple[int, int, int]
) -> None:
    tree, _ = parse(b'a:\n  b: xyz\n  c: [1, 2]\nt: 1\nq: "long\n  text"\n', "t.yaml")
    assert tree is not None
    span = tree.documents[0].locate(pointer, key=key)
    assert (span.line, span.column, span.end_column) == place


def test_snippets_cannot_steer_a_terminal_and_keep_columns() -> None:
    text = "ok: 1\nbad: \u202e\u2066 x: y\n"
    (finding,) = parse(text.encode(), "t.yaml")[1]
    assert finding.snippet == ((1, "ok: 1"), (2, "bad: �� x: y"))


def test_a_megabyte_in_one_line_makes_no_megabyte_of_findings() -> None:
    _, findings = parse(("[" + "&a x, " * 100_000).encode(), "t.yaml")
    assert len(findings) == Limits().findings
    assert sum(len(line) for finding in findings for _, line in finding.snippet) < 100_000


@given(st.binary(max_size=200) | st.text(alphabet="ab:-?[]{},&*!|>'\"%@`# \n\t~<0", max_size=60).map(str.encode))
def test_parsing_never_raises(data: bytes) -> None:
    tree, findings = parse(data, "t.yaml")
    assert tree is not None or findings
