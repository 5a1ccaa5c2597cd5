"""What a stronger policy takes wholly from a weaker one.

An entry with a command never shadows: which threads a pattern takes is known on the node only. One that ends
shadows nothing that lasts longer: the agent ends it by itself, and the next in rank must then be there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gthulhu_reconcile.planning.ranking import RankKey
from gthulhu_wire.intents import PolicyRef, Terms

_NEVER = float("inf")


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """A policy that takes threads of a pod or a node.

    Attributes:
        key: its place among others.
        terms: what it says.
        node_terms: number of what it says of nodes, in :class:`~gthulhu_reconcile.planning.nodeterms.NodeIndex`.
        containers: names, sorted; None takes all of a pod.
    """

    key: RankKey
    terms: Terms
    node_terms: int
    containers: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Cover:
    until: float
    by: PolicyRef


def pod_shadowers(entries: Sequence[Entry]) -> list[PolicyRef | None]:
    """Per entry of a pod, strongest first, who takes the (last of the) threads that it could have taken, if anybody.

    Several entries may shadow together: one takes the container ``a``, another ``b``, a third wanted both.
    """
    shadowers: list[PolicyRef | None] = []
    whole: _Cover | None = None
    parts: dict[str, _Cover] = {}
    for entry in entries:
        cover = _cover_of(entry, whole, parts)
        end = _end(entry.terms)
        if cover is not None and cover.until >= end:
            shadowers.append(cover.by)
            continue
        shadowers.append(None)
        if entry.terms.command is not None:
            continue
        mine = _Cover(end, entry.terms.policy)
        if entry.containers is None:
            whole = _longer(whole, mine)
        else:
            parts.update({name: _longer(parts.get(name), mine) for name in entry.containers})
    return shadowers


def node_shadowers(entries: Sequence[Entry]) -> list[PolicyRef | None]:
    """As :func:`pod_shadowers` for the entries of a node itself."""
    shadowers: list[PolicyRef | None] = []
    sent: list[Terms] = []
    for entry in entries:
        by = next((upper.policy for upper in sent if _shadows(upper, entry.terms)), None)
        shadowers.append(by)
        if by is None:
            sent.append(entry.terms)
    return shadowers


def _cover_of(entry: Entry, whole: _Cover | None, parts: dict[str, _Cover]) -> _Cover | None:
    """What covers all of ``entry``, for as long as all of it is covered."""
    if entry.containers is None:
        return whole
    least: _Cover | None = None
    for name in entry.containers:
        part = parts.get(name)
        cover = whole if part is None else _longer(whole, part)
        if cover is None:
            return None
        if least is None or cover.until < least.until:
            least = cover
    return least


def _shadows(upper: Terms, lower: Terms) -> bool:
    """Whether the node policy ``upper`` takes every thread of ``lower``, for as long as it lasts.

    Patterns are compared as text: ``*`` does not shadow ``a*``, which costs a line in the desired set, no fault. A
    released unit is one that policies without its name never take.
    """
    return (
        upper.command is None
        and _end(upper) >= _end(lower)
        and _includes(upper.units, lower.units)
        and _includes(upper.cgroups, lower.cgroups)
        and set(upper.released) >= set(lower.released)
    )


def _includes(upper: tuple[str, ...], lower: tuple[str, ...]) -> bool:
    return not upper or (bool(lower) and set(upper) >= set(lower))


def _longer(one: _Cover | None, other: _Cover) -> _Cover:
    return other if one is None or other.until > one.until else one


def _end(terms: Terms) -> float:
    return _NEVER if terms.ends_at is None else terms.ends_at
