"""The policies of one pod, or of one node itself, in order of rank, with what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gthulhu_reconcile.planning.shadowing import Entry, node_shadowers, pod_shadowers
from gthulhu_reconcile.planning.ties import ties_among
from gthulhu_wire.intents import PolicyRef, canonical_pieces


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """Shared by all pods (or nodes) that are alike to every policy.

    Attributes:
        entries: what is sent, rank 0 first.
        selecting: those and the ones that are not sent because stronger ones take all of their threads.
        ties: (winner, loser) that only their names order, each loser once.
        pieces: see :func:`~gthulhu_wire.intents.canonical_pieces`; empty where ids of containers differ by pod.
    """

    entries: tuple[Entry, ...] = ()
    selecting: Sequence[Entry] = ()
    ties: tuple[tuple[PolicyRef, PolicyRef], ...] = ()
    pieces: tuple[str, ...] = ()


NOTHING = Ranking()


def rank_pod(entries: Sequence[Entry]) -> Ranking:
    """The ranking of a pod that ``entries`` select; they must be sorted by key."""
    if not entries:
        return NOTHING
    shadowers = pod_shadowers(entries)
    sent = _sent(entries, shadowers)
    shared = all(entry.containers is None for entry in sent)
    pieces = canonical_pieces([entry.terms for entry in sent]) if shared else ()
    return Ranking(sent, entries, ties_among(entries, shadowers), pieces)


def rank_node(entries: Sequence[Entry]) -> Ranking:
    """The ranking of a node that ``entries`` select; they must be sorted by key."""
    if not entries:
        return NOTHING
    shadowers = node_shadowers(entries)
    return Ranking(_sent(entries, shadowers), entries, ties_among(entries, shadowers))


def _sent(entries: Sequence[Entry], shadowers: Sequence[PolicyRef | None]) -> tuple[Entry, ...]:
    return tuple([entry for entry, by in zip(entries, shadowers, strict=True) if by is None])
