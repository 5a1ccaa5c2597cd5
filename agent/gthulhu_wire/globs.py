"""The one meaning of a glob, in policies, in settings and on the node.

``*`` is any run of characters and ``?`` is any one; everything else, brackets too, stands for itself, and case
counts. A name without either is exact.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache


def is_glob(pattern: str) -> bool:
    """Whether ``pattern`` can match anything but itself."""
    return "*" in pattern or "?" in pattern


def matches(pattern: str, text: str) -> bool:
    """Whether ``pattern`` matches the whole of ``text``, in at most ``len(pattern) * len(text)`` steps."""
    prefix, rest = _split(pattern)
    if not rest:
        return pattern == text
    if not text.startswith(prefix):
        return False
    return rest == "*" or _rest_matches(rest, text[len(prefix) :])


def any_matches(patterns: Iterable[str], text: str) -> bool:
    """Whether one of ``patterns`` matches the whole of ``text``."""
    return any(matches(pattern, text) for pattern in patterns)


@lru_cache(maxsize=4096)
def _split(pattern: str) -> tuple[str, str]:
    """What a text must begin with, and the rest from the first ``*`` or ``?`` on."""
    prefix = re.split(r"[*?]", pattern, maxsplit=1)[0]
    return prefix, pattern[len(prefix) :]


def _rest_matches(pattern: str, text: str) -> bool:
    """Only the last ``*`` is ever retried: what an earlier one could give up, the last one can take as well.

    That keeps it from the exponential time that a backtracking regular expression may need.
    """
    at = seen = 0
    star, retry = -1, 0
    while seen < len(text):
        sign = pattern[at] if at < len(pattern) else ""
        if sign == "*":
            star, retry = at, seen
            at += 1
        elif sign and sign in ("?", text[seen]):
            at += 1
            seen += 1
        elif star >= 0:
            retry += 1
            at, seen = star + 1, retry
        else:
            return False
    return pattern[at:].strip("*") == ""
