"""From processes and their cgroups to groups and pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from gthulhu_agent.discovery.declared import Key
from gthulhu_agent.discovery.kubepods import Place
from gthulhu_agent.discovery.podfile import DeclaredPod
from gthulhu_agent.discovery.podnames import PodNames
from gthulhu_agent.discovery.processes import Entry
from gthulhu_agent.discovery.snapshot import DiscoveredPod, Group, GroupKind, Process


@dataclass(frozen=True, slots=True)
class Claims:
    """What is declared of the processes at hand.

    Attributes:
        pids: which container a process is of.
        cgroups: the cgroup that a container was declared by; those declared by pids have none.
        outside: declared processes whose cgroup is out of sight.
    """

    pids: Mapping[int, Key] = field(default_factory=dict)
    cgroups: Mapping[Key, str] = field(default_factory=dict)
    outside: Sequence[Entry] = ()


def groups_of(cells: Mapping[str, Sequence[Entry]], places: Mapping[str, Place], claims: Claims) -> tuple[Group, ...]:
    """The groups, in order of their cgroups, declared ones last; ``cells`` has the processes of each cgroup.

    Kernel threads are in a pod's group where they are in its cgroup (before Linux 6.4 a virtual machine's vhost
    workers are such), and never in the host's.
    """
    found: dict[str, tuple[Place, list[Process]]] = {}
    declared: dict[Key, list[_Claimed]] = {}
    for cgroup, entries in cells.items():
        place = places[cgroup]
        free = _free(cgroup, entries, claims, declared) if claims.pids else entries
        hosted = place.kind is GroupKind.HOST
        processes = [entry.process for entry in free if not (hosted and entry.kernel)]
        if processes:
            found.setdefault(place.cgroup, (place, []))[1].extend(processes)
    _free(None, claims.outside, claims, declared)
    groups = [_group(place, processes) for _, (place, processes) in sorted(found.items())]
    groups += [_declared(key, rows, claims.cgroups.get(key), cells, places) for key, rows in sorted(declared.items())]
    return tuple(groups)


def _free(
    cgroup: str | None, entries: Sequence[Entry], claims: Claims, declared: dict[Key, list[_Claimed]]
) -> list[Entry]:
    free = []
    for entry in entries:
        key = claims.pids.get(entry.pid)
        if key is None or entry.kernel:
            free.append(entry)
        else:
            declared.setdefault(key, []).append(_Claimed(entry.process, cgroup))
    return free


def pods_of(places: Iterable[Place], names: PodNames, declared: Iterable[DeclaredPod]) -> tuple[DiscoveredPod, ...]:
    """The pods, in order of uid: those with a cgroup here, and the declared ones, whose words go first."""
    containers: dict[str, dict[str, str]] = {}
    for place in places:
        if not place.pod_uid:
            continue
        of_pod = containers.setdefault(place.pod_uid, {})
        if place.container_id in names.containers:
            of_pod[names.containers[place.container_id]] = place.container_id
    pods: dict[str, DiscoveredPod] = {}
    for uid, of_pod in containers.items():
        namespace, name = names.pods.get(uid, ("", ""))
        pods[uid] = DiscoveredPod(uid, namespace, name, containers=tuple(sorted(of_pod.items())))
    for pod in declared:
        of_pod = dict(pods[pod.uid].containers) if pod.uid in pods else {}
        of_pod.update((container.name, container.id) for container in pod.containers)
        pods[pod.uid] = DiscoveredPod(pod.uid, pod.namespace, pod.name, pod.labels, tuple(sorted(of_pod.items())))
    return tuple(pod for _, pod in sorted(pods.items()))


def _group(place: Place, processes: list[Process]) -> Group:
    return Group(
        kind=place.kind,
        cgroup=place.cgroup,
        pod_cgroup=place.pod_cgroup,
        pod_uid=place.pod_uid,
        container_id=place.container_id,
        unit=place.unit,
        processes=_sorted(processes),
    )


def _declared(
    key: Key,
    rows: list[_Claimed],
    named: str | None,
    cells: Mapping[str, Sequence[Entry]],
    places: Mapping[str, Place],
) -> Group:
    uid, container = key
    group = Group(
        kind=GroupKind.DECLARED,
        cgroup=None,
        pod_uid=uid,
        container_id=container,
        processes=_sorted([row.process for row in rows]),
    )
    cgroup = named or rows[0].cgroup
    if cgroup is None or cgroup == "/" or not _alone(cgroup, rows, cells):
        return group
    # A declared cgroup may hold its processes one level down, and be none that has processes itself.
    place = places.get(cgroup)
    known = place if place is not None and place.cgroup == cgroup else None
    return replace(
        group,
        cgroup=cgroup,
        pod_cgroup=known.pod_cgroup if known else None,
        unit=known.unit if known else "",
    )


def _alone(cgroup: str, rows: list[_Claimed], cells: Mapping[str, Sequence[Entry]]) -> bool:
    """Whether all of ``rows`` are in ``cgroup`` or below it, and nothing else is."""
    inside = sum(row.cgroup is not None and _holds(cgroup, row.cgroup) for row in rows)
    return inside == len(rows) == sum(len(entries) for path, entries in cells.items() if _holds(cgroup, path))


def _holds(cgroup: str, path: str) -> bool:
    return path == cgroup or path.startswith(cgroup + "/")


def _sorted(processes: list[Process]) -> tuple[Process, ...]:
    return tuple(sorted(processes, key=_pid))


def _pid(process: Process) -> int:
    return process.id.tid


class _Claimed(NamedTuple):
    process: Process
    cgroup: str | None
