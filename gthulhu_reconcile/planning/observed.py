"""What runs, as an immutable index that one event changes at the cost of one pod.

A new version shares everything with the one before it but the node that the event is about. The planner tells by
identity which nodes are still the same, so an index must be changed through its own methods only.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_wire.intents import PodRef, canonical_pod

_SHARDS = 256
"""A power of two. 100,000 pods make shards of 400, which copy in microseconds; one dictionary takes a millisecond."""


@dataclass(frozen=True, slots=True, eq=False)
class Shape:
    """All that selectors can ask of a pod but its node. Pods of one template share it as one object.

    Two shapes that say the same may be two objects; that costs the planner time, once, and changes nothing.

    Attributes:
        namespace: of the pod.
        labels: sorted by key.
        containers: names of those that have been created, sorted.
    """

    namespace: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class NodePods:
    """The pods that are planned on one node, in wire order, in columns: rows would be an object more for each pod.

    Attributes:
        pods: sorted by namespace, name and uid.
        shapes: theirs, one for one.
        texts: their canonical JSON within an intent, one for one.
    """

    pods: tuple[Pod, ...] = ()
    shapes: tuple[Shape, ...] = ()
    texts: tuple[str, ...] = ()

    def by_uid(self) -> dict[str, tuple[Pod, Shape]]:
        """Each pod with its shape."""
        return {pod.ref.uid: (pod, shape) for pod, shape in zip(self.pods, self.shapes, strict=True)}

    def with_pod(self, pod: Pod) -> NodePods:
        """With ``pod``, whose uid is not among them."""
        place = bisect_left(self.pods, _order(pod), key=_order)
        return NodePods(
            (*self.pods[:place], pod, *self.pods[place:]),
            (*self.shapes[:place], _Shapes().of(pod), *self.shapes[place:]),
            (*self.texts[:place], canonical_pod(pod.ref), *self.texts[place:]),
        )

    def without_pod(self, pod: Pod) -> NodePods:
        """Without ``pod``, which is among them."""
        place = self.pods.index(pod)
        end = place + 1
        return NodePods(
            self.pods[:place] + self.pods[end:],
            self.shapes[:place] + self.shapes[end:],
            self.texts[:place] + self.texts[end:],
        )


_NO_PODS = NodePods()


class Observed:
    """Pods and nodes at one moment. Equal input gives an equal index, whatever its order."""

    __slots__ = ("_nodes", "_populated", "_shards", "pod_count")

    def __init__(
        self,
        shards: tuple[Mapping[str, Pod], ...],
        populated: Mapping[str, NodePods],
        nodes: Mapping[str, Node],
        pod_count: int,
    ) -> None:
        """Prefer :meth:`of`; the parts must fit together."""
        self._shards = shards
        self._populated = populated
        self._nodes = nodes
        self.pod_count = pod_count

    @classmethod
    def of(cls, pods: Iterable[Pod], nodes: Iterable[Node] = ()) -> Observed:
        """The index of ``pods`` and ``nodes``.

        Where a uid comes twice, as when two agents report one pod, a pod that still runs is kept rather than a
        finished one, then the greater by node and name.
        """
        shards: tuple[dict[str, Pod], ...] = tuple({} for _ in range(_SHARDS))
        shapes = _Shapes()
        for pod in pods:
            uid = pod.ref.uid
            shard = shards[_shard(uid)]
            known = shard.setdefault(uid, pod)
            if known is not pod and _preference(pod) > _preference(known):
                shard[uid] = pod
        by_node: defaultdict[str, list[Pod]] = defaultdict(list)
        for shard in shards:
            for pod in shard.values():
                if _planned(pod):
                    by_node[pod.node].append(pod)
        populated = {name: _of_node(found, shapes.of) for name, found in by_node.items()}
        return cls(shards, populated, {node.name: node for node in nodes}, sum(map(len, shards)))

    def with_pod(self, pod: Pod) -> Observed:
        """With ``pod`` added, or in the place of the one that has its uid."""
        known = self.pod(pod.ref.uid)
        populated = dict(self._populated)
        if known is not None:
            _leave(populated, known)
        if _planned(pod):
            populated[pod.node] = populated.get(pod.node, _NO_PODS).with_pod(pod)
        number = _shard(pod.ref.uid)
        return Observed(
            self._shards_with(number, {**self._shards[number], pod.ref.uid: pod}),
            populated,
            self._nodes,
            self.pod_count + (known is None),
        )

    def without_pod(self, uid: str) -> Observed:
        """Without the pod of ``uid``; the same index where there is none."""
        known = self.pod(uid)
        if known is None:
            return self
        populated = dict(self._populated)
        _leave(populated, known)
        number = _shard(uid)
        kept = {key: pod for key, pod in self._shards[number].items() if key != uid}
        return Observed(self._shards_with(number, kept), populated, self._nodes, self.pod_count - 1)

    def with_node(self, node: Node) -> Observed:
        """With ``node`` added, or in the place of the one that has its name."""
        return Observed(self._shards, self._populated, {**self._nodes, node.name: node}, self.pod_count)

    def without_node(self, name: str) -> Observed:
        """Without the node of that name; its pods stay until they are said to be gone."""
        nodes = {key: node for key, node in self._nodes.items() if key != name}
        return Observed(self._shards, self._populated, nodes, self.pod_count)

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
        return pod is not None and pod.node == node and _planned(pod)

    def node(self, name: str) -> Node | None:
        """The observed node, None where only its pods or its agent are known."""
        return self._nodes.get(name)

    def on_node(self, node: str) -> NodePods:
        """The pods that are planned on ``node``; the same object until one of them changes."""
        return self._populated.get(node, _NO_PODS)

    @property
    def populated(self) -> Mapping[str, NodePods]:
        """Per node that has pods to plan, those pods."""
        return MappingProxyType(self._populated)

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
            shape = Shape(pod.ref.namespace, tuple(sorted(labels.items())), tuple(sorted(created)))
            self._known[as_listed] = shape
        return shape


def _planned(pod: Pod) -> bool:
    return pod.node != "" and not pod.phase.finished


def _shard(uid: str) -> int:
    return hash(uid) & (_SHARDS - 1)


def _preference(pod: Pod) -> tuple[bool, str, PodRef]:
    return (_planned(pod), pod.node, pod.ref)


def _order(pod: Pod) -> tuple[str, str, str]:
    ref = pod.ref
    return (ref.namespace, ref.name, ref.uid)


def _of_node(pods: list[Pod], shape_of: Callable[[Pod], Shape]) -> NodePods:
    pods.sort(key=_order)
    return NodePods(tuple(pods), tuple(map(shape_of, pods)), tuple([canonical_pod(pod.ref) for pod in pods]))


def _leave(populated: dict[str, NodePods], pod: Pod) -> None:
    if not _planned(pod):
        return
    kept = populated[pod.node].without_pod(pod)
    if kept.pods:
        populated[pod.node] = kept
    else:
        del populated[pod.node]
