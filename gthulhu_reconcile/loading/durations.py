"""Durations with units, as in 5ms, 100us, 10h, 1.5s and 1h30m; exact, in nanoseconds."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

MAX_LENGTH = 64
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h|d)")
_NANOSECONDS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}


@lru_cache(maxsize=1024)
def parse(text: str) -> int:
    """Nanoseconds; a day is 24 hours.

    Raises:
        ValueError: not a duration, or not a whole number of nanoseconds.
    """
    parts = _PART.findall(text)
    if not parts or len(text) > MAX_LENGTH or "".join(f"{number}{unit}" for number, unit in parts) != text:
        raise ValueError("a duration is a number with a unit, as in 5ms, 100us, 10h or 1h30m")
    total = sum(Fraction(number) * _NANOSECONDS[unit] for number, unit in parts)
    if total.denominator != 1:
        raise ValueError("is not a whole number of nanoseconds")
    return int(total)


def render(nanoseconds: int) -> str:
    """The shortest way to write it with one unit, as in 5ms."""
    for unit in ("d", "h", "m", "s", "ms", "us"):
        if nanoseconds and nanoseconds % _NANOSECONDS[unit] == 0:
            return f"{nanoseconds // _NANOSECONDS[unit]}{unit}"
    return f"{nanoseconds}ns"
