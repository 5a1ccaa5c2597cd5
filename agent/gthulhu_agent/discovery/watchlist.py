"""Which cgroups have to be heard of, so that nothing that an intent reaches starts unheard. Pure.

=====================================================  ==================
what runs in them is reached by an intent              threads, cgroups
a kubepods tree's root, its QoS folders                cgroups: new pods
what is above a reached group of the host, the root    cgroups: new units, a kubepods tree of a kubelet yet to come
=====================================================  ==================

A cgroup is watched like the one in which it is made, from its first moment; those that are there already are named
one by one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gthulhu_agent.discovery.events.event import Watch
from gthulhu_agent.discovery.kubepods import Place
from gthulhu_agent.discovery.snapshot import GroupKind

ROOT = "/"
_ALL = Watch.THREADS | Watch.CGROUPS


def watch_list(
    places: Mapping[str, Place], reached: Callable[[Place], bool], declared: Iterable[str] = ()
) -> dict[str, Watch]:
    """What is to be told of each cgroup, by path.

    Args:
        places: every cgroup there is.
        reached: whether an intent is for what runs at a place.
        declared: cgroups in which processes of declared pods run that an intent is for.
    """
    found = {ROOT: Watch.CGROUPS}
    for cgroup, place in places.items():
        if reached(place):
            found[cgroup] = _ALL
            if place.kind is GroupKind.HOST:
                _above(cgroup, found)
        elif place.kind is GroupKind.POD and not place.pod_uid:
            found[cgroup] = found.get(cgroup, Watch(0)) | Watch.CGROUPS
    for cgroup in declared:
        found[cgroup] = _ALL
    return found


def _above(cgroup: str, found: dict[str, Watch]) -> None:
    path = cgroup.rpartition("/")[0]
    while path:
        found[path] = found.get(path, Watch(0)) | Watch.CGROUPS
        path = path.rpartition("/")[0]
