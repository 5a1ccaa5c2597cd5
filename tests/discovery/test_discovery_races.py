"""What starts, ends, moves or refuses while discovery reads: nobody inherits, nothing is missing in silence."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from recorded_host import HYBRID, V1_CPU, V1_MEMORY, V2, FakeHost, group_of, process_of

from gthulhu_agent.discovery.faults import MOST
from gthulhu_agent.discovery.snapshot import Snapshot, TaskId
from gthulhu_agent.discovery.tree import Tree

POD = "/kubepods/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
WEB = f"{POD}/{'a1' * 32}"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path, V2)
    host.run(1, "init")
    host.run(100, "web", WEB)
    host.run(200, "sshd", "/system.slice/ssh.service")
    return host


After = Callable[[str, Callable[[], None]], None]


@pytest.fixture
def after(monkeypatch: pytest.MonkeyPatch) -> After:
    """Do something once, right after the pids of a cgroup were listed."""
    real = Tree.pids
    pending: dict[str, Callable[[], None]] = {}

    def listing(self: Tree, cgroup: str) -> list[int] | None:
        found = real(self, cgroup)
        pending.pop(cgroup, lambda: None)()
        return found

    monkeypatch.setattr(Tree, "pids", listing)
    return pending.__setitem__


Refuse = Callable[[str, int], None]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch) -> Refuse:
    """Let opening or listing what ends so fail."""
    refused: dict[str, int] = {}
    real_open, real_scandir = os.open, os.scandir

    def check(path: object) -> None:
        for end, code in refused.items():
            if str(path).endswith(end):
                raise OSError(code, os.strerror(code), str(path))

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        check(path)
        return real_open(path, flags, mode, dir_fd=dir_fd)

    def scanning(path: str) -> object:
        check(path)
        return real_scandir(path)

    monkeypatch.setattr(os, "open", opening)
    monkeypatch.setattr(os, "scandir", scanning)
    return refused.__setitem__


def cgroup_of(snapshot: Snapshot, pid: int) -> str | None:
    group = group_of(snapshot, pid)
    return group.cgroup if group else None


def test_a_process_that_ends_between_listing_and_reading_is_left_out(host: FakeHost, after: After) -> None:
    after(WEB, lambda: host.remove(100))
    snapshot = host.discovery().scan()
    assert group_of(snapshot, 100) is None
    assert snapshot.incomplete == ()


def test_a_pid_reused_between_two_scans_is_another_process(host: FakeHost) -> None:
    discovery = host.discovery()
    first = process_of(discovery.scan(), 100)
    host.remove(100)
    host.run(100, "web", WEB, start=5000)
    second = process_of(discovery.scan(), 100)
    assert (first.id, second.id) == (TaskId(100, 1000), TaskId(100, 5000))
    assert second is not first


ELSEWHERE = ("/a-read-before", "/z-read-after")


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_pid_reused_between_listing_and_reading_does_not_inherit_the_pod(
    host: FakeHost, after: After, elsewhere: str
) -> None:
    """The pod's process ends after its pid was listed; the number goes to a stranger before it is read."""

    def reuse() -> None:
        host.remove(100)
        host.run(100, "stranger", elsewhere, start=5000)

    host.cgroup(host.mounts[0], elsewhere)
    after(WEB, reuse)
    assert cgroup_of(host.discovery().scan(), 100) == elsewhere


@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_a_pid_reused_while_its_threads_are_listed_gives_no_strangers_threads(
    host: FakeHost, monkeypatch: pytest.MonkeyPatch, elsewhere: str
) -> None:
    real = os.open

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == f"{host.proc}/100/task":
            monkeypatch.setattr(os, "open", real)
            host.remove(100)
            host.run(100, "stranger", elsewhere, start=5000, threads={105: ("stranger", 5001)})
        return real(path, flags, mode, dir_fd=dir_fd)

    host.cgroup(host.mounts[0], elsewhere)
    discovery = host.discovery()
    discovery.scan()
    host.change(100, threads={101: ("web", 1001)})
    monkeypatch.setattr(os, "open", opening)
    for _ in range(2):
        snapshot = discovery.scan()
        assert cgroup_of(snapshot, 100) in {None, elsewhere}
    assert {thread.id.start for thread in process_of(snapshot, 100).threads} == {5000, 5001}


def test_a_pid_reused_while_it_is_asked_for_its_cgroup_does_not_inherit_it(
    host: FakeHost, after: After, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It moved during the scan, was asked where it is, and ended before it was recognised."""
    real = os.open

    def opening(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        file = real(path, flags, mode, dir_fd=dir_fd)
        if path == f"{host.proc}/200/cgroup":
            monkeypatch.setattr(os, "open", real)
            host.remove(200)
            host.run(200, "stranger", "/a-read-before", start=5000)
        return file

    host.cgroup(host.mounts[0], "/a-read-before")
    discovery = host.discovery()
    discovery.scan()
    after(WEB, lambda: host.move(200, POD))
    monkeypatch.setattr(os, "open", opening)
    assert group_of(discovery.scan(), 200) is None
    assert cgroup_of(discovery.scan(), 200) == "/a-read-before"


def test_a_process_that_starts_between_listing_and_reading_is_found(host: FakeHost, after: After) -> None:
    after(WEB, lambda: host.run(102, "child", WEB, ppid=100, start=5000))
    assert cgroup_of(host.discovery().scan(), 102) == WEB


def test_a_known_process_that_moves_from_a_cgroup_not_yet_read_to_one_already_read_stays_known(
    host: FakeHost, after: After
) -> None:
    discovery = host.discovery()
    discovery.scan()
    after(WEB, lambda: host.move(200, f"{POD}"))
    snapshot = discovery.scan()
    assert cgroup_of(snapshot, 200) == POD
    assert snapshot.incomplete == ()


def test_a_process_that_is_listed_twice_as_it_moves_is_in_one_group(host: FakeHost, after: After) -> None:
    after(WEB, lambda: host.move(100, "/system.slice/ssh.service"))
    discovery = host.discovery()
    discovery.scan()
    assert cgroup_of(discovery.scan(), 100) == "/system.slice/ssh.service"


def test_a_cgroup_that_vanishes_while_it_is_read_is_no_fault(host: FakeHost, refuse: Refuse) -> None:
    discovery = host.discovery()
    discovery.scan()
    refuse(f"{WEB}/cgroup.procs", errno.ENODEV)
    host.remove(100)
    snapshot = discovery.scan()
    assert group_of(snapshot, 100) is None
    assert snapshot.incomplete == ()


def test_a_cgroup_whose_processes_cannot_be_read_is_said(host: FakeHost, refuse: Refuse) -> None:
    refuse(f"{WEB}/cgroup.procs", errno.EACCES)
    snapshot = host.discovery().scan()
    assert snapshot.incomplete == (f"{host.mounts[0].root}{WEB}/cgroup.procs: Permission denied",)
    assert cgroup_of(snapshot, 200) == "/system.slice/ssh.service"


def test_known_processes_outlive_a_listing_that_fails_once(host: FakeHost, refuse: Refuse) -> None:
    discovery = host.discovery()
    discovery.scan()
    refuse(f"{WEB}/cgroup.procs", errno.EMFILE)
    snapshot = discovery.scan()
    assert cgroup_of(snapshot, 100) == WEB
    assert snapshot.incomplete == (f"{host.mounts[0].root}{WEB}/cgroup.procs: Too many open files",)


def test_a_folder_of_cgroups_that_cannot_be_listed_is_said(host: FakeHost, refuse: Refuse) -> None:
    refuse(POD, errno.EACCES)
    assert host.discovery().scan().incomplete == (f"{host.mounts[0].root}{POD}: Permission denied",)


def test_a_process_that_cannot_be_read_is_said(host: FakeHost, refuse: Refuse) -> None:
    host.run(101, "web", WEB)
    refuse("/100/stat", errno.EACCES)
    refuse("/101/stat", errno.EACCES)
    assert host.discovery().scan().incomplete == (f"{WEB}: processes that cannot be read: Permission denied (2)",)


def test_a_process_that_proc_hides_is_said(host: FakeHost) -> None:
    """With hidepid=invisible another user's process has no directory, as if it had ended; its cgroup lists it."""
    for file in sorted((host.proc / "100").rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    (host.proc / "100").rmdir()
    assert host.discovery().scan().incomplete == (f"{WEB}: processes that {host.proc} does not show (1)",)


def test_processes_of_another_pid_namespace_are_said(host: FakeHost) -> None:
    """The kernel lists a process that has no number in the reader's pid namespace as 0."""
    procs = host.mounts[0].root / WEB.lstrip("/") / "cgroup.procs"
    procs.write_text("0\n0\n100\n")
    snapshot = host.discovery().scan()
    assert snapshot.incomplete == (f"{host.mounts[0].root}{WEB}: processes of another pid namespace (2)",)
    assert cgroup_of(snapshot, 100) == WEB


def test_a_stat_line_that_makes_no_sense_is_said(host: FakeHost) -> None:
    (host.proc / "100" / "stat").write_text("100 (web\n")
    assert "not a line of /proc/<pid>/stat (1)" in host.discovery().scan().incomplete[0]


def test_a_pid_that_a_cgroup_lists_twice_is_one_process(host: FakeHost) -> None:
    procs = host.mounts[0].root / WEB.lstrip("/") / "cgroup.procs"
    procs.write_text("100\n100\n")
    assert cgroup_of(host.discovery().scan(), 100) == WEB


def test_the_dead_are_left_out_but_not_a_leader_whose_threads_live(host: FakeHost) -> None:
    host.run(300, "zombie", WEB, state="Z")
    host.run(400, "leader", WEB, state="Z", threads={401: ("worker", 1001)})
    snapshot = host.discovery().scan()
    assert group_of(snapshot, 300) is None
    assert {thread.id.tid for thread in process_of(snapshot, 400).threads} == {400, 401}


def test_many_faults_are_bounded_and_counted(host: FakeHost, refuse: Refuse) -> None:
    for number in range(MOST + 10):
        host.run(1000 + number, "job", f"/job{number}")
        refuse(f"/job{number}/cgroup.procs", errno.EACCES)
    incomplete = host.discovery().scan().incomplete
    assert len(incomplete) == MOST + 1
    assert incomplete[-1] == "and 10 more"


def test_a_threaded_cgroup_is_read_by_its_threads(host: FakeHost, refuse: Refuse) -> None:
    """Its domain lists its processes, so they are the domain's, whole: a weight there reaches all their threads."""
    host.run(500, "qemu", "/machine/vm", threads={501: ("vcpu0", 1001)})
    host.cgroup(host.mounts[0], "/machine/vm/vcpu0")
    (host.mounts[0].root / "machine/vm/vcpu0/cgroup.threads").write_text("501\n")
    refuse("/vcpu0/cgroup.procs", errno.EOPNOTSUPP)
    snapshot = host.discovery().scan()
    assert cgroup_of(snapshot, 500) == "/machine/vm"
    assert {thread.id.tid for thread in process_of(snapshot, 500).threads} == {500, 501}
    assert snapshot.incomplete == ()


def test_a_threaded_cgroup_without_a_domain_of_its_own_has_its_leaders(host: FakeHost, refuse: Refuse) -> None:
    """Right below the root the domain is the root, which lists everything and can bear no weight."""
    host.run(500, "app", "/threads")
    folder = host.mounts[0].root
    (folder / "threads/cgroup.threads").write_text("500\n")
    (folder / "cgroup.procs").write_text("1\n500\n")
    refuse("/threads/cgroup.procs", errno.EOPNOTSUPP)
    assert cgroup_of(host.discovery().scan(), 500) == "/threads"


def test_on_v1_a_process_whose_threads_are_in_two_cgroups_is_in_its_leaders(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, V1_CPU)
    host.run(100, "app", "/b", threads={101: ("worker", 1001)})
    host.run(1, "init")
    other = host.cgroup(host.mounts[0], "/a")
    (other / "cgroup.procs").write_text("100\n")
    host.cgroup(host.mounts[0], "/c")
    (host.mounts[0].root / "c/cgroup.procs").write_text("100\n")
    snapshot = host.discovery().scan()
    assert cgroup_of(snapshot, 100) == "/b"
    assert len(process_of(snapshot, 100).threads) == 2


def test_a_container_that_only_some_hierarchies_have_is_where_the_cpu_hierarchy_has_it(tmp_path: Path) -> None:
    host = FakeHost(tmp_path, V1_MEMORY, V1_CPU, HYBRID)
    host.run(100, "web", WEB)
    fake = host.processes[100]
    host.remove(100)
    lines = tuple(line.replace(f"/{'a1' * 32}", "") if "cpu," not in line else line for line in fake.cgroups)
    host.run(1, "init")
    host.add(type(fake)(100, "web", lines))
    assert cgroup_of(host.discovery().scan(), 100) == WEB


def test_processes_in_cgroups_that_are_not_mounted_here_are_said(tmp_path: Path) -> None:
    """An agent that sees all pids and, in its own cgroup namespace, only its own part of the tree."""
    host = FakeHost(tmp_path, V2, whole=False)
    host.run(50, "agent")
    host.run(60, "web", WEB)
    host.add(type(host.processes[50])(70, "sshd", ("0::/../system.slice/ssh.service",)))
    (host.mounts[0].root / "cgroup.procs").write_text("50\n")
    snapshot = host.discovery().scan()
    assert snapshot.incomplete == (f"{host.mounts[0].root}: processes in cgroups that are not mounted here (1)",)
    assert cgroup_of(snapshot, 60) == WEB
    assert group_of(snapshot, 70) is None


def test_without_any_hierarchy_that_is_said_and_looked_for_again(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    discovery = host.discovery()
    assert discovery.scan() == Snapshot((), incomplete=("no cgroup hierarchy is mounted that can be read",))
    mounted = FakeHost(tmp_path / "later", V2)
    mounted.run(1, "init")
    (host.proc / "self/mountinfo").write_text((mounted.proc / "self/mountinfo").read_text())
    (mounted.proc / "1").rename(host.proc / "1")
    assert cgroup_of(discovery.scan(), 1) == "/"


def test_log_directories_that_cannot_be_read_are_said(host: FakeHost, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.listdir

    def listing(path: str) -> list[str]:
        if str(path).endswith("log/pods"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "listdir", listing)
    assert host.discovery().scan().incomplete == (f"{host.folder}/var/log/pods: Permission denied",)
