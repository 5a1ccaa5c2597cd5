"""What ``kubectl get pods -A -o json`` and ``kubectl get pods,nodes -A -o json`` print."""

from __future__ import annotations

from gthulhu_reconcile.loading.source import shown, whole_file
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.observing.jsonlist import Element, JsonList, Member, Readable, Unreadable
from gthulhu_reconcile.observing.kubernetes import Misfit, Object, Objects, claimed_uid, with_uid
from gthulhu_reconcile.observing.pods import Observation

MAX_BYTES = 1 << 30
"""Of a whole file: some 100,000 pods as a cluster with many annotations has them."""
MAX_FINDINGS = 100
COMMAND = "kubectl get pods,nodes -A -o json"
_LISTS = {"List": "", "PodList": "Pod", "NodeList": "Node"}


def read(file: Readable, path: str, *, most: int = MAX_BYTES) -> Observation:
    """Pods and nodes of a list of Kubernetes objects; unreadable as a whole where any part of it is not right.

    Raises:
        IsSnapshot: it is no such list, but the other form that we take.
    """
    return _Reading(file, path, most).run()


class IsSnapshot(Exception):  # noqa: N818 - no error, but another format
    """The object is a snapshot of :mod:`gthulhu_reconcile.observing.snapshot`, written as JSON."""


class _Reading:
    def __init__(self, file: Readable, path: str, most: int) -> None:
        self._path = path
        self._list = JsonList(file, path, most=most)
        self._objects = Objects()
        self._members: dict[str, object] = {}
        self._pods: dict[str, Pod] = {}
        self._nodes: dict[str, Node] = {}
        self._claims: dict[str, list[Pod]] = {}
        self._kinds: set[str] = set()
        self._found: list[Diagnostic] = []

    def run(self) -> Observation:
        try:
            for part in self._list.read():
                self._take(part)
                if len(self._found) >= MAX_FINDINGS:
                    break
            else:
                self._judge()
        except Unreadable as error:
            self._found.append(error.diagnostic)
        if self._found:
            return Observation(unreadable=(self._path,), diagnostics=tuple(self._found))
        warnings = self._name_as_nodes_do()
        return Observation(tuple(self._pods.values()), tuple(self._nodes.values()), diagnostics=warnings)

    def _take(self, part: Member | Element) -> None:
        if isinstance(part, Member):
            if part.key in ("pods", "nodes"):
                raise IsSnapshot
            if part.key in ("kind", "items", "metadata"):
                self._members[part.key] = part.value
                self._check_member(part)
            return
        try:
            self._object(part.value)
        except Misfit as misfit:
            self._found.append(
                self._list.diagnose(misfit.code, misfit.pointer, f"entry {part.number + 1}: {misfit.message}")
            )

    def _check_member(self, part: Member) -> None:
        if part.key == "items":
            self._found.append(self._list.diagnose(Code.WRONG_TYPE, (), "'items' must be a list"))
        elif part.key == "kind" and part.value not in _LISTS:
            hint = f"write what '{COMMAND}' prints into the file: one object or another list is not all pods"
            self._found.append(self._list.diagnose(Code.UNKNOWN_KIND, (), f"kind {shown(part.value)} is no list", hint))
        elif part.key == "metadata" and isinstance(part.value, dict):
            rest = [key for key in ("continue", "remainingItemCount") if part.value.get(key)]
            if rest:
                hint = f"take it with '{COMMAND}', which fetches all pieces"
                message = "is only the first piece of a longer list"
                self._found.append(self._list.diagnose(Code.INCOMPLETE_LIST, rest[:1], message, hint))

    def _object(self, item: object) -> None:
        if not isinstance(item, dict):
            raise Misfit((), "must be an object")
        kind = item.get("kind") or ""
        self._kinds.add(kind if isinstance(kind, str) else "")
        if kind == "Node":
            node = self._objects.node(item)
            if node.name in self._nodes:
                raise Misfit(("metadata", "name"), f"node {shown(node.name)} is there twice", Code.DUPLICATE_NODE)
            self._nodes[node.name] = node
        elif kind in ("Pod", ""):
            self._pod(item)
        else:
            raise Misfit(("kind",), f"kind {shown(kind)} is neither Pod nor Node", Code.UNKNOWN_KIND)

    def _pod(self, item: Object) -> None:
        pod = self._objects.pod(item)
        uid = pod.ref.uid
        if uid in self._pods:
            raise Misfit(("metadata", "uid"), f"the pod with uid {shown(uid)} is there twice", Code.DUPLICATE_POD)
        self._pods[uid] = pod
        claim = claimed_uid(item)
        if claim and claim != uid:
            self._claims.setdefault(claim, []).append(pod)

    def _judge(self) -> None:
        kind = self._members.get("kind")
        implied = _LISTS.get(kind, "") if isinstance(kind, str) else ""
        hint = f"it has to be what '{COMMAND}' prints"
        if not self._list.listed or kind is None:
            missing = "items" if kind is not None else "kind"
            self._found.append(whole_file(self._path, Code.MISSING_KEY, f"'{missing}' is missing", hint=hint))
        elif "" in self._kinds and implied == "Node":
            self._found.append(whole_file(self._path, Code.UNKNOWN_KIND, "is a list of nodes without pods", hint=hint))
        elif "" in self._kinds and not implied:
            self._found.append(whole_file(self._path, Code.MISSING_KEY, "an entry says no 'kind'", hint=hint))

    def _name_as_nodes_do(self) -> tuple[Diagnostic, ...]:
        warnings: list[Diagnostic] = []
        for uid, pods in self._claims.items():
            if len(pods) == 1 and uid not in self._pods:
                self._pods[pods[0].ref.uid] = with_uid(pods[0], uid)
                continue
            names = ", ".join(f"{pod.ref.namespace}/{pod.ref.name}" for pod in pods[:3])
            message = f"{names} claim as static pods the uid {shown(uid)}, which another pod has; the claim is ignored"
            warnings.append(whole_file(self._path, Code.DUPLICATE_POD, message, severity=Severity.WARNING))
        return tuple(warnings[:MAX_FINDINGS])
