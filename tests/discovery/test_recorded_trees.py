"""Every process of every recorded node is what the recording says, once, with its threads."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from recorded_host import TREES, described, group_of, process_of, recorded

from gthulhu_agent.discovery.layout import LayoutKind
from gthulhu_agent.discovery.snapshot import GroupKind

NAMES = sorted(path.stem for path in TREES.glob("*.txt"))
STATIC = "d81ff1b6e6a2f0f5b0c9a3c4d5e6f708"
WEB = "20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"


@pytest.mark.parametrize("name", NAMES)
def test_every_process_is_in_the_group_that_its_cgroup_names(name: str, tmp_path: Path) -> None:
    node = recorded(name, tmp_path)
    snapshot = node.host.discovery().scan()
    assert {pid: described(group_of(snapshot, pid)) for pid in node.expected} == dict(node.expected)
    assert snapshot.incomplete == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_process_and_thread_is_there_once(name: str, tmp_path: Path) -> None:
    node = recorded(name, tmp_path)
    snapshot = node.host.discovery().scan()
    threads = Counter(thread.id for process in snapshot.processes() for thread in process.threads)
    assert set(threads.values()) == {1}
    for process in snapshot.processes():
        fake = node.host.processes[process.id.tid]
        assert {thread.id.tid for thread in process.threads} == {fake.pid, *fake.threads}
        assert process.id.start == fake.start


@pytest.mark.parametrize("name", NAMES)
def test_a_second_scan_of_the_same_node_is_the_same_object(name: str, tmp_path: Path) -> None:
    discovery = recorded(name, tmp_path).host.discovery()
    assert discovery.scan() is discovery.scan()


@pytest.mark.parametrize(
    ("name", "kind", "version"),
    [
        ("v1-cgroupfs-containerd", LayoutKind.V1, 1),
        ("hybrid-systemd-docker", LayoutKind.HYBRID, 1),
        ("v2-systemd-containerd", LayoutKind.V2, 2),
    ],
)
def test_the_layout_is_told_from_the_mounts(name: str, kind: LayoutKind, version: int, tmp_path: Path) -> None:
    discovery = recorded(name, tmp_path).host.discovery()
    discovery.scan()
    assert discovery.layout is not None
    assert (discovery.layout.kind, discovery.layout.version) == (kind, version)


def test_names_of_pods_and_containers_come_from_the_kubelets_logs(tmp_path: Path) -> None:
    pods = {pod.uid: pod for pod in recorded("v2-systemd-containerd", tmp_path).host.discovery().scan().pods}
    assert (pods[WEB].namespace, pods[WEB].name) == ("prod", "web-0")
    assert pods[WEB].containers == (("web", "a1" * 32),)
    assert pods["b2f4c7aa-11ee-4f7f-9d6e-5a0c1d2e3f40"].name == ""
    assert len(pods) == 3


def test_a_comm_that_looks_like_the_end_of_comm_is_read_whole(tmp_path: Path) -> None:
    process = process_of(recorded("v1-cgroupfs-containerd", tmp_path).host.discovery().scan(), 1230)
    assert process.comm == "nginx: (master)"
    assert {thread.name for thread in process.threads} == {"nginx: (master)", "worker (1)", "worker) S 1"}


@pytest.mark.parametrize("name", NAMES)
def test_kernel_threads_are_in_no_host_group(name: str, tmp_path: Path) -> None:
    node = recorded(name, tmp_path)
    kernel = {pid for pid, fake in node.host.processes.items() if fake.kernel}
    hosted = [group for group in node.host.discovery().scan().groups if group.kind is GroupKind.HOST]
    assert not kernel & {process.id.tid for group in hosted for process in group.processes}


def test_a_kernel_thread_in_a_pods_cgroup_is_the_pods(tmp_path: Path) -> None:
    """A virtual machine's vhost workers are kernel threads before Linux 6.4, in the cgroup of who started them."""
    host = recorded("v2-static-pods", tmp_path).host
    cgroup = f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{STATIC}.slice"
    host.run(1700, "vhost-1600", f"{cgroup}/cri-containerd-{'a1' * 32}.scope", kernel=True, ppid=2)
    snapshot = host.discovery().scan()
    group = group_of(snapshot, 1700)
    assert group is not None
    assert group.pod_uid == STATIC
    assert process_of(snapshot, 1700).argv0 == ""
