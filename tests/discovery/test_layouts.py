"""Which hierarchy has the cpu controller, and what its paths are called from where the agent is."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_host import HYBRID, V1_CPU, V1_MEMORY, V1_SYSTEMD, V2, FakeHost

from gthulhu_agent.discovery.layout import Layout, LayoutError, LayoutKind, find_layout, layout_at


def layout(folder: Path, *mounts: str, whole: bool = True) -> Layout:
    return find_layout(FakeHost(folder, *mounts, whole=whole).proc)


def test_v1_takes_the_mount_of_the_cpu_controller(tmp_path: Path) -> None:
    found = layout(tmp_path, V1_MEMORY, V1_CPU, V1_SYSTEMD)
    assert (found.kind, found.version, found.has_cpu, found.whole) == (LayoutKind.V1, 1, True, True)
    assert found.root == tmp_path / "sys/fs/cgroup/cpu,cpuacct"


def test_hybrid_takes_v1_where_the_controller_is(tmp_path: Path) -> None:
    found = layout(tmp_path, V1_CPU, HYBRID)
    assert (found.kind, found.version) == (LayoutKind.HYBRID, 1)


def test_hybrid_takes_v2_where_v1_has_given_the_controller_up(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, V1_MEMORY, HYBRID)
    (host.mounts[1].root / "cgroup.controllers").write_text("cpu\n")
    found = find_layout(host.proc)
    assert (found.kind, found.version, found.has_cpu) == (LayoutKind.HYBRID, 2, True)


def test_v2(tmp_path: Path) -> None:
    found = layout(tmp_path, V2)
    assert (found.kind, found.version, found.has_cpu, found.whole) == (LayoutKind.V2, 2, True, True)


def test_without_a_cpu_controller_groups_are_still_told(tmp_path: Path) -> None:
    found = layout(tmp_path, V1_MEMORY, V1_SYSTEMD)
    assert (found.has_cpu, found.root.name) == (False, "systemd")


def test_a_mount_point_with_a_space_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    assert layout(folder, V2).root == folder / "sys/fs/cgroup"


def test_the_hosts_hierarchy_goes_before_the_containers_own(tmp_path: Path) -> None:
    """An agent in a container with its own namespace that was given the host's /sys/fs/cgroup at another place."""
    hosts = V2.replace(" / /sys", " /../../.. /host/sys")
    found = layout(tmp_path, V2, hosts, whole=False)
    assert found.prefix == "/../../.."
    assert found.cgroup_of("0::/../../../system.slice/ssh.service\n") == "/system.slice/ssh.service"


def test_no_hierarchy_at_all_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match="no cgroup hierarchy"):
        layout(tmp_path)
    with pytest.raises(LayoutError, match="No such file"):
        find_layout(tmp_path / "nowhere")


def test_a_part_of_a_hierarchy_is_not_the_whole(tmp_path: Path) -> None:
    assert not layout(tmp_path / "v2", V2, whole=False).whole
    assert not layout(tmp_path / "v1", V1_CPU, whole=False).whole


@pytest.mark.parametrize(
    ("version", "prefix", "lines", "cgroup"),
    [
        (1, "/", "9:memory:/m\n8:cpu,cpuacct:/c\n0::/u", "/c"),
        (1, "/", "3:cpuset:/set\n2:cpuacct:/acct\n1:cpu:/c", "/c"),
        (1, "/", "3:cpuset:/set", None),
        (1, "/docker/a", "8:cpu:/docker/a/b", "/b"),
        (1, "/docker/a", "8:cpu:/docker/a", "/"),
        (1, "/docker/a", "8:cpu:/docker/ab", None),
        (2, "/", "8:cpu:/c\n0::/u", "/u"),
        (2, "/", "0::/", "/"),
        (2, "/", "0::/a.slice:cri-containerd:b", "/a.slice:cri-containerd:b"),
        (2, "/", "0::/a (deleted)", "/a"),
        (2, "/", "0::/../sibling", None),
        (2, "/..", "0::/../sibling", "/sibling"),
        (2, "/..", "0::/../../aunt", None),
        (2, "/..", "0::/below/own/root", None),
        (2, "/", "", None),
    ],
)
def test_a_process_s_cgroup_below_the_mount(version: int, prefix: str, lines: str, cgroup: str | None) -> None:
    found = Layout(LayoutKind.HYBRID, version, Path("/sys/fs/cgroup"), prefix)
    assert found.cgroup_of(lines) == cgroup


def test_directories_are_below_the_mount() -> None:
    found = Layout(LayoutKind.V2, 2, Path("/sys/fs/cgroup"))
    assert found.directory("/") == Path("/sys/fs/cgroup")
    assert found.directory("/a/b") == Path("/sys/fs/cgroup/a/b")


@pytest.mark.parametrize(
    ("mounts", "kind", "version"),
    [
        ([V2], LayoutKind.V2, 2),
        ([V1_CPU, V1_MEMORY, V1_SYSTEMD], LayoutKind.V1, 1),
        ([V1_CPU, HYBRID], LayoutKind.HYBRID, 1),
    ],
)
def test_a_directory_tells_by_its_files(mounts: list[str], kind: LayoutKind, version: int, tmp_path: Path) -> None:
    FakeHost(tmp_path, *mounts)
    found = layout_at(tmp_path / "sys/fs/cgroup")
    assert (found.kind, found.version, found.has_cpu) == (kind, version, True)
    with pytest.raises(LayoutError):
        layout_at(tmp_path / "proc")
