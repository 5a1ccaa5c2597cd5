"""The local pod file: pods that an operator declares, on a host that no kubelet runs on, or to give labels.

::

    {"pods": [{"uid": "…", "namespace": "default", "name": "web-0", "labels": {"app": "web"},
               "containers": [{"name": "web", "id": "…", "pids": [4242]},
                              {"name": "log", "id": "…", "cgroup": "/web/log"}]}]}

``namespace``, ``labels`` and ``containers`` may be left out; a container has either ``pids`` or ``cgroup``. Unknown
keys are refused: a misspelt one would be a pod that silently lacks something.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 1 << 20
MAX_PODS = 1024
MAX_CONTAINERS = 64
MAX_PIDS = 4096
MAX_TEXT = 1024
MAX_LABELS = 256
_PID_MAX = 1 << 22  # PID_MAX_LIMIT of 64-bit kernels


class PodFileError(Exception):
    """The pod file cannot be taken; the text says where in it and why."""


@dataclass(frozen=True, slots=True)
class DeclaredContainer:
    """A container by its processes, or by its cgroup (a path below the mount, with everything below it)."""

    name: str
    id: str
    pids: tuple[int, ...] = ()
    cgroup: str | None = None


@dataclass(frozen=True, slots=True)
class DeclaredPod:
    """A pod as the operator wrote it."""

    uid: str
    namespace: str
    name: str
    labels: tuple[tuple[str, str], ...]
    containers: tuple[DeclaredContainer, ...]


def read_bytes(path: Path) -> bytes:
    """The file's content.

    Raises:
        PodFileError: it is missing, unreadable, too large, or no regular file.
    """
    try:
        # A FIFO would stop every scan until somebody writes to it.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise PodFileError(f"{path}: {error.strerror}") from error
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise PodFileError(f"{path}: not a regular file")
        data = bytearray()
        while len(data) <= MAX_BYTES and (more := os.read(file, MAX_BYTES + 1 - len(data))):
            data += more
    except OSError as error:
        raise PodFileError(f"{path}: {error.strerror}") from error
    finally:
        os.close(file)
    if len(data) > MAX_BYTES:
        raise PodFileError(f"{path}: is larger than {MAX_BYTES} bytes")
    return bytes(data)


def parse(data: bytes, path: str) -> tuple[DeclaredPod, ...]:
    """The pods that ``data`` declares; ``path`` is what faults call the file.

    Raises:
        PodFileError: the first fault, as in ``pods.json: pods[0].containers[1].pids[0]: must be …``.
    """
    try:
        value = json.loads(data.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise PodFileError(f"{path}:{error.lineno}:{error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise PodFileError(f"{path}: is nested too deeply") from error
    except ValueError as error:
        # Not UTF-8, a key twice, a number of thousands of digits.
        raise PodFileError(f"{path}: {error}") from error
    try:
        return _pods(value)
    except _FaultError as fault:
        raise PodFileError(
            f"{path}: {fault.where}: {fault.problem}" if fault.where else f"{path}: {fault.problem}"
        ) from fault


class _FaultError(Exception):
    def __init__(self, where: str, problem: str) -> None:
        super().__init__(where, problem)
        self.where = where
        self.problem = problem


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:MAX_TEXT]!r} is there twice in one object")
    return made


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _pods(value: object) -> tuple[DeclaredPod, ...]:
    body = _object(value, "", required={"pods"})
    pods = tuple(_pod(row, f"pods[{at}]") for at, row in enumerate(_list(body["pods"], "pods", MAX_PODS)))
    uids: set[str] = set()
    owners: dict[int | str, str] = {}
    for at, pod in enumerate(pods):
        if pod.uid in uids:
            raise _FaultError(f"pods[{at}].uid", f"{pod.uid} is another pod's too")
        uids.add(pod.uid)
        for number, container in enumerate(pod.containers):
            where = f"pods[{at}].containers[{number}]"
            things: list[int | str] = [*container.pids]
            if container.cgroup:
                things.append(container.cgroup)
            for thing in things:
                if thing in owners:
                    raise _FaultError(where, f"{thing} is in {owners[thing]} already")
                owners[thing] = where
    return pods


def _pod(value: object, where: str) -> DeclaredPod:
    body = _object(value, where, required={"uid", "name"}, optional={"namespace", "labels", "containers"})
    rows = _list(body.get("containers", []), f"{where}.containers", MAX_CONTAINERS)
    containers = tuple(_container(row, f"{where}.containers[{at}]") for at, row in enumerate(rows))
    for what, names in (("name", [c.name for c in containers]), ("id", [c.id for c in containers])):
        for at, name in enumerate(names):
            if name in names[:at]:
                raise _FaultError(f"{where}.containers[{at}].{what}", f"{name} is another container's too")
    return DeclaredPod(
        uid=_text(body["uid"], f"{where}.uid"),
        namespace=_text(body.get("namespace", "default"), f"{where}.namespace"),
        name=_text(body["name"], f"{where}.name"),
        labels=_labels(body.get("labels", {}), f"{where}.labels"),
        containers=containers,
    )


def _container(value: object, where: str) -> DeclaredContainer:
    body = _object(value, where, required={"name", "id"}, optional={"pids", "cgroup"})
    if ("pids" in body) == ("cgroup" in body):
        raise _FaultError(where, "must have either pids or cgroup")
    pids = _list(body.get("pids", []), f"{where}.pids", MAX_PIDS)
    return DeclaredContainer(
        name=_text(body["name"], f"{where}.name"),
        id=_text(body["id"], f"{where}.id"),
        pids=tuple(_pid(pid, f"{where}.pids[{at}]") for at, pid in enumerate(pids)),
        cgroup=_cgroup(body["cgroup"], f"{where}.cgroup") if "cgroup" in body else None,
    )


def _labels(value: object, where: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise _FaultError(where, "must be an object")
    if len(value) > MAX_LABELS:
        raise _FaultError(where, f"has {len(value)} entries; at most {MAX_LABELS} are taken")
    return tuple(
        sorted((_text(key, where), _text(text, f"{where}.{key[:MAX_TEXT]}", empty=True)) for key, text in value.items())
    )


def _cgroup(value: object, where: str) -> str:
    path = _text(value, where).rstrip("/")
    # The root is the whole host, sshd and this agent with it.
    if not re.fullmatch(r"(/(?!\.{1,2}(/|$))[^/]+)+", path):
        raise _FaultError(
            where, 'must be an absolute path below the hierarchy\'s mount and not the root, as in "/web/log"'
        )
    return path


def _pid(value: object, where: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 < value <= _PID_MAX:
        raise _FaultError(where, f"must be a pid, an integer from 2 to {_PID_MAX}")
    return value


def _object(
    value: object, where: str, *, required: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise _FaultError(where, "must be an object")
    known = required | optional
    if unknown := sorted(value.keys() - known):
        key = f"{where}.{unknown[0][:MAX_TEXT]}" if where else unknown[0][:MAX_TEXT]
        raise _FaultError(key, f"is not known; known are {', '.join(sorted(known))}")
    if missing := sorted(required - value.keys()):
        raise _FaultError(f"{where}.{missing[0]}" if where else missing[0], "is missing")
    return value


def _list(value: object, where: str, most: int) -> list[object]:
    if not isinstance(value, list):
        raise _FaultError(where, "must be a list")
    if len(value) > most:
        raise _FaultError(where, f"has {len(value)} entries; at most {most} are taken")
    return value


def _text(value: object, where: str, *, empty: bool = False) -> str:
    if not isinstance(value, str):
        raise _FaultError(where, "must be a string")
    if not value and not empty:
        raise _FaultError(where, "must not be empty")
    if len(value) > MAX_TEXT or not value.isprintable():
        raise _FaultError(where, f"must be at most {MAX_TEXT} printable characters")
    return value
