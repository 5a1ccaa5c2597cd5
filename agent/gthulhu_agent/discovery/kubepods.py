"""What a cgroup's path says: a container, a pod, or a part of the host.

The kubelet names a pod's cgroup itself (``podContainerManagerImpl.GetPodContainerName``), in the form of its driver:

=========  ===========================================================================================
cgroupfs   ``[root/]kubepods[/burstable|/besteffort]/pod<uid>/<container>``
systemd    ``[root.slice/][root-]kubepods.slice/…-pod<uid, - as _>.slice/<runtime>-<container>.scope``
=========  ===========================================================================================

A runtime that is set to cgroupfs under a kubelet that is set to systemd makes one name of both:
``…-pod<uid>.slice:cri-containerd:<container>``. The outermost kubepods tree of a path counts: a cluster inside of a
pod is that pod's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.discovery.units import unit_of

_UUID = re.compile(r"[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}", re.IGNORECASE)
_POD = re.compile(r"pod(?P<uid>[A-Za-z0-9._-]+)")
_SLICE = re.compile(r"(?:[^/]+-)?kubepods(?:-burstable|-besteffort)?(?:-pod(?P<uid>[A-Za-z0-9._]+))?\.slice")
_JOINED = re.compile(
    r"(?:[^/]+-)?kubepods(?:-burstable|-besteffort)?-pod(?P<uid>[A-Za-z0-9._]+)\.slice:[^:]*:(?P<id>.+)"
)
_TREE = "kubepods"
_QOS = frozenset({"burstable", "besteffort"})
_CONTAINER = re.compile(r"(?:(?:cri-containerd|crio|docker|libpod)-)?(?P<id>[0-9a-f]{32,64})(?:\.scope)?")
# Elsewhere than below a pod 64 hex digits alone may be anything, unless an engine's name is before them.
_HOST_CONTAINER = re.compile(r"/(?:docker-|docker/|libpod-|nerdctl-)(?P<id>[0-9a-f]{64})(?:\.scope)?(?=/|$)")


@dataclass(frozen=True, slots=True)
class Place:
    """What a cgroup is.

    Attributes:
        kind: container, pod or host; everything below a kubepods tree is one of the first two.
        cgroup: where the group begins: the container's own cgroup for everything below it, else the cgroup itself.
        pod_cgroup: the pod's own cgroup; None outside of pods, and where the container's is not below it.
        pod_uid: empty for the host, and for what strays in a kubepods tree outside of every pod.
        container_id: without prefix; also of containers that no kubelet made.
        unit: of the host, the systemd unit that the cgroup belongs to; of pods, the unit whose cgroup it is.
    """

    kind: GroupKind
    cgroup: str
    pod_cgroup: str | None = None
    pod_uid: str = ""
    container_id: str = ""
    unit: str = ""


def place_of(cgroup: str) -> Place:
    """What ``cgroup``, an absolute path below the mount, is."""
    parts = cgroup.split("/")
    for at, part in enumerate(parts):
        if joined := _JOINED.fullmatch(part):
            return _joined(parts, at, joined)
        if part == _TREE or _SLICE.fullmatch(part):
            return _in_kubepods(cgroup, parts, at)
    found = _HOST_CONTAINER.search(cgroup)
    return Place(GroupKind.HOST, cgroup, container_id=found["id"] if found else "", unit=unit_of(cgroup))


def _joined(parts: list[str], at: int, found: re.Match[str]) -> Place:
    own = "/".join(parts[: at + 1])
    container = _CONTAINER.fullmatch(found["id"])
    return Place(
        kind=GroupKind.CONTAINER if container else GroupKind.POD,
        cgroup=own,
        pod_uid=_uid(_unescape(found["uid"])),
        container_id=container["id"] if container else "",
        unit=_own_unit(own),
    )


def _in_kubepods(cgroup: str, parts: list[str], tree: int) -> Place:
    pod, uid = _find_pod(parts, tree)
    if pod is None:
        return Place(GroupKind.POD, cgroup, unit=_own_unit(cgroup))
    pod_cgroup = "/".join(parts[: pod + 1])
    if len(parts) > pod + 1 and (container := _CONTAINER.fullmatch(parts[pod + 1])):
        own = "/".join(parts[: pod + 2])
        return Place(GroupKind.CONTAINER, own, pod_cgroup, uid, container["id"], _own_unit(own))
    return Place(GroupKind.POD, cgroup, pod_cgroup, uid, unit=_own_unit(cgroup))


def _find_pod(parts: list[str], tree: int) -> tuple[int | None, str]:
    for at in range(tree, len(parts)):
        part = parts[at]
        if slice_ := _SLICE.fullmatch(part):
            if slice_["uid"]:
                return at, _uid(_unescape(slice_["uid"]))
        elif at > tree and (pod := _POD.fullmatch(part)):
            return at, _uid(pod["uid"])
        elif part != _TREE and part not in _QOS:
            break
    return None, ""


def _unescape(text: str) -> str:
    # A "-" in a slice's name opens a new slice, so the kubelet writes "_" (escapeSystemdCgroupName).
    return text.replace("_", "-")


def _uid(text: str) -> str:
    # A static pod's uid is the hash of its file, 32 hex digits, or whatever the file itself says.
    if not _UUID.fullmatch(text):
        return text
    return _unescape(text).lower()


def _own_unit(cgroup: str) -> str:
    # A cluster in a container has scopes that look like systemd's and that this host's systemd does not know.
    unit = unit_of(cgroup)
    return unit if unit and cgroup.endswith("/" + unit) else ""
