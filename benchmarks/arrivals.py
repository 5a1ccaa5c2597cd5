"""How soon a process is scheduled as told after its exec, and what that costs: ``python benchmarks/arrivals.py``.

Real processes in real cgroups (root and a writable hierarchy are needed), agents as processes of their own over the
same pods, one way of hearing after the other, and beside them the loop that one would write first, which walks /proc
ten times a second (benchmarks/arrivals_plain.py):

latency
    from the exec (a pipe that closes right before it says when) until the kernel reads back the slice; processes start
    one after the other, at odd moments, in a pod that runs already
idle
    CPU time of the agent while nothing happens on the host but this benchmark's waiting
storm, watched and unwatched
    CPU time of the agent while a pod with an intent, or one without, forks 10,000 processes a second that end at once
latency beside it
    of processes in another pod meanwhile
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import report
from agent_process import AGENT, PATIENCE, Server, environment

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout
from gthulhu_agent.enforcing import sched_attr
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, ordered

HERE = Path(__file__).parent
TOP = f"gthulhu-arrivals-{os.getpid()}"
COMM = "sleep"
SLICE_NS = 4_900_000
PLAIN_REST = 0.1
WAYS = ("bpf", "connector", "none")
NAMES = {"bpf": "`events = bpf`", "connector": "`connector`", "none": "`none`, every 2 s", "plain": "walk over /proc"}


@dataclass
class Found:
    """What one way came to; seconds, and shares of one CPU."""

    latency: list[float] = field(default_factory=list)
    missed: int = 0
    idle: float = 0.0
    watched: float = 0.0
    unwatched: float = 0.0
    beside: list[float] = field(default_factory=list)
    forks: list[float] = field(default_factory=list)


class Pods:
    """Pods of this run alone, with a process that starts others in each."""

    def __init__(self, layout: Layout, count: int, processes: int) -> None:
        self._layout = layout
        self.uids = [str(uuid.uuid4()) for _ in range(count + 1)]
        self._processes = processes
        self._held: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        for uid in self.uids:
            self.cgroup(uid).mkdir(parents=True)
            for _ in range(self._processes):
                # A shell that waits is of no intent, and asleep.
                self._held.append(self.run(uid, ["/bin/sh", "-c", "sleep 36000 & wait"]))
        return self

    def __exit__(self, *_: object) -> None:
        top = self._layout.directory(f"/{TOP}")
        for path in (*top.rglob("cgroup.procs"), top / "cgroup.procs"):
            for pid in path.read_text().split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        for held in self._held:
            held.wait()
        for path in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            remove(path)
        remove(top)

    def cgroup(self, uid: str) -> Path:
        """The cgroup of a pod's one container."""
        return self._layout.directory(f"/{TOP}/kubepods/burstable/pod{uid}/{'a1' * 32}")

    def run(self, uid: str, command: Sequence[str], **more: object) -> subprocess.Popen[bytes]:
        """A process that is in the pod before it is anything else."""
        join = f'echo $$ > {self.cgroup(uid)}/cgroup.procs && exec "$@"'
        return subprocess.Popen(["/bin/sh", "-c", join, "sh", *command], **more)  # type: ignore[call-overload,no-any-return] # Popen's own

    @property
    def managed(self) -> list[str]:
        """Those that intents are for; the last has none."""
        return self.uids[:-1]


def main() -> None:
    """Measure and print."""
    options = report.options(__doc__)
    options.add_argument("--pods", type=int, default=20)
    options.add_argument("--processes", type=int, default=5, help="asleep in each pod")
    options.add_argument("--execs", type=int, default=200)
    options.add_argument("--idle", type=float, default=30.0, help="seconds")
    options.add_argument("--storm", type=float, default=10.0, help="seconds")
    options.add_argument("--ways", nargs="*", default=[*WAYS, "plain"])
    asked = options.parse_args()
    known = report.facts(asked)
    try:
        layout = find_layout()
    except LayoutError as error:
        sys.exit(f"{error}; nothing to measure")
    if os.geteuid() or not sched_attr.ability().custom_slice:
        sys.exit("root and Linux 6.12 are needed: what is looked for is the slice of a thread")
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as folder:
        storm = built(Path(folder))
        for way in asked.ways:
            with Pods(layout, asked.pods, asked.processes) as pods, watching(way, pods, Path(folder, way)) as server:
                found[way] = measured(way, pods, server, storm, asked)
    report.finish(asked, section(found, asked), known)


def measured(way: str, pods: Pods, server: Server, storm: Path, asked: object) -> Found:
    """All figures of one way."""
    options = vars(asked)
    found = Found()
    said(way, "latency")
    # Each of those that nobody is told of takes a second or two.
    count = min(options["execs"], 20) if way == "none" else options["execs"]
    found.latency, found.missed = latencies(pods, pods.managed[0], count, 0.02)
    said(way, "idle")
    time.sleep(5)  # what was told of is followed by a whole pass
    found.idle = share(server, options["idle"])
    for watched in (True, False):
        said(way, "storm in a pod with an intent" if watched else "storm in a pod without")
        uid = pods.managed[1] if watched else pods.uids[-1]
        command = [str(storm), "10000", str(options["storm"])]
        with pods.run(uid, command, stdout=subprocess.PIPE) as running:
            time.sleep(0.5)
            before, begun = server.cpu(), time.perf_counter()
            if watched:
                found.beside, _ = latencies(
                    pods, pods.managed[0], 3 if way == "none" else int(options["storm"] * 3), 0.1
                )
            running.wait()
            used = (server.cpu() - before) / (time.perf_counter() - begun)
            found.forks.append(int((running.stdout.read() if running.stdout else b"") or 0) / options["storm"])
            said(way, f"{found.forks[-1]:,.0f} forks a second took {used:.1%} of a CPU")
        if watched:
            found.watched = used
        else:
            found.unwatched = used
    return found


def latencies(pods: Pods, uid: str, count: int, rest: float) -> tuple[list[float], int]:
    """Seconds from exec to the slice, and how many were not seen to within ten seconds."""
    found, missed = [], 0
    for _ in range(count):
        time.sleep(rest * random.uniform(0.5, 2.0))
        # The shell closes its output as the last thing before the exec.
        join = f"echo $$ > {pods.cgroup(uid)}/cgroup.procs; read go; exec sleep 600 >&-"
        with subprocess.Popen(["/bin/sh", "-c", join], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
            if child.stdin is None or child.stdout is None:
                sys.exit("no pipes to the child")
            time.sleep(0.02)  # what was told of its coming is seen to
            child.stdin.write(b"\n")
            child.stdin.flush()
            child.stdout.read(1)
            took = until_told(child.pid, time.perf_counter())
            child.kill()
        if took is None:
            missed += 1
        else:
            found.append(took)
    return found, missed


def until_told(pid: int, begun: float) -> float | None:
    """Seconds until the kernel says the slice; None after ten."""
    while (took := time.perf_counter() - begun) < 10:
        if sched_attr.read(pid).slice_ns == SLICE_NS:
            return took
        time.sleep(0.0002)
    return None


def share(server: Server, seconds: float) -> float:
    """Of one CPU, while nothing happens."""
    before, begun = server.cpu(), time.perf_counter()
    time.sleep(seconds)
    return (server.cpu() - before) / (time.perf_counter() - begun)


@contextlib.contextmanager
def watching(way: str, pods: Pods, folder: Path) -> Iterator[Server]:
    """An agent that holds an intent for each pod, or the loop over /proc."""
    folder.mkdir()
    begun, socket = time.perf_counter(), folder / "api.sock"
    if way == "plain":
        plain = HERE / "arrivals_plain.py"
        command = [sys.executable, str(plain), f"{TOP}/", COMM, str(SLICE_NS), str(PLAIN_REST)]
    else:
        command = [*AGENT, "--enforcer", "eevdf", "--events", way, "--listen", f"unix:{socket}", "--node", "bench"]
        command += ["--state-dir", str(folder / "state"), "--enforcer-lock", str(folder / "lock")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment(folder), stderr=log)
    server = Server(process, socket, begun)
    try:
        if way != "plain":
            server.until("/v1/health", 0.02)
            server.timed("PUT", "/v1/desired", json.dumps(wanted(pods)).encode())
            server.until("/v1/ready", 0.05)
        time.sleep(3)
        yield server
    finally:
        process.terminate()
        process.wait(PATIENCE)


def wanted(pods: Pods) -> dict[str, object]:
    """One intent for each pod but the last."""
    intents = []
    for number, uid in enumerate(pods.managed):
        terms = Terms(PolicyRef("bench", f"p{number}"), Schedule(time_slice_ns=SLICE_NS), f"^{COMM}$")
        intents.append(Intent(terms, 0, PodRef("bench", f"pod-{number}", uid)))
    return DesiredSet("bench", 0, 1, ordered(intents)).as_json()


def built(folder: Path) -> Path:
    """The program that forks."""
    program = folder / "storm"
    subprocess.run(["cc", "-O2", "-o", str(program), str(HERE / "arrivals_storm.c")], check=True)  # noqa: S607 - the host's compiler
    return program


def section(found: dict[str, Found], asked: object) -> report.Section:
    """What goes into the page."""
    options = vars(asked)
    rows = []
    for way, one in found.items():
        rows.append(
            (
                NAMES[way],
                f"{centile(one.latency, 50) * 1e3:.1f} ms",
                f"{centile(one.latency, 99) * 1e3:.1f} ms",
                f"{max(one.latency, default=float('nan')) * 1e3:.1f} ms",
                f"{one.idle:.2%}",
                f"{one.watched:.1%}",
                f"{one.unwatched:.1%}",
                f"{centile(one.beside, 50) * 1e3:.1f} / {max(one.beside, default=float('nan')) * 1e3:.0f} ms",
            )
        )
    heads = ("", "p50", "p99", "max", "idle", "storm, watched", "storm, unwatched", "beside it, p50 / max")
    rates = [rate for one in found.values() for rate in one.forks]
    text = (
        f"{options['pods']} pods with {options['processes']} sleeping processes each. First the time from the exec of "
        f"a process that a command pattern takes to the slice that the kernel reads back, over {options['execs']} of "
        "them; then shares of one CPU: while nothing happens, and while a pod with an intent, or one without, forks "
        f"{min(rates):,.0f} to {max(rates):,.0f} processes a second that end at once; last the "
        "first again, for a process of another pod during the storm. The walk over /proc comes ten times a second. "
        "Aims: 20 ms, 0.2 % and 10 %. The machine's load was "
        f"{os.getloadavg()[0]:.1f} when the last storm was over."
    )
    return report.Section(
        "bench-arrivals",
        "From exec to schedule",
        (
            text,
            report.table(heads, rows),
        ),
    )


def centile(values: Sequence[float], percent: int) -> float:
    """Of sorted values, the one that so many percent do not exceed."""
    every = sorted(values)
    return every[min(len(every) - 1, len(every) * percent // 100)] if every else float("nan")


def said(way: str, what: str) -> None:
    """Progress."""
    print(f"{way}: {what}", file=sys.stderr, flush=True)


def remove(path: Path) -> None:
    """A cgroup whose last processes may still be ending."""
    for _ in range(500):
        try:
            path.rmdir()
        except OSError:
            time.sleep(0.01)
        else:
            return


if __name__ == "__main__":
    main()
