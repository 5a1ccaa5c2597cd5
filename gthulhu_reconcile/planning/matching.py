"""Policies made ready for matching: found by index, never tried one by one against every pod.

What policies say is grouped by what can differ: a namespace is looked at once, a node once, a set of labels once for
all pods that share it. A pod that looks like one seen before costs one lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.model.policy import Candidate, NodeTerms, PolicyKind, Standing
from gthulhu_reconcile.planning.admitting import refused_for_nodes, refused_for_pods
from gthulhu_reconcile.planning.nodeterms import NodeClass, NodeIndex
from gthulhu_reconcile.planning.observed import Shape
from gthulhu_reconcile.planning.options import Options, Protection
from gthulhu_reconcile.planning.ranking import NamespaceTerm, RankKey, namespace_term, rank_key
from gthulhu_reconcile.planning.selecting import LabelIndex, Projected, Projection, all_hold
from gthulhu_reconcile.planning.shadowing import Entry, Shadowed, split_node, split_pod
from gthulhu_reconcile.planning.ties import ties_among
from gthulhu_wire.globs import is_glob
from gthulhu_wire.intents import PolicyRef, Terms

_KEY = attrgetter("key")


@dataclass(frozen=True, slots=True)
class Ranking:
    """The policies of a pod, or of a node itself, strongest first.

    Attributes:
        entries: what is sent, rank 0 first.
        shadowed: what would be sent if a stronger one did not take all of its threads.
        ties: (winner, loser) that only their names order, each loser once.
    """

    entries: tuple[Entry, ...] = ()
    shadowed: tuple[Shadowed, ...] = ()
    ties: tuple[tuple[PolicyRef, PolicyRef], ...] = ()


class Ready:
    """One active policy, compiled."""

    __slots__ = ("containers", "keys", "node_terms", "policy", "terms")

    def __init__(self, candidate: Candidate, node_terms: int, released: tuple[str, ...]) -> None:
        policy = candidate.policy
        selector = policy.selector
        self.policy = policy
        self.node_terms = node_terms
        self.containers = frozenset(selector.containers)
        self.keys: Mapping[NamespaceTerm, RankKey] = {term: rank_key(policy, term) for term in NamespaceTerm}
        self.terms = Terms(
            policy=policy.ref,
            schedule=policy.schedule,
            command=selector.command,
            command_on=selector.command_on,
            units=selector.units,
            cgroups=selector.cgroups,
            released=released,
            on_delete=policy.on_delete,
            ends_at=candidate.ends_at,
        )


@dataclass(slots=True)
class _Namespace:
    """What one namespace makes of the policies: which it lets in, and by which key they are ranked there."""

    name: str
    own: LabelIndex[Ready] | None
    keys: dict[Ready, RankKey | None] = field(default_factory=dict)
    unanchored: tuple[Ready, ...] = ()


@dataclass(slots=True)
class _Signature:
    """Everything that policies can tell apart in a pod but its node."""

    matched: tuple[tuple[int, Entry], ...]
    rankings: dict[NodeClass, Ranking] = field(default_factory=dict)


class Rules:
    """The active candidates under the operator's settings. What it remembers only makes it faster."""

    def __init__(self, candidates: Iterable[Candidate], options: Options) -> None:
        self._options = options
        active = _unique(candidate for candidate in candidates if candidate.standing is Standing.ACTIVE)
        self._nodes = NodeIndex(candidate.policy.selector.nodes for candidate in active)
        numbers = self._nodes.numbers
        self._of_nodes = tuple(
            _for_node(candidate, numbers, options.protection)
            for candidate in active
            if candidate.policy.kind is PolicyKind.NODE and refused_for_nodes(candidate.policy, options) is None
        )
        ready = [
            Ready(candidate, numbers[candidate.policy.selector.nodes], ())
            for candidate in active
            if candidate.policy.kind is PolicyKind.SCHEDULING
        ]
        own: dict[str, list[Ready]] = {}
        general: list[Ready] = []
        for item in ready:
            namespaces = item.policy.selector.namespaces
            if namespaces and not any(map(is_glob, namespaces)):
                for namespace in dict.fromkeys(namespaces):
                    own.setdefault(namespace, []).append(item)
            else:
                general.append(item)
        self._own = {namespace: _index(items) for namespace, items in own.items()}
        self._general = _index(general)
        self._projection = Projection(term for item in ready for term in item.policy.selector.labels)
        self._container_names = frozenset(name for item in ready for name in item.containers)
        self._namespaces: dict[str, _Namespace] = {}
        self._signatures: dict[tuple[str, Projected, tuple[str, ...]], _Signature] = {}
        self._by_shape: dict[Shape, _Signature] = {}
        self._node_rankings: dict[NodeClass, Ranking] = {}

    def node_class(self, name: str, node: Node | None) -> NodeClass:
        """The class of the node ``name``; where it is not observed, terms about labels do not take it."""
        return self._nodes.class_of(name, node)

    def node_ranking(self, node_class: NodeClass) -> Ranking:
        """The node policies of a node."""
        ranking = self._node_rankings.get(node_class)
        if ranking is None:
            entries = sorted((entry for number, entry in self._of_nodes if number in node_class), key=_KEY)
            ranking = self._node_rankings[node_class] = _ranking(entries, *split_node(entries))
        return ranking

    def pod_ranking(self, shape: Shape, node_class: NodeClass) -> Ranking:
        """The policies of a pod of ``shape`` on a node of ``node_class``."""
        signature = self._by_shape.get(shape)
        if signature is None:
            signature = self._by_shape[shape] = self._signature(shape)
        ranking = signature.rankings.get(node_class)
        if ranking is None:
            entries = [entry for number, entry in signature.matched if number in node_class]
            ranking = signature.rankings[node_class] = _ranking(entries, *split_pod(entries))
        return ranking

    def forget_beyond(self, shapes: int) -> None:
        """Drop what is remembered of pods where it is of more than ``shapes`` shapes, most of them long gone."""
        if len(self._by_shape) > shapes:
            self._by_shape.clear()
            self._signatures.clear()
            self._namespaces.clear()

    def _signature(self, shape: Shape) -> _Signature:
        namespace, labels, containers = shape
        projected = self._projection.of(labels)
        names = tuple([name for name in containers if name in self._container_names])
        signature = self._signatures.get((namespace, projected, names))
        if signature is None:
            signature = _Signature(self._match(self._namespace(namespace), projected, names))
            self._signatures[namespace, projected, names] = signature
        return signature

    def _match(
        self, namespace: _Namespace, labels: Projected, containers: tuple[str, ...]
    ) -> tuple[tuple[int, Entry], ...]:
        held = dict(labels)
        found: list[tuple[int, Entry]] = []
        sources = (
            () if namespace.own is None else namespace.own.anchored(labels),
            self._general.anchored(labels),
            namespace.unanchored,
        )
        for source in sources:
            for ready in source:
                if not all_hold(ready.policy.selector.labels, held):
                    continue
                key = self._key(namespace, ready)
                if key is None:
                    continue
                names: tuple[str, ...] | None = None
                if ready.containers:
                    names = tuple([name for name in containers if name in ready.containers])
                    if not names:
                        continue
                found.append((ready.node_terms, Entry(key, ready.terms, names)))
        return tuple(sorted(found, key=lambda pair: pair[1].key))

    def _namespace(self, name: str) -> _Namespace:
        known = self._namespaces.get(name)
        if known is None:
            own = self._own.get(name)
            known = self._namespaces[name] = _Namespace(name, own)
            unanchored = [*(own.unanchored if own else ()), *self._general.unanchored]
            known.unanchored = tuple([ready for ready in unanchored if self._key(known, ready) is not None])
        return known

    def _key(self, namespace: _Namespace, ready: Ready) -> RankKey | None:
        """How ``ready`` is ranked in the namespace; None where it may not act there."""
        keys = namespace.keys
        if ready in keys:
            return keys[ready]
        named = ready.policy.selector.namespaces
        term = namespace_term(named, namespace.name)
        allowed = term is not None and refused_for_pods(ready.policy, namespace.name, self._options) is None
        key = keys[ready] = ready.keys[term] if term is not None and allowed else None
        return key


def _for_node(candidate: Candidate, numbers: Mapping[NodeTerms, int], protection: Protection) -> tuple[int, Entry]:
    selector = candidate.policy.selector
    ready = Ready(candidate, numbers[selector.nodes], protection.released_units(selector.units))
    return ready.node_terms, Entry(ready.keys[NamespaceTerm.ABSENT], ready.terms)


def _index(items: Sequence[Ready]) -> LabelIndex[Ready]:
    return LabelIndex([(item, item.policy.selector.labels) for item in items])


def _unique(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Sorted by kind and name. Loading reports a policy that comes twice; here the first source is kept."""
    found: dict[tuple[str, str, str], Candidate] = {}
    for candidate in sorted(candidates, key=lambda one: (one.policy.kind, one.policy.ref, one.policy.line)):
        ref = candidate.policy.ref
        found.setdefault((candidate.policy.kind, ref.namespace, ref.name), candidate)
    return list(found.values())


def _ranking(entries: Sequence[Entry], sent: tuple[Entry, ...], shadowed: tuple[Shadowed, ...]) -> Ranking:
    if not entries:
        return _NOTHING
    return Ranking(sent, shadowed, ties_among(entries, {lost.entry.terms.policy: lost.by for lost in shadowed}))


_NOTHING = Ranking()
