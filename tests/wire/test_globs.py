"""What a glob takes, and that no pattern takes long."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_wire.globs import any_matches, is_glob, matches

TEXT = st.text(alphabet="ab[.é\n", max_size=8)
PATTERN = st.text(alphabet="ab[.é\n*?", max_size=8)


@given(PATTERN, TEXT)
def test_a_glob_takes_what_its_regular_expression_takes(pattern: str, text: str) -> None:
    expression = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    assert matches(pattern, text) is bool(re.fullmatch(expression, text, re.DOTALL))


@given(TEXT, TEXT)
def test_a_name_without_signs_is_exact(pattern: str, text: str) -> None:
    assert not is_glob(pattern)
    assert matches(pattern, text) is (pattern == text)


def test_brackets_and_case_mean_themselves() -> None:
    assert matches("a[b]*", "a[b]c")
    assert not matches("a[b]*", "ab")
    assert not matches("Web*", "web-1")


def test_a_pattern_that_makes_regular_expressions_explode_does_not() -> None:
    assert not matches("*a" * 120 + "b", "a" * 250)


@pytest.mark.parametrize(("patterns", "found"), [((), False), (("x", "w*"), True), (("x", "y*"), False)])
def test_any_of_several(patterns: tuple[str, ...], found: bool) -> None:
    assert any_matches(patterns, "web") is found
