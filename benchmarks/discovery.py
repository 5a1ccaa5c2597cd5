"""What one look at the host costs, beside a plain walk over /proc in the same run.

    benchmarks/discovery.py [--write] [--processes 10000] [--cgroups 250] [--rounds 5]

It starts real, sleeping processes in kubepods cgroups (root and a writable hierarchy are needed), once with one
thread each and once with five, and looks at them in turn with:

plain walk
    every /proc/<pid>, its cgroup, stat, comm, cmdline and task/<tid>/{stat,comm}: the same facts that discovery gives
leaders only
    cgroup, comm and stat of every /proc/<pid>: no threads, no argv[0]
first scan
    discovery that remembers nothing
repeated, all ran
    discovery that was here before, every process looked at (what a busy host costs)
repeated, asleep
    the same where the hierarchy tells CPU time by cgroup (v2, or v1 with cpu and cpuacct together) and nothing ran

Times are CPU seconds, user and system, of this process, so that neighbours on the machine count little; medians of
the rounds. The ratio is the plain walk's median to each.
"""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from report import Section, facts, finish, options, ratio, table

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout, layout_at
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.snapshot import Snapshot
from gthulhu_agent.discovery.tree import Tree

POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")
TOP = f"gthulhu-bench-{os.getpid()}"
# One line for each cgroup: how many processes, then the files to join by. Every child dies with this one.
SPAWNER = """
import ctypes, gc, os, signal, sys, threading, time
threads = int(sys.argv[1])
prctl = ctypes.CDLL(None).prctl
threading.stack_size(65536)
parent = os.getpid()
gc.freeze()
for line in sys.stdin:
    count, *files = line.split()
    for file in files:
        with open(file, "w") as joined:
            joined.write(str(parent))
    read, write = os.pipe()
    for _ in range(int(count)):
        if not os.fork():
            prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL
            if os.getppid() != parent:
                os._exit(1)
            for _ in range(threads - 1):
                threading.Thread(target=time.sleep, args=(1e6,), daemon=True).start()
            os.write(write, b"x")
            os.close(read)
            os.close(write)
            while True:
                signal.pause()
    for _ in range(int(count)):
        os.read(read, 1)
    os.close(read)
    os.close(write)
    print("ready", flush=True)
time.sleep(1e6)
"""


@dataclass(frozen=True)
class Row:
    """One way to look, and the CPU seconds that each of its rounds took."""

    name: str
    look: Callable[[], int]
    seconds: list[float]


def main() -> None:
    """Measure and print."""
    parser = options(__doc__)
    parser.add_argument("--processes", type=int, default=10_000, help="at most what pid_max leaves room for")
    parser.add_argument("--cgroups", type=int, default=250)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    known = facts(asked)
    try:
        layouts = hierarchies()
    except LayoutError as error:
        sys.exit(f"{error}; nothing to measure")
    found: dict[str, list[Row]] = {}
    for threads in (1, 5):
        room = (int(Path("/proc/sys/kernel/pid_max").read_text()) - 4096) // threads
        processes = min(asked.processes if threads == 1 else asked.processes // threads, room)
        try:
            with running(layouts, processes, asked.cgroups, threads):
                print(
                    f"\n{processes} processes x {threads} threads in {asked.cgroups} cgroups, {layouts[0].kind.value}"
                )
                title = f"{processes:,} processes, {threads} thread{'s' * (threads > 1)} each"
                found[title] = measure(layouts, processes, threads, asked.rounds)
        except PermissionError as error:
            sys.exit(f"{error}: run as root where cgroups are writable")
    finish(asked, section(found, asked.cgroups), known)


def section(found: dict[str, list[Row]], cgroups: int) -> Section:
    """The page's."""
    names = [row.name for row in next(iter(found.values()))]
    cells = [
        (
            name,
            *(
                f"{statistics.median(rows[place].seconds) * 1e3:,.0f} ms ({against(rows, place)})"
                for rows in found.values()
            ),
        )
        for place, name in enumerate(names)
    ]
    return Section(
        "bench-discovery",
        "The agent's discovery",
        (
            f"""
            Sleeping processes in {cgroups} cgroups, CPU time, beside a plain walk over `/proc` that finds the same
            facts; in brackets how many times the plain walk takes as long. *all ran*: everything ran since the scan
            before; *asleep*: nothing did, where cgroups tell CPU time.
            """,
            table(("", *found), cells),
            "The first scan needs two files a process, and the kernel's time for these bounds it. One start makes one.",
        ),
    )


def against(rows: list[Row], place: int) -> str:
    """The plain walk's ratio to one row."""
    return ratio(rows[0].seconds, rows[place].seconds)


def hierarchies() -> list[Layout]:
    """The hierarchy with the cpu controller, then, on a hybrid host, the v2 one."""
    found = [find_layout()]
    beside = Path("/sys/fs/cgroup/unified")
    if found[0].version == 1 and (beside / "cgroup.controllers").exists():
        found.append(layout_at(beside))
    return found


@contextmanager
def running(layouts: list[Layout], processes: int, cgroups: int, threads: int) -> Iterator[None]:
    """Sleeping processes in cgroups of every hierarchy; all gone afterwards, whatever happens."""
    tops = [layout.directory(f"/{TOP}") for layout in layouts]
    spawner: subprocess.Popen[str] | None = None
    try:
        spawner = subprocess.Popen(
            [sys.executable, "-S", "-E", "-c", SPAWNER, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        start(spawner, tops, processes, cgroups)
        yield
    finally:
        if spawner is not None:
            spawner.kill()
            spawner.wait()
        for top in tops:
            remove(top)


def start(spawner: subprocess.Popen[str], tops: list[Path], processes: int, cgroups: int) -> None:
    """Fill the cgroups, a like number in each."""
    if spawner.stdin is None or spawner.stdout is None:
        raise RuntimeError("the spawner has no pipes")
    for number in range(cgroups):
        count = processes // cgroups + (number < processes % cgroups)
        path = f"kubepods/burstable/pod00000000-0000-0000-0000-{number:012x}/{number:064x}"
        for top in tops:
            (top / path).mkdir(parents=True)
        files = " ".join(str(top / path / "cgroup.procs") for top in tops)
        spawner.stdin.write(f"{count} {files}\n")
        spawner.stdin.flush()
        if spawner.stdout.readline() != "ready\n":
            raise RuntimeError(f"the spawner ended after {number} cgroups")


def remove(top: Path) -> None:
    """Kill what is left in the cgroups below ``top`` and remove them."""
    for _ in range(600):
        folders = sorted((folder for folder, _, _ in os.walk(top)), reverse=True)
        if not folders:
            return
        for folder in folders:
            with suppress(OSError):
                for pid in map(int, (Path(folder) / "cgroup.procs").read_text().split()):
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.1)
    sys.exit(f"{top} could not be removed")


def measure(layouts: list[Layout], processes: int, threads: int, rounds: int) -> list[Row]:
    """Look in turn, round by round, and print the medians."""
    rows = [
        Row("plain walk", lambda: plain_walk(threads=True), []),
        Row("leaders only", lambda: plain_walk(threads=False), []),
        Row("first scan", lambda: count(Discovery().scan()), []),
        Row("repeated, all ran", again(Discovery(), asleep=False), []),
    ]
    telling = next((layout for layout in layouts if tells_cpu_time(layout)), None)
    if telling is not None:
        named = Discovery() if telling is layouts[0] else Discovery(cgroups=telling.root)
        rows.append(Row("repeated, asleep", again(named, asleep=True), []))
    for _ in range(rounds):
        for row in rows:
            begin = time.process_time()
            found = row.look()
            row.seconds.append(time.process_time() - begin)
            if found < processes * (1 if row.name == "leaders only" else threads):
                sys.exit(f"{row.name} found {found} threads of {processes * threads}")
    base = statistics.median(rows[0].seconds)
    for row in rows:
        median = statistics.median(row.seconds)
        print(f"  {row.name:20}{median * 1e3:10.1f} ms{median / processes * 1e6:8.1f} us each{base / median:9.1f} x")
    return rows


def again(discovery: Discovery, *, asleep: bool) -> Callable[[], int]:
    """A scan by a discovery that has been here often enough to know all that it remembers."""
    for _ in range(4):
        discovery.scan()
    real = Tree.usage

    def look() -> int:
        if asleep:
            return count(discovery.scan())
        Tree.usage = lambda *_: None  # type: ignore[method-assign] # as where no cgroup slept
        try:
            return count(discovery.scan())
        finally:
            Tree.usage = real  # type: ignore[method-assign] # put back

    return look


def tells_cpu_time(layout: Layout) -> bool:
    """Whether this hierarchy has each cgroup's CPU time."""
    return (layout.directory(f"/{TOP}") / ("cpu.stat" if layout.version > 1 else "cpuacct.usage")).exists()


def count(snapshot: Snapshot) -> int:
    """Threads of pods in a snapshot."""
    if snapshot.incomplete:
        sys.exit(f"incomplete: {snapshot.incomplete}")
    return sum(len(p.threads) for g in snapshot.groups if g.pod_uid for p in g.processes)


def plain_walk(*, threads: bool) -> int:
    """The straightforward way; the number of threads (or leaders) that it found in pods."""
    found = 0
    for name in os.listdir("/proc"):  # noqa: PTH208 - the faster of the two
        if not name.isdecimal():
            continue
        try:
            found += plain_process(f"/proc/{name}", threads=threads)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def plain_process(folder: str, *, threads: bool) -> int:
    """One process."""
    uids = {uid for line in text(f"{folder}/cgroup").splitlines() for uid in POD.findall(line)}
    text(f"{folder}/comm").strip()
    text(f"{folder}/stat").rpartition(")")[2].split()
    if not threads:
        return len(uids)
    text(f"{folder}/cmdline").split("\0")
    names = {}
    for tid in os.listdir(f"{folder}/task"):  # noqa: PTH208 - the faster of the two
        start = text(f"{folder}/task/{tid}/stat").rpartition(")")[2].split()[19]
        names[tid, start] = text(f"{folder}/task/{tid}/comm").strip()
    return len(uids) * len(names)


def text(path: str) -> str:
    """A whole file."""
    with open(path, errors="replace") as file:  # noqa: PTH123 - the faster of the two
        return file.read()


if __name__ == "__main__":
    main()
