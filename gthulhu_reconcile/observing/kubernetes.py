"""Pods and nodes from the JSON that Kubernetes gives for them: kubectl's output, and the same objects of a watch."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from gthulhu_reconcile.model.diagnostics import Code
from gthulhu_reconcile.model.pods import NO_LABELS, Container, Node, Phase, Pod
from gthulhu_wire.intents import PodRef

_LISTS = (
    ("containers", "containerStatuses"),
    ("initContainers", "initContainerStatuses"),
    ("ephemeralContainers", "ephemeralContainerStatuses"),
)
_STATIC = ("kubernetes.io/config.mirror", "kubernetes.io/config.hash")
_UID = re.compile(r"[0-9a-f]{32}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Object = Mapping[str, object]


class Misfit(Exception):  # noqa: N818 - says what is the matter
    """An object is not what Kubernetes gives; ``pointer`` is where."""

    def __init__(self, pointer: Sequence[str | int], message: str, code: Code = Code.WRONG_TYPE) -> None:
        super().__init__(message)
        self.pointer = tuple(pointer)
        self.message = message
        self.code = code


class Objects:
    """Builds values from objects. Equal texts and label sets become one, which makes 100,000 pods a third as large."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}
        self._labels: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {(): NO_LABELS}

    def pod(self, item: Object) -> Pod:
        """A pod, with the uid that the API server gave it (see :func:`claimed_uid`).

        Raises:
            Misfit: a part is missing or of another type.
        """
        metadata = _object(item, "metadata")
        spec = _object(item, "spec", optional=True)
        status = _object(item, "status", optional=True)
        ref = PodRef(
            namespace=self._shared(_text(metadata, "namespace", ("metadata",))),
            name=_text(metadata, "name", ("metadata",)),
            uid=_text(metadata, "uid", ("metadata",)),
        )
        return Pod(
            ref=ref,
            node=self._shared(_text(spec, "nodeName", ("spec",), default="")),
            labels=self.labels(metadata),
            phase=_phase(status),
            containers=tuple(self._containers(spec, status)),
        )

    def node(self, item: Object) -> Node:
        """A node.

        Raises:
            Misfit: as :meth:`pod`.
        """
        metadata = _object(item, "metadata")
        return Node(self._shared(_text(metadata, "name", ("metadata",))), self.labels(metadata))

    def labels(self, metadata: Object) -> Mapping[str, str]:
        """``metadata.labels``, shared and unchangeable."""
        found = metadata.get("labels")
        if not found:
            return NO_LABELS
        if not isinstance(found, dict):
            raise Misfit(("metadata", "labels"), "'labels' must be an object")
        for key, value in found.items():
            if not isinstance(value, str):
                raise Misfit(("metadata", "labels", key), "a label's value must be a string")
        key_values = tuple(sorted(found.items()))
        known = self._labels.get(key_values)
        if known is None:
            shared = {self._shared(key): self._shared(value) for key, value in key_values}
            known = self._labels[tuple(shared.items())] = MappingProxyType(shared)
        return known

    def _containers(self, spec: Object, status: Object) -> Iterator[Container]:
        for names, statuses in _LISTS:
            rows = _rows(spec, names, "spec")
            if not rows:
                continue
            ids = {}
            for number, row in enumerate(_rows(status, statuses, "status")):
                place = ("status", statuses, number)
                ids[_text(row, "name", place)] = container_id(_text(row, "containerID", place, default=""))
            for number, row in enumerate(rows):
                name = self._shared(_text(row, "name", ("spec", names, number)))
                yield Container(name, ids.get(name, ""))

    def _shared(self, text: str) -> str:
        return self._texts.setdefault(text, text)


def container_id(text: str) -> str:
    """``containerd://4f…`` without its runtime."""
    return text.rpartition("://")[2]


def claimed_uid(item: Object) -> str:
    """The uid under which a static pod is known on its node, empty for any other pod.

    The API server shows a static pod as a mirror with a uid of its own; cgroups have the one of its manifest (32 hex
    digits as a rule), which the kubelet notes in annotations. Anybody who may create pods can write annotations too,
    so the claim is void where another pod has that uid.
    """
    metadata = item.get("metadata")
    annotations = metadata.get("annotations") if isinstance(metadata, dict) else None
    if not isinstance(annotations, dict):
        return ""
    for key in _STATIC:
        uid = annotations.get(key)
        if isinstance(uid, str) and _UID.fullmatch(uid):
            return uid
    return ""


def with_uid(pod: Pod, uid: str) -> Pod:
    """The same pod under another uid."""
    return replace(pod, ref=PodRef(pod.ref.namespace, pod.ref.name, uid))


def _phase(status: Object) -> Phase:
    try:
        return Phase(str(status.get("phase", Phase.PENDING.value)))
    except ValueError:
        allowed = ", ".join(one.value for one in Phase)
        raise Misfit(("status", "phase"), f"'phase' must be one of {allowed}", Code.NOT_ALLOWED) from None


def _object(item: Object, key: str, *, optional: bool = False) -> Object:
    value = item.get(key, {} if optional else None)
    if value is None and optional:
        return {}
    if value is None:
        raise Misfit((), f"'{key}' is missing", Code.MISSING_KEY)
    if not isinstance(value, dict):
        raise Misfit((key,), f"'{key}' must be an object")
    return value


def _rows(item: Object, key: str, parent: str) -> list[Object]:
    value = item.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise Misfit((parent, key), f"'{key}' must be a list")
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise Misfit((parent, key, number), "must be an object")
    return value


def _text(item: Object, key: str, parent: Sequence[str | int], default: str | None = None) -> str:
    value = item.get(key, default)
    if value is None:
        raise Misfit(parent, f"'{key}' is missing", Code.MISSING_KEY)
    if not isinstance(value, str):
        raise Misfit((*parent, key), f"'{key}' must be a string")
    if not value and default is None:
        raise Misfit((*parent, key), f"'{key}' must not be empty", Code.OUT_OF_RANGE)
    return value
