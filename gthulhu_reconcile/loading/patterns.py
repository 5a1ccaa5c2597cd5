"""RE2 patterns: linear time, and the same language as the agents'. The only module that knows the library."""

from __future__ import annotations

from functools import lru_cache

import re2

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.max_mem = 1 << 18
"""Bytes a compiled pattern may take, which the agents take too; x{1000}{1000} would take more and is refused."""
_REFUSED_COST = 2_000
"""Instructions in whose time RE2 sees that a pattern is none, or too large."""

_MAX_REASON = 80
"""RE2 quotes the part of the pattern that it means, which may be all of it."""


@lru_cache(maxsize=4096)
def problem(pattern: str) -> str:
    """What RE2 has against ``pattern``; empty where it is right."""
    try:
        re2.compile(pattern, _OPTIONS)
    except re2.error as error:
        reason = error.args[0] if error.args else "is not a pattern"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        return text if len(text) <= _MAX_REASON else f"{text[:_MAX_REASON]}…"
    return ""


def cost(pattern: str) -> int:
    """RE2 instructions, some half a microsecond each, that :func:`problem` compiles ``pattern`` to."""
    return _REFUSED_COST if problem(pattern) else int(re2.compile(pattern, _OPTIONS).programsize)


def search(pattern: str, text: str) -> bool:
    """Whether ``pattern``, which :func:`problem` has nothing against, is found in ``text``: for tests of policies."""
    return re2.compile(pattern, _OPTIONS).search(text) is not None
