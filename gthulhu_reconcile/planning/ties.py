"""Ties: two policies that nothing but their names orders, and that can take the same thread.

Two patterns are told apart only where both are plain: one or more literals from the beginning of the text, as in
``^upf$``, ``^(upf|nr-gnb)$`` or ``^nginx``. Anything else may meet anything.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from gthulhu_reconcile.planning.shadowing import Entry
from gthulhu_wire.intents import PolicyRef

_CHARACTER = r"(?:[A-Za-z0-9_/@:, -]|\\[^A-Za-z0-9])"
_PLAIN = re.compile(
    rf"\^(?:(?P<one>{_CHARACTER}+)|\((?:\?:)?(?P<many>{_CHARACTER}+(?:\|{_CHARACTER}+)*)\))(?P<end>\$|\.\*)?"
)
_BAR = re.compile(r"(?<!\\)\|")


def ties_among(
    entries: Sequence[Entry], shadowers: Sequence[PolicyRef | None]
) -> tuple[tuple[PolicyRef, PolicyRef], ...]:
    """(winner, loser) among ``entries``, which are strongest first; each loser once, with the strongest it meets.

    What is shadowed from outside of its group of equals would not act anyway, whatever its name.
    """
    if not any(one.key.weight == other.key.weight for one, other in pairwise(entries)):
        return ()
    ties: list[tuple[PolicyRef, PolicyRef]] = []
    group: list[Entry] = []
    for entry, by in zip(entries, shadowers, strict=True):
        if group and group[0].key.weight != entry.key.weight:
            group = []
        if by is not None and all(by is not stronger.terms.policy for stronger in group):
            continue
        winner = next((stronger for stronger in group if can_meet(stronger, entry)), None)
        if winner is not None:
            ties.append((winner.terms.policy, entry.terms.policy))
        if by is None:
            group.append(entry)
    return tuple(ties)


def can_meet(one: Entry, other: Entry) -> bool:
    """Whether some thread of a pod (or node) may fit both; true where that cannot be known."""
    if one.containers is not None and other.containers is not None and set(one.containers).isdisjoint(other.containers):
        return False
    mine, theirs = one.terms, other.terms
    if mine.command is None or theirs.command is None or mine.command_on is not theirs.command_on:
        return True
    return _patterns_meet(mine.command, theirs.command)


@lru_cache(maxsize=4096)
def _patterns_meet(one: str, other: str) -> bool:
    mine, theirs = _texts(one), _texts(other)
    if mine is None or theirs is None:
        return True
    return any(_texts_meet(a, b) for a in mine for b in theirs)


@lru_cache(maxsize=4096)
def _texts(pattern: str) -> tuple[tuple[str, bool], ...] | None:
    """The literals that a plain pattern takes, each with whether it is the whole text; None for other patterns."""
    found = _PLAIN.fullmatch(pattern)
    if found is None:
        return None
    whole = found["end"] == "$"
    literals = [found["one"]] if found["one"] is not None else _BAR.split(found["many"])
    return tuple((re.sub(r"\\(.)", r"\1", literal), whole) for literal in literals)


def _texts_meet(one: tuple[str, bool], other: tuple[str, bool]) -> bool:
    (mine, whole), (theirs, their_whole) = one, other
    if whole and their_whole:
        return mine == theirs
    return (mine.startswith(theirs) and not their_whole) or (theirs.startswith(mine) and not whole)
