"""Policies made ready for matching: found by index, never tried one by one against every pod.

What policies say is grouped by what can differ: a namespace is looked at once, a node once, a set of labels once for
all pods that share it. A pod that looks like one seen before costs one lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.model.policy import Candidate, NodeTerms, PolicyKind, Standing
from gthulhu_reconcile.planning.admitting import refused_for_nodes, refused_for_pods
from gthulhu_reconcile.planning.nodeterms import NodeClass, NodeIndex
from gthulhu_reconcile.planning.observed import Shape
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.ranked import Ranking, rank_node, rank_pod
from gthulhu_reconcile.planning.ranking import NamespaceTerm, RankKey, namespace_term, rank_key
from gthulhu_reconcile.planning.selecting import LabelIndex, Projected, Projection
from gthulhu_reconcile.planning.shadowing import Entry
from gthulhu_wire.globs import is_glob
from gthulhu_wire.intents import Terms

PolicyKey = tuple[PolicyKind, str, str]
"""Kind, namespace and name of a policy."""

_KEY = attrgetter("key")


class Ready:
    """One active policy, compiled; two are never equal."""

    __slots__ = ("containers", "keys", "labels", "namespaces", "node_terms", "policy", "terms")

    def __init__(self, candidate: Candidate, node_terms: int, options: Options) -> None:
        policy = candidate.policy
        self.policy = policy
        self.node_terms = node_terms
        self.namespaces = policy.selector.namespaces
        self.labels = policy.selector.labels
        self.containers = frozenset(policy.selector.containers)
        self.keys: Mapping[NamespaceTerm, RankKey] = {term: rank_key(policy, term) for term in NamespaceTerm}
        self.terms = terms_of(candidate, options)


@dataclass(slots=True)
class _Namespace:
    """What one namespace makes of the policies: which may act there, and how they are ranked there."""

    name: str
    named: LabelIndex[Ready]
    entries: dict[Ready, Entry | None]


@dataclass(slots=True)
class _Signature:
    """Everything that policies can tell apart in a pod but its node."""

    matched: Sequence[Entry]
    rankings: dict[NodeClass, Ranking] = field(default_factory=dict)


class Rules:
    """Candidates under the operator's settings, the active ones indexed. What it remembers only makes it faster.

    Attributes:
        candidates: all of them, each once.
    """

    def __init__(self, candidates: Iterable[Candidate], options: Options) -> None:
        self._options = options
        self.candidates: Mapping[PolicyKey, Candidate] = _by_name(candidates)
        active = [candidate for candidate in self.candidates.values() if candidate.standing is Standing.ACTIVE]
        self._nodes = NodeIndex([NodeTerms(), *(candidate.policy.selector.nodes for candidate in active)])
        numbers = self._nodes.numbers
        ready = [Ready(candidate, numbers[candidate.policy.selector.nodes], options) for candidate in active]
        self._of_nodes = sorted(
            (
                Entry(one.keys[NamespaceTerm.ABSENT], one.terms, one.node_terms)
                for one in ready
                if one.policy.kind is PolicyKind.NODE and refused_for_nodes(one.policy, options) is None
            ),
            key=_KEY,
        )
        self._index_pods([one for one in ready if one.policy.kind is PolicyKind.SCHEDULING])
        self._namespaces: dict[str, _Namespace] = {}
        self._signatures: dict[tuple[str, Projected, tuple[str, ...]], _Signature] = {}
        self._by_shape: dict[Shape, _Signature] = {}
        self._node_rankings: dict[NodeClass, Ranking] = {}

    def _index_pods(self, ready: Sequence[Ready]) -> None:
        self._own: dict[str, list[Ready]] = {}
        self._globbed: list[Ready] = []
        anywhere: list[Ready] = []
        for one in ready:
            if not one.namespaces:
                anywhere.append(one)
            elif any(map(is_glob, one.namespaces)):
                self._globbed.append(one)
            else:
                for namespace in dict.fromkeys(one.namespaces):
                    self._own.setdefault(namespace, []).append(one)
        self._globs = frozenset(one.namespaces for one in self._globbed)
        self._anywhere = LabelIndex([(one, one.labels) for one in anywhere])
        self._projection = Projection(term for one in ready for term in one.labels)
        self._container_names = frozenset(name for one in ready for name in one.containers)

    def node_class(self, name: str, node: Node | None) -> NodeClass:
        """The class of the node ``name``; where it is not observed, terms about labels do not take it."""
        return self._nodes.class_of(name, node)

    def node_ranking(self, node_class: NodeClass) -> Ranking:
        """The node policies of a node."""
        ranking = self._node_rankings.get(node_class)
        if ranking is None:
            entries = [entry for entry in self._of_nodes if entry.node_terms in node_class]
            ranking = self._node_rankings[node_class] = rank_node(entries)
        return ranking

    def pod_rankings(self, shapes: Iterable[Shape], node_class: NodeClass) -> list[Ranking]:
        """The policies of each of the pods of ``shapes`` on a node of ``node_class``."""
        known = self._by_shape
        rankings: list[Ranking] = []
        for shape in shapes:
            signature = known.get(shape)
            if signature is None:
                signature = known[shape] = self._signature(shape)
            ranking = signature.rankings.get(node_class)
            if ranking is None:
                entries = [entry for entry in signature.matched if entry.node_terms in node_class]
                ranking = signature.rankings[node_class] = rank_pod(entries)
            rankings.append(ranking)
        return rankings

    def forget_beyond(self, shapes: int) -> None:
        """Drop what is remembered of pods where it is of more than ``shapes`` shapes, most of them long gone."""
        if len(self._by_shape) > shapes:
            self._by_shape.clear()
            self._signatures.clear()
            self._namespaces.clear()

    def _signature(self, shape: Shape) -> _Signature:
        projected = self._projection.of(shape.labels)
        names = tuple([name for name in shape.containers if name in self._container_names])
        key = (shape.namespace, projected, names)
        signature = self._signatures.get(key)
        if signature is None:
            matched = self._match(self._namespace(shape.namespace), projected, names)
            signature = self._signatures[key] = _Signature(matched)
        return signature

    def _match(self, namespace: _Namespace, labels: Projected, containers: tuple[str, ...]) -> list[Entry]:
        found: list[Entry] = []
        for index in (namespace.named, self._anywhere):
            for ready in index.meeting(labels):
                entry = self._entry(namespace, ready)
                if entry is None:
                    continue
                if ready.containers:
                    names = tuple([name for name in containers if name in ready.containers])
                    if not names:
                        continue
                    entry = replace(entry, containers=names)
                found.append(entry)
        found.sort(key=_KEY)
        return found

    def _namespace(self, name: str) -> _Namespace:
        namespace = self._namespaces.get(name)
        if namespace is None:
            taken = {globs for globs in self._globs if namespace_term(globs, name) is not None}
            named = [*self._own.get(name, ()), *(one for one in self._globbed if one.namespaces in taken)]
            index = LabelIndex([(one, one.labels) for one in named])
            namespace = self._namespaces[name] = _Namespace(name, index, {})
        return namespace

    def _entry(self, namespace: _Namespace, ready: Ready) -> Entry | None:
        """``ready`` as it is ranked in the namespace; None where it may not act there."""
        entries = namespace.entries
        if ready not in entries:
            term = namespace_term(ready.namespaces, namespace.name)
            allowed = term is not None and refused_for_pods(ready.policy, namespace.name, self._options) is None
            entries[ready] = (
                Entry(ready.keys[term], ready.terms, ready.node_terms) if term is not None and allowed else None
            )
        return entries[ready]


def terms_of(candidate: Candidate, options: Options) -> Terms:
    """What the intents of ``candidate`` say."""
    policy, selector = candidate.policy, candidate.policy.selector
    return Terms(
        policy=policy.ref,
        schedule=policy.schedule,
        command=selector.command,
        command_on=selector.command_on,
        units=selector.units,
        cgroups=selector.cgroups,
        released=options.protection.released_units(selector.units),
        on_delete=policy.on_delete,
        ends_at=candidate.ends_at,
    )


def _by_name(candidates: Iterable[Candidate]) -> dict[PolicyKey, Candidate]:
    """Sorted. Loading reports a policy that comes twice; here an active one is kept, of the first source."""
    found: dict[PolicyKey, Candidate] = {}
    for candidate in sorted(candidates, key=_input_order):
        policy = candidate.policy
        found.setdefault((policy.kind, policy.ref.namespace, policy.ref.name), candidate)
    return found


def _input_order(candidate: Candidate) -> tuple[str, str, str, str, str, int]:
    policy, ref = candidate.policy, candidate.policy.ref
    return (policy.kind, candidate.standing, ref.namespace, ref.name, ref.source, policy.line)
