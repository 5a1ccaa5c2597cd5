"""Did you mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_MAX_COMPARED = 64
"""Comparing costs quadratic time, and nobody mistypes a longer word."""


def resembling(word: str, words: Iterable[str]) -> str:
    """Which of ``words`` was most likely meant by ``word``; empty where none is like it."""
    if len(word) > _MAX_COMPARED:
        return ""
    known = {candidate.lower(): candidate for candidate in words}
    lowered = word.lower()
    found = difflib.get_close_matches(lowered, known, n=1, cutoff=0.6)
    if not found:
        plain = lowered.replace("_", "").replace("-", "")
        found = [candidate for candidate in known if candidate.startswith(plain) or plain.startswith(candidate)][:1]
    return known[found[0]] if found and len(lowered) > 1 else ""
