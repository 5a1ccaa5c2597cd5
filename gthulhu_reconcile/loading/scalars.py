"""Plain scalars as YAML 1.2's core schema reads them (section 10.3.2), and nothing of YAML 1.1.

``no``, ``on``, ``12:30:00`` and dates are strings; ``0777`` is seven hundred and seventy-seven and ``0o777`` is octal.
"""

from __future__ import annotations

import re

MAX_DIGITS = 64
"""Longer numbers are refused: converting them costs quadratic time, and Python itself stops at 4300 digits."""

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEAN = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
)
_BASES = {"0o": 8, "0x": 16}

Scalar = str | int | float | bool | None


class LongNumberError(ValueError):
    """A number of more than :data:`MAX_DIGITS` digits."""


def resolve(text: str) -> Scalar:
    """The value of a plain scalar.

    Raises:
        LongNumberError: an integer with more digits than any value has.
    """
    if text in _NULL:
        return None
    if text in _BOOLEAN:
        return _BOOLEAN[text]
    if text[0] not in "+-.0123456789":
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > MAX_DIGITS:
            raise LongNumberError(f"a number of {len(text)} digits")
        base = _BASES.get(text[:2], 10)
        return int(text if base == 10 else text[2:], base)  # noqa: PLR2004 - ten is ten
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".Inf", "inf").replace(".INF", "inf").replace(".n", "n"))
    return text
