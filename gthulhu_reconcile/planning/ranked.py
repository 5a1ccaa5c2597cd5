"""The policies of one pod, or of one node itself, in order of rank, with what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gthulhu_reconcile.planning.shadowing import Entry, Shadowed, split_node, split_pod
from gthulhu_reconcile.planning.ties import ties_among
from gthulhu_wire.intents import PolicyRef, canonical_pieces


@dataclass(frozen=True, slots=True)
class Ranking:
    """Shared by all pods (or nodes) that are alike to every policy.

    Attributes:
        entries: what is sent, rank 0 first.
        shadowed: what would be sent if a stronger one did not take all of its threads.
        ties: (winner, loser) that only their names order, each loser once.
        pieces: see :func:`~gthulhu_wire.intents.canonical_pieces`; empty where ids of containers differ by pod.
    """

    entries: tuple[Entry, ...] = ()
    shadowed: tuple[Shadowed, ...] = ()
    ties: tuple[tuple[PolicyRef, PolicyRef], ...] = ()
    pieces: tuple[str, ...] = ()

    def shadower(self, policy: PolicyRef) -> PolicyRef | None:
        """Who shadows the policy of that name, wherever it is written; None where nobody does."""
        for lost in self.shadowed:
            found = lost.entry.terms.policy
            if found.name == policy.name and found.namespace == policy.namespace:
                return lost.by
        return None


NOTHING = Ranking()


def rank_pod(entries: Sequence[Entry]) -> Ranking:
    """The ranking of a pod that ``entries`` select; they must be sorted by key."""
    if not entries:
        return NOTHING
    sent, shadowed = split_pod(entries)
    shared = all(entry.containers is None for entry in sent)
    pieces = canonical_pieces([entry.terms for entry in sent]) if shared else ()
    return Ranking(sent, shadowed, ties_among(entries, shadowed), pieces)


def rank_node(entries: Sequence[Entry]) -> Ranking:
    """The ranking of a node that ``entries`` select; they must be sorted by key."""
    if not entries:
        return NOTHING
    sent, shadowed = split_node(entries)
    return Ranking(sent, shadowed, ties_among(entries, shadowed))
