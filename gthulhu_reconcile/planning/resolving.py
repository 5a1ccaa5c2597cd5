"""From rules and pods to each node's desired set, node by node, when it is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.planning.matching import Rules
from gthulhu_reconcile.planning.nodeterms import NodeClass
from gthulhu_reconcile.planning.observed import Member, Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_wire.intents import Intent, PodRef, PolicyRef, digest

_SPARE_SHAPES = 4096


@dataclass(frozen=True, slots=True)
class TieHere:
    """A tie on one node: for its pods, or for the node itself where there are none."""

    winner: PolicyRef
    loser: PolicyRef
    pods: tuple[PodRef, ...]


@dataclass(frozen=True, slots=True)
class NodeDesired:
    """What one node is to enforce.

    Attributes:
        intents: in wire order.
        digest: of ``intents``.
        matched: pods that have an intent.
        ties: in no order that means anything.
    """

    intents: tuple[Intent, ...]
    digest: str
    matched: int
    ties: tuple[TieHere, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    """A node's desired set, and the very objects that it was worked out from."""

    members: tuple[Member, ...]
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
        members, observed = self.observed.members(node), self.observed.node(node)
        known = self._known.get(node)
        if known is None or known.members is not members or known.node is not observed:
            desired = _resolve(self.rules, self.rules.node_class(node, observed), members)
            known = self._known[node] = _Known(members, observed, desired)
        return known.desired

    def digests(self, nodes: Iterable[str]) -> dict[str, str]:
        """Per node, the digest of what it is to enforce."""
        return {node: self.desired(node).digest for node in nodes}

    def node_class(self, node: str) -> NodeClass:
        """The class of ``node`` as observed."""
        return self.rules.node_class(node, self.observed.node(node))


def resolve(candidates: Sequence[Candidate], observed: Observed, options: Options) -> Resolution:
    """What ``candidates`` come to; of ``options`` only protection and limits matter."""
    return Resolution(Rules(candidates, options), observed, {})


def _resolve(rules: Rules, node_class: NodeClass, members: tuple[Member, ...]) -> NodeDesired:
    own = rules.node_ranking(node_class)
    intents = [Intent(entry.terms, rank) for rank, entry in enumerate(own.entries)]
    ties: dict[tuple[PolicyRef, PolicyRef], list[PodRef]] = {pair: [] for pair in own.ties}
    matched = 0
    for member in members:
        ranking = rules.pod_ranking(member.shape, node_class)
        if not ranking.entries:
            continue
        matched += 1
        pod = member.pod.ref
        for rank, entry in enumerate(ranking.entries):
            names = entry.containers
            intents.append(Intent(entry.terms, rank, pod, None if names is None else _ids(member.pod, names)))
        for pair in ranking.ties:
            ties.setdefault(pair, []).append(pod)
    return NodeDesired(
        intents=tuple(intents),
        digest=digest(intents),
        matched=matched,
        ties=tuple(TieHere(winner, loser, tuple(pods)) for (winner, loser), pods in ties.items()),
    )


def _ids(pod: Pod, names: tuple[str, ...]) -> tuple[str, ...]:
    """By name, so that the order in which a source lists containers does not matter."""
    created = {container.name: container.id for container in pod.containers if container.id}
    return tuple([created[name] for name in names])
