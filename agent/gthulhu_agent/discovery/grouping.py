"""From processes and their cgroups to groups and pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from gthulhu_agent.discovery.declared import Key
from gthulhu_agent.discovery.kubepods import Place
from gthulhu_agent.discovery.podfile import DeclaredPod
from gthulhu_agent.discovery.podnames import PodNames
from gthulhu_agent.discovery.snapshot import DiscoveredPod, Group, GroupKind, Process


@dataclass(frozen=True, slots=True)
class Member:
    """One process, where it is, and what it is declared to be."""

    process: Process
    kernel: bool
    place: Place | None
    """None where its cgroup is out of sight."""
    cgroup: str | None
    declared: Key | None = None
    declared_cgroup: str | None = None
    """The cgroup that the declaration names; None where it names pids."""


def groups_of(members: Iterable[Member]) -> tuple[Group, ...]:
    """The groups, in order of their cgroups, declared ones last; ``members`` come in order of pid.

    Kernel threads are in a pod's group where they are in its cgroup (before Linux 6.4 a virtual machine's vhost
    workers are such), and never in the host's.
    """
    places: dict[str, tuple[Place, list[Process]]] = {}
    declared: dict[Key, list[Member]] = {}
    population: dict[str, int] = {}
    for member in members:
        if member.cgroup is not None:
            population[member.cgroup] = population.get(member.cgroup, 0) + 1
        if member.declared is not None and not member.kernel:
            declared.setdefault(member.declared, []).append(member)
        elif member.place is not None and not (member.kernel and member.place.kind is GroupKind.HOST):
            places.setdefault(member.place.cgroup, (member.place, []))[1].append(member.process)
    found = [_group(place, processes) for _, (place, processes) in sorted(places.items())]
    found += [_declared(key, rows, population) for key, rows in sorted(declared.items())]
    return tuple(found)


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
        processes=tuple(processes),
    )


def _declared(key: Key, members: list[Member], population: Mapping[str, int]) -> Group:
    uid, container = key
    group = Group(
        kind=GroupKind.DECLARED,
        cgroup=None,
        pod_uid=uid,
        container_id=container,
        processes=tuple(member.process for member in members),
    )
    named = next((member.declared_cgroup for member in members if member.declared_cgroup), None)
    cgroup = named or members[0].cgroup
    if cgroup is None or cgroup == "/" or not _alone(cgroup, members, population):
        return group
    place = members[0].place
    # Below a declared cgroup there may be others, with a unit each; the first process's says nothing of them.
    known = place if place is not None and place.cgroup == cgroup else None
    return replace(
        group,
        cgroup=cgroup,
        pod_cgroup=known.pod_cgroup if known else None,
        unit=known.unit if known else "",
    )


def _alone(cgroup: str, members: list[Member], population: Mapping[str, int]) -> bool:
    """Whether all of ``members`` are in ``cgroup`` or below it, and nothing else is."""
    inside = [member for member in members if member.cgroup is not None and _holds(cgroup, member.cgroup)]
    return len(inside) == len(members) == sum(n for path, n in population.items() if _holds(cgroup, path))


def _holds(cgroup: str, path: str) -> bool:
    return path == cgroup or path.startswith(cgroup + "/")
