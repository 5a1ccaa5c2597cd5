"""``selector.nodes``: which nodes it takes, and an index over all that policies say of nodes."""

from __future__ import annotations

from collections.abc import Iterable

from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.model.policy import NodeTerms
from gthulhu_reconcile.planning.selecting import LabelIndex, Projection, all_hold
from gthulhu_wire.globs import any_matches, is_glob

NodeClass = frozenset[int]
"""Numbers of the distinct node terms that a node meets; nodes of one class are alike to every policy."""


def takes_node(terms: NodeTerms, name: str, node: Node | None) -> bool:
    """Whether ``terms`` take the node; labels of a node that is not observed are unknown, not absent."""
    if terms.names and not any_matches(terms.names, name):
        return False
    return not terms.labels or (node is not None and all_hold(terms.labels, node.labels))


class NodeIndex:
    """Distinct node terms, found by exact name or by label."""

    def __init__(self, terms: Iterable[NodeTerms]) -> None:
        self._distinct = tuple(dict.fromkeys(terms))
        self.numbers = {one: number for number, one in enumerate(self._distinct)}
        self._by_name: dict[str, list[int]] = {}
        others: list[int] = []
        for number, one in enumerate(self._distinct):
            if one.names and not any(map(is_glob, one.names)):
                for name in dict.fromkeys(one.names):
                    self._by_name.setdefault(name, []).append(number)
            else:
                others.append(number)
        self._by_label = LabelIndex([(number, self._distinct[number].labels) for number in others])
        self._projection = Projection(term for one in self._distinct for term in one.labels)

    def class_of(self, name: str, node: Node | None) -> NodeClass:
        """The class of the node ``name``, which may not be observed."""
        labels = () if node is None else self._projection.of(sorted(node.labels.items()))
        found = [*self._by_name.get(name, ()), *self._by_label.meeting(labels)]
        return frozenset(number for number in found if takes_node(self._distinct[number], name, node))
