"""What discovery found, as values. A process is its pid *and* its start time: a reused pid is another process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class TaskId:
    """A thread (or process) that cannot be mistaken for a later one with the same number.

    ``start`` is field 22 of ``/proc/<pid>/stat``: clock ticks from boot to start (proc(5)).
    """

    tid: int
    start: int


@dataclass(frozen=True, slots=True)
class Thread:
    """One thread; ``name`` is its own comm, at most 15 bytes."""

    id: TaskId
    name: str


@dataclass(frozen=True, slots=True)
class Process:
    """One process with all of its threads, the leader among them.

    ``comm`` is the leader's; ``argv0`` the first word of its command line, empty for kernel threads and zombies.
    """

    id: TaskId
    comm: str
    argv0: str
    threads: tuple[Thread, ...]


class GroupKind(StrEnum):
    """What a group of processes is."""

    CONTAINER = "container"
    """A container's cgroup in a kubepods tree (the pause container's too)."""
    POD = "pod"
    """Processes that sit in the pod's own cgroup and in no container's."""
    HOST = "host"
    """Anything else: a systemd unit, a session, a plain cgroup."""
    DECLARED = "declared"
    """Processes that the local pod file names; they need no cgroup of their own."""


@dataclass(frozen=True, slots=True)
class Group:
    """Processes that share a cgroup, or a declaration.

    Attributes:
        kind: what it is.
        cgroup: path below the mount of the hierarchy that has the cpu controller, as ``/kubepods/burstable/pod…``;
            None for declared processes that share their cgroup with others.
        pod_cgroup: the pod's own cgroup, above the container's; None outside of pods.
        pod_uid: dashed lower-case uid, or the 32 hex digits of a static pod; empty for the host, and for what strays
            in a kubepods tree outside of every pod.
        container_id: as the runtime prints it, without prefix; empty where there is none. Containers that no kubelet
            made are the host's, and have one too.
        unit: of the host, the systemd unit or scope that the cgroup belongs to, perhaps one above it; of a pod, the
            unit whose cgroup it is; empty where there is none.
        processes: sorted by pid.
    """

    kind: GroupKind
    cgroup: str | None
    pod_cgroup: str | None = None
    pod_uid: str = ""
    container_id: str = ""
    unit: str = ""
    processes: tuple[Process, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveredPod:
    """A pod that runs here: its uid from the cgroup tree, its name where the node knows it.

    ``containers`` maps name to id as far as the node knows; labels come only from the local pod file.
    """

    uid: str
    namespace: str = ""
    name: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    containers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that ran at one moment. ``incomplete`` says what could not be read; it is never silently smaller."""

    groups: tuple[Group, ...]
    pods: tuple[DiscoveredPod, ...] = ()
    incomplete: tuple[str, ...] = ()

    def processes(self) -> Iterator[Process]:
        """Every process once, group by group."""
        for group in self.groups:
            yield from group.processes
