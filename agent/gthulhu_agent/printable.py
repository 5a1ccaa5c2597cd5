"""Text of others on a terminal."""

from __future__ import annotations


def printable(value: object) -> str:
    """Text that a terminal prints as it is: a thread can name itself with escape sequences, and an agent be another."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in str(value))
