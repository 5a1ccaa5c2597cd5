"""What runs, as an immutable index that one event changes at the cost of one pod.

A new version shares everything with the one before it but the node that the event is about. The planner tells by
identity which nodes are still the same, so an index must be changed through its own methods only.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_wire.intents import PodRef, canonical_pod

Shape = tuple[str, tuple[tuple[str, str], ...], tuple[str, ...]]
"""All that selectors can ask of a pod but its node: namespace, sorted labels, sorted names of created containers.

Pods of one template share it, so policies are matched once for all of them.
"""

_SHARDS = 256
"""A power of two. 100,000 pods make shards of 400, which copy in microseconds; one dictionary takes a millisecond."""


class Member(NamedTuple):
    """A pod that is to be planned on its node; ``text`` is its canonical JSON within an intent."""

    pod: Pod
    shape: Shape
    text: str


class Observed:
    """Pods and nodes at one moment. Equal input gives an equal index, whatever its order."""

    __slots__ = ("_members", "_nodes", "_shards", "pod_count")

    def __init__(
        self,
        shards: tuple[Mapping[str, Pod], ...],
        members: Mapping[str, tuple[Member, ...]],
        nodes: Mapping[str, Node],
        pod_count: int,
    ) -> None:
        """Prefer :meth:`of`; the parts must fit together."""
        self._shards = shards
        self._members = members
        self._nodes = nodes
        self.pod_count = pod_count

    @classmethod
    def of(cls, pods: Iterable[Pod], nodes: Iterable[Node] = ()) -> Observed:
        """The index of ``pods`` and ``nodes``.

        Where a uid comes twice, as when two agents report one pod, a pod that still runs is kept rather than a
        finished one, then the greater by node and name.
        """
        shards: tuple[dict[str, Pod], ...] = tuple({} for _ in range(_SHARDS))
        for pod in pods:
            uid = pod.ref.uid
            shard = shards[_shard(uid)]
            known = shard.setdefault(uid, pod)
            if known is not pod and _preference(pod) > _preference(known):
                shard[uid] = pod
        by_node: defaultdict[str, list[Member]] = defaultdict(list)
        shape_of = _Shapes().of
        for shard in shards:
            for pod in shard.values():
                if _planned(pod):
                    by_node[pod.node].append(Member(pod, shape_of(pod), canonical_pod(pod.ref)))
        members = {name: tuple(sorted(found, key=_order)) for name, found in by_node.items()}
        return cls(shards, members, {node.name: node for node in nodes}, sum(map(len, shards)))

    def with_pod(self, pod: Pod) -> Observed:
        """With ``pod`` added, or in the place of the one that has its uid."""
        known = self.pod(pod.ref.uid)
        members = dict(self._members)
        if known is not None:
            _leave(members, known)
        if _planned(pod):
            before = members.get(pod.node, ())
            member = Member(pod, _Shapes().of(pod), canonical_pod(pod.ref))
            members[pod.node] = tuple(sorted((*before, member), key=_order))
        number = _shard(pod.ref.uid)
        return Observed(
            self._shards_with(number, {**self._shards[number], pod.ref.uid: pod}),
            members,
            self._nodes,
            self.pod_count + (known is None),
        )

    def without_pod(self, uid: str) -> Observed:
        """Without the pod of ``uid``; the same index where there is none."""
        known = self.pod(uid)
        if known is None:
            return self
        members = dict(self._members)
        _leave(members, known)
        number = _shard(uid)
        kept = {key: pod for key, pod in self._shards[number].items() if key != uid}
        return Observed(self._shards_with(number, kept), members, self._nodes, self.pod_count - 1)

    def with_node(self, node: Node) -> Observed:
        """With ``node`` added, or in the place of the one that has its name."""
        return Observed(self._shards, self._members, {**self._nodes, node.name: node}, self.pod_count)

    def without_node(self, name: str) -> Observed:
        """Without the node of that name; its pods stay until they are said to be gone."""
        nodes = {key: node for key, node in self._nodes.items() if key != name}
        return Observed(self._shards, self._members, nodes, self.pod_count)

    def pod(self, uid: str) -> Pod | None:
        """The pod of ``uid``, finished ones too."""
        return self._shards[_shard(uid)].get(uid)

    def pods(self) -> Iterator[Pod]:
        """Every pod, finished ones too, in no order that means anything."""
        for shard in self._shards:
            yield from shard.values()

    def find(self, namespace: str, name: str) -> Pod | None:
        """The pod of that name, one that still runs before one that has finished."""
        found = (pod for pod in self.pods() if pod.ref.name == name and pod.ref.namespace == namespace)
        return max(found, key=_preference, default=None)

    def runs(self, uid: str, node: str) -> bool:
        """Whether the pod of ``uid`` is on ``node`` and has not finished."""
        pod = self.pod(uid)
        return pod is not None and pod.node == node and not pod.phase.finished

    def node(self, name: str) -> Node | None:
        """The observed node, None where only its pods or its agent are known."""
        return self._nodes.get(name)

    def members(self, node: str) -> tuple[Member, ...]:
        """The pods that are planned on ``node``, in wire order; the same object until one of them changes."""
        return self._members.get(node, ())

    @property
    def populated(self) -> Mapping[str, tuple[Member, ...]]:
        """Per node that has pods to plan, those pods."""
        return MappingProxyType(self._members)

    @property
    def nodes(self) -> Mapping[str, Node]:
        """Observed nodes by name."""
        return MappingProxyType(self._nodes)

    def _shards_with(self, number: int, shard: Mapping[str, Pod]) -> tuple[Mapping[str, Pod], ...]:
        return (*self._shards[:number], shard, *self._shards[number + 1 :])


class _Shapes:
    """Makes shapes, one object for all pods whose source lists the same labels and containers in the same order."""

    def __init__(self) -> None:
        self._known: dict[tuple[object, ...], Shape] = {}

    def of(self, pod: Pod) -> Shape:
        """What selectors see of ``pod``; a container that has not been created cannot be selected yet."""
        labels = pod.labels
        created = tuple([container.name for container in pod.containers if container.id])
        as_listed = (pod.ref.namespace, tuple(labels), tuple(labels.values()), created)
        shape = self._known.get(as_listed)
        if shape is None:
            shape = (pod.ref.namespace, tuple(sorted(labels.items())), tuple(sorted(created)))
            self._known[as_listed] = shape
        return shape


def _planned(pod: Pod) -> bool:
    return pod.node != "" and not pod.phase.finished


def _shard(uid: str) -> int:
    return hash(uid) & (_SHARDS - 1)


def _preference(pod: Pod) -> tuple[bool, str, PodRef]:
    return (_planned(pod), pod.node, pod.ref)


def _order(member: Member) -> tuple[str, str, str]:
    ref = member.pod.ref
    return (ref.namespace, ref.name, ref.uid)


def _leave(members: dict[str, tuple[Member, ...]], pod: Pod) -> None:
    if not _planned(pod):
        return
    kept = tuple(member for member in members[pod.node] if member.pod is not pod)
    if kept:
        members[pod.node] = kept
    else:
        del members[pod.node]
