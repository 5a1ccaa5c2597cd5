"""Faults of the system that this one replaces, each with the number that its behaviour report gives it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from recorded_host import group_of, process_of, recorded

STATIC = "d81ff1b6e6a2f0f5b0c9a3c4d5e6f708"
WEB = "20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"


def test_w16_static_pods_are_mapped(tmp_path: Path) -> None:
    """Upstream knows only uids with dashes: kube-apiserver, etcd and the like were never mapped."""
    snapshot = recorded("v2-static-pods", tmp_path).host.discovery().scan()
    group = group_of(snapshot, 1600)
    assert group is not None
    assert group.pod_uid == STATIC
    assert [(pod.uid, pod.namespace, pod.name) for pod in snapshot.pods] == [
        (STATIC, "kube-system", "kube-apiserver-node1")
    ]


@pytest.mark.parametrize(
    ("tree", "pid", "container"),
    [
        ("v2-systemd-crio", 1510, "a1" * 32),
        ("hybrid-systemd-docker", 1230, "a1" * 32),
        ("v2-cgroupfs-docker", 1230, "a1" * 32),
        ("v1-cgroupfs-containerd", 1230, "a1" * 32),
        ("v2-mixed-drivers", 1230, "a1" * 32),
    ],
)
def test_w16_container_ids_of_every_runtime_are_known(tree: str, pid: int, container: str, tmp_path: Path) -> None:
    """Upstream reads the id of ``cri-containerd-<id>.scope`` alone, and cuts a path at its first colon."""
    group = group_of(recorded(tree, tmp_path).host.discovery().scan(), pid)
    assert group is not None
    assert (group.pod_uid, group.container_id) == (WEB if tree != "v2-cgroupfs-docker" else group.pod_uid, container)
    assert group.pod_uid


def test_w16_and_section_13_a_process_listed_by_ten_hierarchies_is_one_process(tmp_path: Path) -> None:
    """Upstream lists a process once for each line of /proc/<pid>/cgroup that names a pod: ten times on v1."""
    node = recorded("v1-cgroupfs-containerd", tmp_path)
    lines = [line for line in node.host.processes[1230].cgroups if "kubepods" in line]
    assert len(lines) >= 10
    found = Counter(process.id.tid for process in node.host.discovery().scan().processes())
    assert found[1230] == 1
    assert set(found.values()) == {1}


def test_w16_a_name_with_spaces_and_brackets_does_not_hide_the_parent(tmp_path: Path) -> None:
    """Upstream takes the fourth word of stat for the parent; descendants of a declared process go by it."""
    host = recorded("v1-cgroupfs-containerd", tmp_path).host
    host.run(3000, "a b) S 1 (c", "/jobs")
    host.run(3001, "d ) e", "/jobs", ppid=3000)
    (tmp_path / "pods.json").write_text(
        '{"pods": [{"uid": "u", "name": "n", "containers": [{"name": "c", "id": "i", "pids": [3000]}]}]}'
    )
    group = group_of(host.discovery(pod_file=tmp_path / "pods.json").scan(), 3001)
    assert group is not None
    assert [(process.id.tid, process.comm) for process in group.processes] == [(3000, "a b) S 1 (c"), (3001, "d ) e")]


def test_w17_worker_threads_are_found_with_their_names(tmp_path: Path) -> None:
    """Upstream reads thread-group leaders only, so that the threads which do the work got no priority."""
    process = process_of(recorded("v2-systemd-containerd", tmp_path).host.discovery().scan(), 1231)
    assert [(thread.id.tid, thread.id.start, thread.name) for thread in process.threads] == [
        (1231, 2011, "nginx"),
        (1232, 2012, "pool-0"),
        (1233, 2012, "pool-1"),
    ]


def test_w18_argv0_is_known_beside_the_fifteen_bytes_of_comm(tmp_path: Path) -> None:
    host = recorded("v2-static-pods", tmp_path).host
    host.run(3000, "kube-controller", argv0="/usr/local/bin/kube-controller-manager")
    assert process_of(host.discovery().scan(), 3000).argv0 == "/usr/local/bin/kube-controller-manager"


def test_5_3_a_start_time_tells_a_reused_pid(tmp_path: Path) -> None:
    """Upstream reads no start time, so a pid reused between a scan and its use got the priority."""
    host = recorded("v2-static-pods", tmp_path).host
    discovery = host.discovery()
    before = process_of(discovery.scan(), 1600)
    host.change(1600, start=9999)
    after = process_of(discovery.scan(), 1600)
    assert (before.id.tid, before.id == after.id) == (after.id.tid, False)
