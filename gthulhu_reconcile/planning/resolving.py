"""From rules and pods to each node's desired set, node by node, when it is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.planning.matching import Rules
from gthulhu_reconcile.planning.nodeterms import NodeClass
from gthulhu_reconcile.planning.observed import NodePods, Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.ranked import NOTHING, Ranking
from gthulhu_wire.intents import Intent, PodRef, PolicyRef, canonical_intent, digest_of_texts

_SPARE_SHAPES = 4096


@dataclass(frozen=True, slots=True)
class TieHere:
    """A tie on one node: for its pods, or for the node itself where there are none."""

    winner: PolicyRef
    loser: PolicyRef
    pods: tuple[PodRef, ...]


class NodeDesired:
    """What one node is to enforce.

    Its intents are made when they are asked for: a node whose agent holds the digest already needs none, and
    100,000 pods do not become as many objects in every pass.

    Attributes:
        digest: of :attr:`intents`.
        count: of :attr:`intents`.
        matched: pods that have an intent.
        takes_node: whether there is an intent for the node itself.
        ties: in no order that means anything.
    """

    __slots__ = ("_intents", "_own", "_pods", "_rankings", "count", "digest", "matched", "takes_node", "ties")

    def __init__(self, own: Ranking, pods: NodePods, rankings: Sequence[Ranking]) -> None:
        """``rankings`` are of the ``pods``, one for one."""
        self._own = own
        self._pods = pods
        self._rankings = rankings
        self._intents: tuple[Intent, ...] | None = None
        self.takes_node = bool(own.entries)
        self.count, self.matched = len(own.entries), 0
        met: dict[tuple[PolicyRef, PolicyRef], list[PodRef]] = {pair: [] for pair in own.ties}
        texts = list(map(canonical_intent, _node_intents(own)))
        for pod, text, ranking in zip(pods.pods, pods.texts, rankings, strict=True):
            if ranking is NOTHING:
                continue
            self.matched += 1
            self.count += len(ranking.entries)
            if ranking.pieces:
                texts.append(text.join(ranking.pieces))
            else:
                texts.extend(map(canonical_intent, _pod_intents(pod, ranking)))
            for pair in ranking.ties:
                met.setdefault(pair, []).append(pod.ref)
        self.digest = digest_of_texts(texts)
        self.ties = tuple([TieHere(winner, loser, tuple(refs)) for (winner, loser), refs in met.items()])

    @property
    def intents(self) -> tuple[Intent, ...]:
        """In wire order."""
        if self._intents is None:
            intents = _node_intents(self._own)
            for pod, ranking in zip(self._pods.pods, self._rankings, strict=True):
                if ranking is not NOTHING:
                    intents.extend(_pod_intents(pod, ranking))
            self._intents = tuple(intents)
        return self._intents


@dataclass(frozen=True, slots=True)
class _Known:
    """A node's desired set, and the very objects that it was worked out from."""

    pods: NodePods
    node: Node | None
    desired: NodeDesired


class Resolution:
    """The desired set of every node, without regard to what agents hold.

    Worked out when asked for and remembered until the node or a pod on it changes: :meth:`after` an event, every
    other node costs a comparison of two identities. To be used from one thread at a time.
    """

    def __init__(self, rules: Rules, observed: Observed, known: dict[str, _Known]) -> None:
        """Made by :func:`resolve` and :meth:`after`."""
        self.rules = rules
        self.observed = observed
        self._known = known

    def after(self, observed: Observed) -> Resolution:
        """The same policies over a later index."""
        if len(self._known) > 2 * (len(observed.nodes) + len(observed.populated)) + _SPARE_SHAPES:
            self._known.clear()
        self.rules.forget_beyond(2 * observed.pod_count + _SPARE_SHAPES)
        return Resolution(self.rules, observed, self._known)

    def desired(self, node: str) -> NodeDesired:
        """What ``node`` is to enforce; node policies take one that is not observed too, unless by labels."""
        pods, observed = self.observed.on_node(node), self.observed.node(node)
        known = self._known.get(node)
        if known is None or known.pods is not pods or known.node is not observed:
            desired = _resolve(self.rules, self.rules.node_class(node, observed), pods)
            known = self._known[node] = _Known(pods, observed, desired)
        return known.desired

    def node_class(self, node: str) -> NodeClass:
        """The class of ``node`` as observed."""
        return self.rules.node_class(node, self.observed.node(node))


def resolve(candidates: Sequence[Candidate], observed: Observed, options: Options) -> Resolution:
    """What ``candidates`` come to; of ``options`` only protection and limits matter."""
    return Resolution(Rules(candidates, options), observed, {})


def _resolve(rules: Rules, node_class: NodeClass, pods: NodePods) -> NodeDesired:
    return NodeDesired(rules.node_ranking(node_class), pods, rules.pod_rankings(pods.shapes, node_class))


def _node_intents(ranking: Ranking) -> list[Intent]:
    return [Intent(entry.terms, rank) for rank, entry in enumerate(ranking.entries)]


def _pod_intents(pod: Pod, ranking: Ranking) -> list[Intent]:
    return [
        Intent(entry.terms, rank, pod.ref, None if entry.containers is None else _ids(pod, entry.containers))
        for rank, entry in enumerate(ranking.entries)
    ]


def _ids(pod: Pod, names: tuple[str, ...]) -> tuple[str, ...]:
    """By name, so that the order in which a source lists containers does not matter."""
    created = {container.name: container.id for container in pod.containers if container.id}
    return tuple([created[name] for name in names])
