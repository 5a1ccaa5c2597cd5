"""What the API server tells of pods, as values: pages of a list, and events of a watch. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gthulhu_agent.legacy.labels import Labelled
from gthulhu_wire.intents import PodRef

_MIRROR = "kubernetes.io/config.mirror"
"""On the API server's copy of a static pod: the uid that the kubelet runs it under, and names its cgroup by."""
_GONE = 410


class NotUnderstood(Exception):  # noqa: N818 - says what is the matter
    """This is not what an API server sends."""


class Gone(Exception):  # noqa: N818 - the word of the API
    """The version that was asked for is too old: list anew."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of pods, the version that the list is of, and where the next page begins; empty at the end."""

    pods: tuple[Labelled, ...]
    version: str
    following: str


@dataclass(frozen=True, slots=True)
class Told:
    """An event: a pod that is there or, with ``gone``, no longer. Without a pod it tells a version alone."""

    version: str
    pod: Labelled | None = None
    gone: bool = False


def read_page(body: bytes) -> Page:
    """The page in ``body``.

    Raises:
        NotUnderstood: it is none.
    """
    value = _object(_json(body))
    head = _object(value.get("metadata", {}))
    items = value.get("items")
    if not isinstance(items, list):
        raise NotUnderstood("a list of pods has no items")
    return Page(
        tuple(_pod(_object(item)) for item in items), _text(head, "resourceVersion"), _text(head, "continue", "")
    )


def read_event(line: bytes) -> Told:
    """The event in ``line``.

    Raises:
        NotUnderstood: it is none, or says that something is wrong.
        Gone: it says that the version is too old.
    """
    value = _object(_json(line))
    kind, thing = value.get("type"), _object(value.get("object"))
    if kind == "ERROR":
        if thing.get("code") == _GONE:
            raise Gone
        raise NotUnderstood(f"the watch ended with {str(thing.get('message', 'an error'))[:200]!r}")
    version = _text(_object(thing.get("metadata", {})), "resourceVersion")
    match kind:
        case "BOOKMARK":
            return Told(version)
        case "ADDED" | "MODIFIED":
            return Told(version, _pod(thing))
        case "DELETED":
            return Told(version, _pod(thing), gone=True)
    raise NotUnderstood(f"an event of the type {str(kind)[:40]!r}")


def _pod(value: dict[str, object]) -> Labelled:
    head = _object(value.get("metadata"))
    labels, annotations = _object(head.get("labels") or {}), _object(head.get("annotations") or {})
    uid = _text(annotations, _MIRROR, "") or _text(head, "uid")
    pairs = tuple(sorted((key, _text(labels, key)) for key in labels))
    return Labelled(PodRef(_text(head, "namespace", ""), _text(head, "name"), uid), pairs)


def _json(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotUnderstood(f"no JSON: {error}") from error


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise NotUnderstood(f"expected an object, found {str(value)[:40]!r}")
    return value


def _text(value: dict[str, object], key: str, default: str | None = None) -> str:
    found = value.get(key, default)
    if not isinstance(found, str):
        raise NotUnderstood(f"{key[:80]!r} is no text")
    return found
