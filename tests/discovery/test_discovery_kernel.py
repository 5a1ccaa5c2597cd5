"""Discovery over real cgroups, processes and threads of this machine's kernel, made and removed by the test."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from recorded_host import group_of, process_of
from requirement import missing

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout, layout_at
from gthulhu_agent.discovery.processes import Entry, Processes
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.snapshot import GroupKind, Snapshot

pytestmark = pytest.mark.kernel

SLEEP = "import time; time.sleep(600)"
# Threads name themselves as a program's would, by prctl(PR_SET_NAME) = 15.
THREADS = """
import ctypes, sys, threading, time
def work(number):
    ctypes.CDLL(None).prctl(15, f"pool) {number}".encode())
    ready.release()
    time.sleep(600)
ready = threading.Semaphore(0)
for number in range(3):
    threading.Thread(target=work, args=(number,), daemon=True).start()
for _ in range(3):
    ready.acquire()
print("ready", flush=True)
time.sleep(600)
"""
RENAMED = r"""
import ctypes, sys, time
ctypes.CDLL(None).prctl(15, b"a) (b\n\\n c")
print("ready", flush=True)
time.sleep(600)
"""
FORK = """
import os
print("ready", flush=True)
while True:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
"""
# In a pid namespace of 400 numbers two storms, one in each cgroup; every process is named after its own.
TINY = """
import json, os, subprocess, sys, time
from pathlib import Path
from gthulhu_agent.discovery.tree import Tree
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.layout import find_layout
Path("/proc/sys/kernel/pid_max").write_text("400")
storm = '''
import ctypes, os, sys, time
ctypes.CDLL(None).prctl(15, sys.argv[1].encode())
print("ready", flush=True)
while True:
    for _ in range(20):
        if not os.fork():
            time.sleep(0.003)
            os._exit(0)
    for _ in range(20):
        os.wait()
'''
layout = find_layout()
homes = {}
for cgroup in sys.argv[1:]:
    name = "in-" + cgroup[-1]
    homes[cgroup] = name
    held = subprocess.Popen([sys.executable, "-c", storm, name], stdout=subprocess.PIPE, text=True,
        preexec_fn=lambda: (layout.directory(cgroup) / "cgroup.procs").write_text("0"))
    held.stdout.readline()
listing, listed = Tree.pids, {cgroup: set() for cgroup in homes}
def slowly(self, cgroup):
    # Long enough for the numbers to come round between listing and reading.
    found = listing(self, cgroup)
    if cgroup in homes:
        listed[cgroup].update(found)
        time.sleep(0.03)
    return found
Tree.pids = slowly
discovery, wrong, scans = Discovery(), [], 0
# Until enough numbers were in both cgroups to show something, however slow the machine.
while scans < 12 or len(set.intersection(*listed.values())) < 50:
    scans += 1
    for group in discovery.scan().groups:
        for process in group.processes if group.cgroup in homes else ():
            if process.comm != homes[group.cgroup]:
                wrong.append([process.comm, group.cgroup])
print(json.dumps(wrong))
"""
EXEC = """
import os, sys
sys.stdin.read(1)
os.execv("/bin/sleep", ["slept-in", "600"])
"""


class Host:
    """Real cgroups under one folder of one hierarchy, and the processes put there."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.top = f"/gthulhu-test-{uuid.uuid4().hex[:12]}"
        self.running: list[subprocess.Popen[str]] = []
        try:
            layout.directory(self.top).mkdir()
        except OSError as error:
            missing(f"no cgroup can be made under {layout.root}: {error}")

    def cgroup(self, path: str) -> str:
        """Make a cgroup below the test's folder."""
        made = f"{self.top}{path}"
        self.layout.directory(made).mkdir(parents=True, exist_ok=True)
        return made

    def move(self, pid: int, cgroup: str) -> None:
        """Move a process, all its threads with it."""
        (self.layout.directory(cgroup) / "cgroup.procs").write_text(str(pid))

    def run(self, program: str, cgroup: str) -> subprocess.Popen[str]:
        """Run a program in a cgroup; it is held until it is there."""
        held = "import sys; sys.stdin.read(1)\n" + program
        process = subprocess.Popen(
            [sys.executable, "-c", held], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.running.append(process)
        self.move(process.pid, cgroup)
        self.tell(process)
        if "ready" in program:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        return process

    @staticmethod
    def tell(process: subprocess.Popen[str]) -> None:
        """Let a program that waits for a byte go on."""
        assert process.stdin is not None
        process.stdin.write("x")
        process.stdin.flush()

    @staticmethod
    def end(process: subprocess.Popen[str]) -> None:
        """End a process and reap it."""
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def close(self) -> None:
        """End what runs and remove the cgroups."""
        for process in self.running:
            self.end(process)
        top = self.layout.directory(self.top)
        folders = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for folder in [*folders, top]:
            # A cgroup is free a moment after its last process was reaped.
            for _ in range(100):
                with suppress(OSError):
                    folder.rmdir()
                    break
                time.sleep(0.02)
        assert not top.exists()


@pytest.fixture
def host() -> Iterator[Host]:
    """Cgroups in the hierarchy that has the cpu controller."""
    try:
        layout = find_layout()
    except LayoutError as error:
        missing(str(error))
        raise
    made = Host(layout)
    yield made
    made.close()


@pytest.fixture
def unified() -> Iterator[Host]:
    """Cgroups in the v2 hierarchy, which on a hybrid host is there without the cpu controller."""
    for place in (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup")):
        if (place / "cgroup.controllers").exists():
            made = Host(layout_at(place))
            yield made
            made.close()
            return
    missing("no cgroup v2 hierarchy is mounted")


def until(check: Callable[[], bool]) -> None:
    for _ in range(500):
        if check():
            return
        time.sleep(0.01)
    pytest.fail("never came to be")


def mine(snapshot: Snapshot, host: Host) -> dict[str, list[int]]:
    """The pids of the test's own groups, by cgroup below the test's folder."""
    return {
        group.cgroup.removeprefix(host.top): [process.id.tid for process in group.processes]
        for group in snapshot.groups
        if group.cgroup is not None and group.cgroup.startswith(host.top + "/")
    }


POD = "/kubepods/burstable/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
STATIC = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podd81ff1b6e6a2f0f5b0c9a3c4d5e6f708.slice"


def test_pods_of_both_drivers_are_found_with_their_threads(host: Host) -> None:
    web = host.cgroup(f"{POD}/{'a1' * 32}")
    api = host.cgroup(f"{STATIC}/cri-containerd-{'b2' * 32}.scope")
    plain = host.cgroup("/plain")
    pool, single, other = host.run(THREADS, web), host.run(SLEEP, api), host.run(SLEEP, plain)
    snapshot = Discovery().scan()
    groups = {pid: group_of(snapshot, pid) for pid in (pool.pid, single.pid, other.pid)}
    found = {pid: (g.kind, g.cgroup, g.pod_uid, g.container_id) for pid, g in groups.items() if g}
    assert found == {
        pool.pid: (GroupKind.CONTAINER, web, "20da609e-3d5c-4c1a-9d0f-aa11bcc5becc", "a1" * 32),
        single.pid: (GroupKind.CONTAINER, api, "d81ff1b6e6a2f0f5b0c9a3c4d5e6f708", "b2" * 32),
        other.pid: (GroupKind.HOST, plain, "", ""),
    }
    names = sorted(thread.name for thread in process_of(snapshot, pool.pid).threads)
    assert names[:3] == ["pool) 0", "pool) 1", "pool) 2"]
    assert len(names) == 4
    assert [pod.uid for pod in snapshot.pods if pod.uid.startswith(("20da609e", "d81ff1b6"))] == [
        "20da609e-3d5c-4c1a-9d0f-aa11bcc5becc",
        "d81ff1b6e6a2f0f5b0c9a3c4d5e6f708",
    ]


def test_start_times_and_names_are_the_kernels(host: Host) -> None:
    process = host.run(RENAMED, host.cgroup("/plain"))
    found = process_of(Discovery().scan(), process.pid)
    comm = Path(f"/proc/{process.pid}/comm").read_bytes().removesuffix(b"\n").decode()
    assert found.comm == comm == "a) (b\n\\n c"
    assert found.argv0 == sys.executable
    after_comm = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    assert found.id.start == int(after_comm[19])


def test_every_process_of_this_host_is_there_once_and_no_kernel_thread(host: Host) -> None:
    """On a hybrid host each process is listed by some ten hierarchies."""
    mine_too = host.run(SLEEP, host.cgroup("/plain"))
    snapshot = Discovery().scan()
    pids = [process.id.tid for process in snapshot.processes()]
    assert len(pids) == len(set(pids))
    assert {os.getpid(), mine_too.pid} <= set(pids)
    hosted = {p.id.tid for g in snapshot.groups if g.kind is GroupKind.HOST for p in g.processes}
    assert 2 not in hosted
    assert not snapshot.incomplete


def test_exec_is_noticed_on_the_same_pid_and_start(host: Host) -> None:
    process = host.run(EXEC, host.cgroup("/plain"))
    discovery = Discovery()
    before = process_of(discovery.scan(), process.pid)
    host.tell(process)
    until(lambda: Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n")
    after = process_of(discovery.scan(), process.pid)
    assert before.id == after.id
    assert before.comm != after.comm
    assert (after.comm, after.argv0) == ("sleep", "slept-in")


def test_processes_that_come_go_and_move_are_noticed(host: Host) -> None:
    one, two = host.cgroup("/one"), host.cgroup("/two")
    first, second = host.run(SLEEP, one), host.run(SLEEP, one)
    discovery = Discovery()
    assert mine(discovery.scan(), host) == {"/one": sorted([first.pid, second.pid])}
    host.move(second.pid, two)
    third = host.run(SLEEP, two)
    assert mine(discovery.scan(), host) == {"/one": [first.pid], "/two": sorted([second.pid, third.pid])}
    host.end(first)
    host.end(third)
    until(lambda: not (host.layout.directory(one) / "cgroup.procs").read_text())
    host.layout.directory(one).rmdir()
    assert mine(discovery.scan(), host) == {"/two": [second.pid]}


def test_while_processes_fork_and_exit_nobody_else_is_in_the_group(host: Host) -> None:
    """A storm in one cgroup: each snapshot has only what has that cgroup, and a sleeper beside it in every one."""
    storm = host.cgroup("/storm")
    sleeper, forker = host.run(SLEEP, storm), host.run(FORK, storm)
    discovery = Discovery()
    for _ in range(20):
        snapshot = discovery.scan()
        group = group_of(snapshot, sleeper.pid)
        assert group is not None
        assert group.cgroup == storm
        comms = {process.comm for process in group.processes}
        assert comms == {process_of(snapshot, forker.pid).comm}
        assert not snapshot.incomplete


def test_on_v1_threads_of_one_process_in_two_cgroups_make_one_process(host: Host) -> None:
    if host.layout.version != 1:
        missing("the cpu controller is not on cgroup v1")
    one, two = host.cgroup("/one"), host.cgroup("/two")
    process = host.run(THREADS, two)
    tids = sorted(int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir())
    (host.layout.directory(one) / "tasks").write_text(str(tids[1]))
    assert str(process.pid) in (host.layout.directory(one) / "cgroup.procs").read_text().split()
    snapshot = Discovery().scan()
    assert mine(snapshot, host) == {"/two": [process.pid]}
    assert [thread.id.tid for thread in process_of(snapshot, process.pid).threads] == tids


def test_v2_threaded_cgroups(unified: Host) -> None:
    """cgroup.procs of a threaded cgroup cannot be read; its processes are the domain's, with all their threads."""
    domain = unified.cgroup("/domain")
    process = unified.run(THREADS, domain)
    inner = unified.cgroup("/domain/inner")
    (unified.layout.directory(inner) / "cgroup.type").write_text("threaded")
    tids = sorted(int(path.name) for path in Path(f"/proc/{process.pid}/task").iterdir())
    (unified.layout.directory(inner) / "cgroup.threads").write_text(str(tids[1]))
    with pytest.raises(OSError, match="not supported"):
        (unified.layout.directory(inner) / "cgroup.procs").read_text()
    snapshot = Discovery(cgroups=unified.layout.root).scan()
    assert mine(snapshot, unified) == {"/domain": [process.pid]}
    assert [thread.id.tid for thread in process_of(snapshot, process.pid).threads] == tids
    assert not snapshot.incomplete


def test_v2_a_threaded_cgroup_right_below_the_root(unified: Host) -> None:
    (unified.layout.directory(unified.top) / "cgroup.type").write_text("threaded")
    process = unified.run(SLEEP, unified.top)
    group = group_of(Discovery(cgroups=unified.layout.root).scan(), process.pid)
    assert group is not None
    assert group.cgroup == unified.top


def test_v2_a_cgroup_that_sleeps_is_not_looked_into_until_it_runs(
    unified: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel's own count of CPU time says whether anything in a cgroup can have changed."""
    cgroup = unified.cgroup("/idle")
    sleepers = [unified.run(SLEEP, cgroup) for _ in range(5)]
    execing = unified.run(EXEC, cgroup)
    discovery = Discovery(cgroups=unified.layout.root)
    usage = unified.layout.directory(cgroup) / "cpu.stat"
    settled = [""]

    def quiet() -> bool:
        now = usage.read_text()
        same, settled[0] = now == settled[0], now
        discovery.scan()
        return same and usage.read_text() == now

    until(quiet)
    discovery.scan()
    looked: list[int] = []
    real = Processes.look

    def look(self: Processes, pid: int) -> tuple[Entry, bool] | None:
        looked.append(pid)
        return real(self, pid)

    monkeypatch.setattr(Processes, "look", look)
    discovery.scan()
    pids = {process.pid for process in (*sleepers, execing)}
    assert not pids & set(looked)
    unified.tell(execing)
    until(lambda: Path(f"/proc/{execing.pid}/comm").read_text() == "sleep\n")
    until(lambda: process_of(discovery.scan(), execing.pid).comm == "sleep")
    assert pids <= set(looked)


@pytest.mark.slow
def test_in_a_storm_of_reused_pids_no_process_is_in_the_others_group(host: Host) -> None:
    release = tuple(int(part) for part in os.uname().release.split(".")[:2])
    if release < (6, 14):
        # Older kernels have one pid_max for the whole machine, which a test must not touch.
        missing("pid_max of a pid namespace needs Linux 6.14")
    homes = [host.cgroup("/a"), host.cgroup("/b")]
    done = subprocess.run(
        [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--pid",
            "--mount-proc",
            "--fork",
            "--kill-child",
            sys.executable,
            "-c",
            TINY,
            *homes,
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
