"""Who belongs to the declared pods: the pids as they were when first read, their descendants, whole cgroups."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

from gthulhu_agent.discovery.faults import Faults
from gthulhu_agent.discovery.podfile import DeclaredPod, PodFileError, parse, read_bytes
from gthulhu_agent.discovery.snapshot import TaskId

Key = tuple[str, str]
"""A declared container: pod uid, container id."""
_Declaration = tuple[Key, int]
"""One pid of one container."""


class Declared:
    """The pod file, and what its pids have become."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._data: bytes | None = None
        self._bound: dict[_Declaration, TaskId | None] = {}
        self._followed: dict[TaskId, _Declaration] = {}
        self.pods: tuple[DeclaredPod, ...] = ()
        self.cgroups: dict[str, Key] = {}

    def refresh(self, faults: Faults) -> None:
        """Read the file; one that cannot be taken is a fault, and what the last good one said stays."""
        if self._path is None:
            return
        try:
            data = read_bytes(self._path)
            if data != self._data:
                self._take(parse(data, str(self._path)))
                self._data = data
        except PodFileError as error:
            faults.add(f"{error}; {'the last good one holds' if self._data is not None else 'no declared pods'}")

    def _take(self, pods: tuple[DeclaredPod, ...]) -> None:
        self.pods = pods
        rows = [((pod.uid, container.id), container) for pod in pods for container in pod.containers]
        self.cgroups = {container.cgroup: key for key, container in rows if container.cgroup}
        wanted = {(key, pid) for key, container in rows for pid in container.pids}
        self._bound = {name: task for name, task in self._bound.items() if name in wanted}
        self._followed = {task: name for task, name in self._followed.items() if name in wanted}

    def pids(self) -> Iterable[_Declaration]:
        """Every declared pid."""
        return (
            ((pod.uid, container.id), pid)
            for pod in self.pods
            for container in pod.containers
            for pid in container.pids
        )

    def roots(self, task_of: Callable[[int], TaskId | None]) -> dict[int, Key]:
        """Declared pids that are still the processes which they were when their declaration was first read.

        A pid that had no process then stays without: the one that the operator meant has ended, and who gets its
        number next is a stranger. Where ``task_of`` raises OSError that is still to be seen.
        """
        alive: dict[int, Key] = {}
        for key, pid in self.pids():
            try:
                now = task_of(pid)
            except OSError:
                continue
            if self._bound.setdefault((key, pid), now) == now and now is not None:
                alive[pid] = key
        return alive

    def follow(self, roots: dict[int, Key], tasks: Iterable[tuple[TaskId, int]]) -> dict[int, Key]:
        """Descendants of the declared processes, by pid; ``tasks`` are all processes, each with its parent's pid.

        Once seen below a declared process, one stays when its own parent ends and it is given to another.
        """
        if not roots and not self._followed:
            return {}
        children: dict[int, list[TaskId]] = {}
        every: set[TaskId] = set()
        for task, parent in tasks:
            every.add(task)
            children.setdefault(parent, []).append(task)
        followed = {task: name for task, name in self._followed.items() if task in every and task.tid not in roots}
        pending = [*((pid, (key, pid)) for pid, key in roots.items()), *((task.tid, n) for task, n in followed.items())]
        while pending:
            parent, name = pending.pop()
            for child in children.get(parent, ()):
                if child.tid not in roots and child not in followed:
                    followed[child] = name
                    pending.append((child.tid, name))
        self._followed = followed
        return {task.tid: key for task, (key, _) in followed.items()}

    def container_of(self, cgroup: str) -> Key | None:
        """The declared container whose cgroup holds ``cgroup``, the innermost."""
        path = cgroup if self.cgroups else ""
        while path and path not in self.cgroups:
            path = path.rpartition("/")[0]
        return self.cgroups[path] if path else None
