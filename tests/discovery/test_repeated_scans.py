"""What a second scan must notice, and what it must not read again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from recorded_host import V1_CPU, V2, FakeHost, group_of, process_of

from gthulhu_agent.discovery.members import RECHECK
from gthulhu_agent.discovery.processes import REREAD
from gthulhu_agent.discovery.snapshot import Snapshot, TaskId

JOBS = "/jobs"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path, V2)
    host.run(100, "bash", JOBS, argv0="-bash")
    host.run(200, "pool", JOBS, threads={201: ("pool-1", 1001), 202: ("pool-2", 1002)})
    return host


@pytest.fixture
def opens(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    seen: list[str] = []
    real = os.open

    def spy(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        seen.append(str(path))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", spy)
    return iter([seen])


def test_exec_changes_neither_pid_nor_start_and_is_noticed(host: FakeHost) -> None:
    discovery = host.discovery()
    before = process_of(discovery.scan(), 100)
    host.change(100, comm="nr-gnb", argv0="/opt/nr-gnb", image=0x7000)
    after = process_of(discovery.scan(), 100)
    assert (before.comm, before.argv0) == ("bash", "-bash")
    assert (after.id, after.comm, after.argv0) == (before.id, "nr-gnb", "/opt/nr-gnb")
    assert [thread.name for thread in after.threads] == ["nr-gnb"]


def test_exec_of_a_program_of_the_same_name_is_noticed(host: FakeHost) -> None:
    """The addresses of code and stack are drawn anew at each exec; comm alone would not tell."""
    discovery = host.discovery()
    for _ in range(3):
        discovery.scan()
    host.change(100, argv0="/other/bash", image=0x7000)
    assert process_of(discovery.scan(), 100).argv0 == "/other/bash"


def test_exec_is_noticed_where_the_kernel_hides_the_addresses(host: FakeHost) -> None:
    """Without the right to trace a process its code begins at 1 and its stack at 0."""
    host.change(100, image=-77)
    discovery = host.discovery()
    for _ in range(3):
        discovery.scan()
    host.change(100, argv0="/other/bash")
    assert process_of(discovery.scan(), 100).argv0 == "/other/bash"


def test_a_title_that_is_set_right_after_the_first_scan_is_noticed(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.change(100, argv0="postgres: walwriter")
    assert process_of(discovery.scan(), 100).argv0 == "postgres: walwriter"


def test_a_title_that_is_set_later_is_noticed_in_time(host: FakeHost) -> None:
    discovery = host.discovery()
    for _ in range(5):
        discovery.scan()
    host.change(100, argv0="postgres: idle")
    titles = [process_of(discovery.scan(), 100).argv0 for _ in range(REREAD)]
    assert titles[-1] == "postgres: idle"


def test_a_new_name_of_a_process_is_noticed(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.change(100, comm="renamed")
    process = process_of(discovery.scan(), 100)
    assert (process.comm, process.threads[0].name, process.argv0) == ("renamed", "renamed", "-bash")


def test_a_new_name_of_a_thread_is_noticed(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.change(200, threads={201: ("renamed", 1001), 202: ("pool-2", 1002)})
    assert [thread.name for thread in process_of(discovery.scan(), 200).threads] == ["pool", "renamed", "pool-2"]


def test_threads_that_come_and_go_are_noticed(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.change(100, threads={101: ("one", 1500)})
    host.change(200, threads={202: ("pool-2", 1002), 203: ("pool-3", 1600)})
    snapshot = discovery.scan()
    assert [thread.id for thread in process_of(snapshot, 100).threads] == [TaskId(100, 1000), TaskId(101, 1500)]
    assert [thread.id.tid for thread in process_of(snapshot, 200).threads] == [200, 202, 203]
    host.change(100, threads={})
    assert [thread.id.tid for thread in process_of(discovery.scan(), 100).threads] == [100]


def test_a_thread_id_that_another_thread_of_the_process_got_is_another_thread(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.change(200, threads={201: ("pool-1", 9999), 202: ("pool-2", 1002)})
    assert TaskId(201, 9999) in {thread.id for thread in process_of(discovery.scan(), 200).threads}


def test_what_did_not_change_is_the_same_object(host: FakeHost) -> None:
    host.run(300, "other", "/other")
    discovery = host.discovery()
    first = discovery.scan()
    host.change(300, comm="changed")
    second = discovery.scan()
    assert second is not first
    assert group_of(second, 100) is group_of(first, 100)
    assert group_of(second, 300) != group_of(first, 300)


def test_processes_and_cgroups_that_end_are_forgotten(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.remove(100)
    host.remove(200)
    for file in (host.mounts[0].root / "jobs").iterdir():
        file.unlink()
    (host.mounts[0].root / "jobs").rmdir()
    assert discovery.scan() == Snapshot(())
    assert not discovery._processes._entries


def test_a_process_that_moves_is_in_its_new_group_only(host: FakeHost) -> None:
    discovery = host.discovery()
    discovery.scan()
    host.move(100, "/elsewhere")
    group = group_of(discovery.scan(), 100)
    assert group is not None
    assert group.cgroup == "/elsewhere"


def test_a_quiet_process_costs_one_file(host: FakeHost, opens: Iterator[list[str]]) -> None:
    discovery = host.discovery()
    for _ in range(3):
        discovery.scan()
    seen = next(opens)
    seen.clear()
    discovery.scan()
    assert [path for path in seen if "/proc/100/" in path] == [f"{host.proc}/100/stat"]


@pytest.fixture(params=[V1_CPU, V2], ids=["v1", "v2"])
def idle(request: pytest.FixtureRequest, tmp_path: Path) -> FakeHost:
    """Four processes in a cgroup whose CPU time the kernel tells."""
    host = FakeHost(tmp_path, request.param)
    for pid in range(100, 104):
        host.run(pid, "sleeper", JOBS)
    use(host, 1000)
    return host


def use(host: FakeHost, time: int) -> None:
    """The cgroup's processes have used so much CPU time."""
    folder = host.mounts[0].root / "jobs"
    if host.mounts[0].version == 2:
        (folder / "cpu.stat").write_text(f"usage_usec {time}\nuser_usec 0\nsystem_usec {time}\n")
    else:
        (folder / "cpuacct.usage").write_text(f"{time}\n")


def test_a_cgroup_that_used_no_cpu_time_is_not_looked_into(idle: FakeHost, opens: Iterator[list[str]]) -> None:
    discovery = idle.discovery()
    first = [discovery.scan() for _ in range(3)][-1]
    seen = next(opens)
    seen.clear()
    assert discovery.scan() is first
    assert not [path for path in seen if path.startswith(f"{idle.proc}/1")]


def test_what_runs_in_a_cgroup_shows_in_its_cpu_time_and_is_looked_at(idle: FakeHost) -> None:
    discovery = idle.discovery()
    for _ in range(3):
        discovery.scan()
    idle.change(102, comm="worker")
    use(idle, 1001)
    assert process_of(discovery.scan(), 102).comm == "worker"


def test_who_joins_or_leaves_a_cgroup_that_used_no_cpu_time_is_noticed(idle: FakeHost) -> None:
    discovery = idle.discovery()
    for _ in range(3):
        discovery.scan()
    idle.run(200, "guest", "/elsewhere")
    discovery.scan()
    idle.move(200, JOBS)
    idle.move(101, "/elsewhere")
    group = group_of(discovery.scan(), 200)
    assert group is not None
    assert [process.id.tid for process in group.processes] == [100, 102, 103, 200]


def test_who_ends_in_a_cgroup_that_used_no_cpu_time_is_noticed(idle: FakeHost) -> None:
    """What an exit costs may be less than the counter tells."""
    discovery = idle.discovery()
    for _ in range(3):
        discovery.scan()
    idle.remove(103)
    assert group_of(discovery.scan(), 103) is None


def test_what_cannot_be_read_in_a_cgroup_that_used_no_cpu_time_is_said_each_time(idle: FakeHost) -> None:
    idle.run(104, "fifth", JOBS)
    (idle.proc / "104" / "stat").write_text("damaged")
    discovery = idle.discovery()
    for _ in range(4):
        assert len(discovery.scan().incomplete) == 1


def test_a_cgroup_that_used_no_cpu_time_is_still_looked_into_at_times(idle: FakeHost) -> None:
    discovery = idle.discovery()
    for _ in range(3):
        discovery.scan()
    idle.change(102, comm="worker")
    names = [process_of(discovery.scan(), 102).comm for _ in range(RECHECK)]
    assert names[0] == "sleeper"
    assert names[-1] == "worker"


def test_scanning_leaves_no_descriptor_open(host: FakeHost) -> None:
    discovery = host.discovery(pod_file=host.folder)
    discovery.scan()
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(5):
        host.change(200, threads={201: ("pool-1", 1001)})
        discovery.scan()
        host.change(200, threads={202: ("pool-2", 1002), 203: ("pool-3", 1003)})
        discovery.scan()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
