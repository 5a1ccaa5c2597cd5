"""What a cgroup's path says, as laws and by example."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.kubepods import place_of
from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.discovery.units import unit_of

HEX = "0123456789abcdef"
ids = st.text(HEX, min_size=64, max_size=64)
uids = st.uuids().map(str) | st.text(HEX, min_size=32, max_size=32)
qos = st.sampled_from(["", "burstable", "besteffort"])
roots = st.sampled_from(["", "kubelet", "docker", "a", "my_root"])
pods = st.tuples(roots, qos, uids)
prefixes = st.sampled_from(["cri-containerd", "crio", "docker", "libpod"])
below = st.sampled_from(["", "/container", "/init.scope", "/system.slice/web.service", "/kubepods/pod" + "0" * 32])
names = st.text(st.characters(exclude_characters="/\0\n", exclude_categories=["Cs"]), min_size=1, max_size=40)


def cgroupfs(root: str, of: str, uid: str) -> str:
    return "/".join(["", *([root] if root else []), "kubepods", *([of] if of else []), f"pod{uid}"])


def systemd(root: str, of: str, uid: str) -> str:
    names = [*([root] if root else []), "kubepods", *([of] if of else []), f"pod{uid.replace('-', '_')}"]
    return "/" + "/".join("-".join(names[: n + 1]) + ".slice" for n in range(len(names)))


cgroups = pods.map(lambda named: cgroupfs(*named)) | pods.map(lambda named: systemd(*named))


@given(pods, ids, st.sampled_from(["", "crio-"]), below)
def test_a_container_of_the_cgroupfs_driver(named: tuple[str, str, str], cid: str, prefix: str, sub: str) -> None:
    pod, uid = cgroupfs(*named), named[2]
    place = place_of(f"{pod}/{prefix}{cid}{sub}")
    assert (place.kind, place.pod_uid, place.container_id) == (GroupKind.CONTAINER, uid, cid)
    assert (place.pod_cgroup, place.cgroup, place.unit) == (pod, f"{pod}/{prefix}{cid}", "")


@given(pods, ids, prefixes, below)
def test_a_container_of_the_systemd_driver(named: tuple[str, str, str], cid: str, prefix: str, sub: str) -> None:
    pod, uid = systemd(*named), named[2]
    scope = f"{prefix}-{cid}.scope"
    place = place_of(f"{pod}/{scope}{sub}")
    assert (place.kind, place.pod_uid, place.container_id) == (GroupKind.CONTAINER, uid, cid)
    assert (place.pod_cgroup, place.cgroup, place.unit) == (pod, f"{pod}/{scope}", scope)


@given(pods, ids, prefixes, st.sampled_from(["", "/system.slice/containerd.service"]))
def test_a_container_of_a_runtime_with_another_driver_than_the_kubelet(
    named: tuple[str, str, str], cid: str, runtime: str, above: str
) -> None:
    uid = named[2]
    path = f"{above}/{systemd(*named).rpartition('/')[2]}:{runtime}:{cid}"
    place = place_of(path)
    assert (place.kind, place.pod_uid, place.container_id, place.cgroup) == (GroupKind.CONTAINER, uid, cid, path)
    # The pod's own cgroup is elsewhere: a weight on it would not reach these processes.
    assert place.pod_cgroup is None


@given(cgroups, st.lists(names, max_size=3))
def test_nothing_below_a_pod_is_ever_the_hosts(pod: str, more: list[str]) -> None:
    place = place_of("/".join([pod, *more]))
    assert place.kind is not GroupKind.HOST
    assert place.pod_cgroup == pod


@given(st.lists(names, max_size=6))
def test_any_path_has_a_place_that_begins_it(parts: list[str]) -> None:
    path = "/" + "/".join(parts)
    place = place_of(path)
    assert path == place.cgroup or path.startswith(place.cgroup + "/")
    assert place.pod_cgroup is None or place.cgroup.startswith(place.pod_cgroup)
    assert (place.kind is GroupKind.HOST) or any("kubepods" in part for part in parts)


@given(
    st.lists(names, max_size=4),
    cgroups,
    ids,
)
def test_what_is_above_the_outermost_tree_changes_nothing(above: list[str], pod: str, cid: str) -> None:
    outer = [name for name in above if "kubepods" not in name]
    prefix = "".join(f"/{name}" for name in outer)
    plain, nested = place_of(f"{pod}/{cid}"), place_of(f"{prefix}{pod}/{cid}")
    assert (nested.pod_uid, nested.container_id) == (plain.pod_uid, plain.container_id)
    assert nested.pod_cgroup == f"{prefix}{pod}"


@pytest.mark.parametrize("path", ["/kubepods", "/kubepods.slice", "/kubepods/burstable", "/kubepods/other/thing"])
def test_what_strays_in_a_kubepods_tree_is_neither_a_pods_nor_the_hosts(path: str) -> None:
    place = place_of(path)
    assert (place.kind, place.pod_uid, place.pod_cgroup) == (GroupKind.POD, "", None)


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/podinfo",
        "/system.slice/pod.service",
        "/kubepods-not",
        "/x/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc",
        "/mykubepods",
    ],
)
def test_a_name_that_only_resembles_a_pods_is_the_hosts(path: str) -> None:
    assert place_of(path).kind is GroupKind.HOST


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("/", ""),
        ("/init.scope", "init.scope"),
        ("/system.slice/ssh.service", "ssh.service"),
        ("/system.slice/docker.service/deep/er", "docker.service"),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service"),
        (r"/system.slice/system-systemd\x2dfsck.slice/a\x2db.service", r"a\x2db.service"),
        ("/user.slice/user-0.slice/user@0.service/app.slice/x.service", "user@0.service"),
        ("/system.slice", "system.slice"),
        ("/a.slice/a-b.slice", "a-b.slice"),
        ("/system.slice/_cgroup.service", "cgroup.service"),
        ("/system.slice/boot.mount", "boot.mount"),
        ("/docker/x.service", ""),
        ("/system.slice/not a unit.service", "system.slice"),
        ("/.service", ""),
    ],
)
def test_the_unit_of_a_cgroup(path: str, unit: str) -> None:
    assert unit_of(path) == unit
