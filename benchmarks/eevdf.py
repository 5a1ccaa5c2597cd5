"""What slice, weight and nice do for a waking task on this machine: ``python benchmarks/eevdf.py``.

A periodic task and hogs share one CPU, either each in a cgroup of its own, as pods are, or all in one. Rows are
interleaved and repeated; each figure is the median of the repetitions, with the lowest and highest behind it. The last
row is no hand-made setting but the agent's own enforcer with ``priority: 20, preempt: true``. Nothing else should run.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import report

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, TaskId, Thread
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.binding import Binding, CommandRule
from gthulhu_agent.enforcing.choose import eevdf
from gthulhu_agent.enforcing.priorities import scaled
from gthulhu_agent.enforcing.tasks import KernelTasks
from gthulhu_wire.intents import Schedule

TASK = Path(__file__).with_name("eevdf_task.py")
SHORTEST_NS = 100_000
STRONGEST = 20
_WIDTH = 60
_HEADS = ("", "p50, ms", "p99, ms", "CPU share")


@dataclass(frozen=True)
class Task:
    """The periodic task, before it starts; without a layout it is in no cgroup of ours."""

    pid: int
    pod: Path | None
    layout: Layout | None


Setting = Callable[[Task], contextlib.AbstractContextManager[object] | None]


@dataclass(frozen=True)
class Row:
    """One way to treat the task."""

    name: str
    set_up: Setting


@dataclass
class Figures:
    """What the repetitions of one row and one amount of work came to; times in ms."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    share: list[float] = field(default_factory=list)
    refused: str = ""

    def add(self, answer: dict[str, list[int]], share: float) -> None:
        """One repetition."""
        late = sorted(answer["late"])
        self.p50.append(late[len(late) // 2] / 1e6)
        self.p99.append(late[len(late) * 99 // 100] / 1e6)
        self.share.append(share)


@dataclass(frozen=True)
class Measured:
    """One table: its rows for the longest work, in microseconds."""

    title: str
    work_us: int
    rows: list[tuple[str, Figures]]


def nothing(_task: Task) -> None:
    """The kernel's defaults."""


def nice(task: Task) -> None:
    """The strongest nice value."""
    sched_attr.write(task.pid, nice=-20, slice_ns=0)


def slice_(task: Task) -> None:
    """The shortest custom slice."""
    sched_attr.write(task.pid, nice=0, slice_ns=SHORTEST_NS)


def nice_and_slice(task: Task) -> None:
    """Both."""
    sched_attr.write(task.pid, nice=-20, slice_ns=SHORTEST_NS)


def weight(task: Task) -> Iterator[None]:
    """The pod's weight as at priority 20."""
    pod, layout = _in_pod(task)
    file = pod / ("cpu.shares" if layout.version == 1 else "cpu.weight")
    owner = int(file.read_text())
    low, high = (2, 262_144) if layout.version == 1 else (1, 10_000)
    file.write_text(str(scaled(owner, STRONGEST, low, high)))
    try:
        yield
    finally:
        file.write_text(str(owner))


def weight_and_slice(task: Task) -> Iterator[None]:
    """What the enforcer does, by hand."""
    slice_(task)
    yield from weight(task)


def round_robin(task: Task) -> None:
    """The limit. A v1 hierarchy with RT_GROUP_SCHED refuses it inside of a pod, so it is taken to the root there."""
    try:
        os.sched_setscheduler(task.pid, os.SCHED_RR, os.sched_param(50))
    except PermissionError:
        if task.layout is None:
            raise
        (task.layout.root / "cgroup.procs").write_text(str(task.pid))
        os.sched_setscheduler(task.pid, os.SCHED_RR, os.sched_param(50))


def agent(task: Task) -> Iterator[None]:
    """The enforcer itself."""
    pod, layout = _in_pod(task)
    start = KernelTasks().start(task.pid) or 0
    thread = Thread(TaskId(task.pid, start), "task")
    process = Process(thread.id, "task", "task", (thread,))
    cgroup = f"/{pod.relative_to(layout.root)}"
    group = Group(GroupKind.CONTAINER, cgroup, cgroup, "uid", "id", processes=(process,))
    rule = CommandRule(("uid", "bench", "strongest"), Schedule(STRONGEST, None, preempt=True))
    with tempfile.TemporaryDirectory() as folder:
        enforcer = eevdf(journal=Path(folder) / "journal")
        state = enforcer.apply([Binding(group, (rule,))]).intents[rule.intent]
        try:
            if not state.enforced:
                raise OSError(0, state.refused[0].why)
            yield
        finally:
            enforcer.revert()


def _in_pod(task: Task) -> tuple[Path, Layout]:
    if task.pod is None or task.layout is None:
        raise OSError(0, "no cgroup of its own")
    return task.pod, task.layout


ACROSS = (
    Row("EEVDF, nothing set", nothing),
    Row("nice -20", nice),
    Row("slice 0.1 ms", slice_),
    Row("weight x 87", contextlib.contextmanager(weight)),
    Row("weight x 87 + slice 0.1 ms", contextlib.contextmanager(weight_and_slice)),
    Row("SCHED_RR", round_robin),
    Row("agent: priority 20, preempt", contextlib.contextmanager(agent)),
)
TOGETHER = (
    Row("EEVDF, nothing set", nothing),
    Row("nice -20", nice),
    Row("slice 0.1 ms", slice_),
    Row("nice -20 + slice 0.1 ms", nice_and_slice),
    Row("SCHED_RR", round_robin),
)


class Bench:
    """The hogs, and the task once for each row."""

    def __init__(self, options: argparse.Namespace, layout: Layout | None, *, together: bool) -> None:
        self._options = options
        self._layout = layout
        self._together = together
        self._cpu = max(os.sched_getaffinity(0))
        self._pods: list[Path] = []
        self._hogs: list[subprocess.Popen[bytes]] = []

    @contextlib.contextmanager
    def hogs(self) -> Iterator[None]:
        """Processes that never sleep, on the task's CPU, each in a cgroup of its own or all in one."""
        try:
            for number in range(self._options.hogs):
                hog = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                self._hogs.append(hog)
                self._place(hog.pid, self._pod(f"hog-{number}"))
            yield
        finally:
            for hog in self._hogs:
                hog.kill()
                hog.wait()
            for pod in self._pods:
                _remove(pod)

    def measure(self, row: Row, work_us: int, figures: Figures) -> None:
        """One run of the task under one row."""
        options = self._options
        pod = self._pod("task")
        command = [sys.executable, str(TASK), str(options.periods), str(options.period_us * 1000), str(work_us * 1000)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdin is not None, "asked for above"  # noqa: S101 - for mypy
            assert process.stdout is not None, "asked for above"  # noqa: S101 - for mypy
            process.stdout.readline()
            self._place(process.pid, pod)
            try:
                with row.set_up(Task(process.pid, pod, self._layout)) or contextlib.nullcontext():
                    process.stdin.write("go\n")
                    process.stdin.flush()
                    answer = json.loads(process.stdout.readline())
                figures.add(answer, answer["share"])
            except OSError as error:
                figures.refused = error.strerror or str(error)
                process.kill()

    def _pod(self, name: str) -> Path | None:
        if self._layout is None:
            return None
        pod = self._layout.root / f"gthulhu-eevdf-{os.getpid()}-{'all' if self._together else name}"
        if pod not in self._pods:
            pod.mkdir()
            self._pods.append(pod)
        return pod

    def _place(self, pid: int, pod: Path | None) -> None:
        if pod is not None:
            (pod / "cgroup.procs").write_text(str(pid))
        os.sched_setaffinity(pid, {self._cpu})


def table(
    title: str, rows: tuple[Row, ...], options: argparse.Namespace, layout: Layout | None, *, together: bool
) -> Measured:
    """Measure all rows, interleaved, and print them."""
    figures = {(row.name, work): Figures() for row in rows for work in options.work_us}
    bench = Bench(options, layout, together=together)
    with bench.hogs():
        for _ in range(options.repetitions):
            for work in options.work_us:
                for row in rows:
                    bench.measure(row, work, figures[row.name, work])
    print(f"\n{title}")
    print(
        " " * 29
        + "".join(f"| work {work / 1000:g} ms: p50, p99 in ms, CPU share".ljust(_WIDTH) for work in options.work_us)
    )
    for row in rows:
        print(
            f"{row.name:<29}" + "".join(f"| {_cell(figures[row.name, work])}".ljust(_WIDTH) for work in options.work_us)
        )
    return Measured(title, options.work_us[-1], [(row.name, figures[row.name, options.work_us[-1]]) for row in rows])


def section(found: list[Measured], options: argparse.Namespace) -> report.Section:
    """The page's, of the longest work."""
    tables = [
        part
        for one in found
        for part in (f"{one.title[0].upper()}{one.title[1:]}:", report.table(_HEADS, list(map(_cells, one.rows))))
    ]
    work, period = found[0].work_us / 1000, options.period_us / 1000
    return report.Section(
        "bench-eevdf",
        "The enforcer's effect",
        (
            f"""
            A task that wakes every {period:g} ms to work {work:g} ms, and {options.hogs} hogs on the same CPU; lateness
            and CPU share ({work / period:.2f} is all it needs), medians of {options.repetitions} runs of
            {options.periods} wakings, lowest and highest behind them.
            """,
            *tables,
            """
            Between pods nice does nothing; the weight carries the share and the median. The p99 column is as noisy as
            the machine's neighbours: read the medians.
            """,
        ),
    )


def _cells(row: tuple[str, Figures]) -> tuple[str, ...]:
    name, figures = row
    if not figures.p50:
        return (name, *("refused",) * 3)
    return (name, _spread(figures.p50, 2), _spread(figures.p99, 1), _spread(figures.share, 2))


def _cell(figures: Figures) -> str:
    if not figures.p50:
        return f"refused: {figures.refused}"
    return "  ".join((_spread(figures.p50, 2), _spread(figures.p99, 2), _spread(figures.share, 2)))


def _spread(values: list[float], digits: int) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _remove(pod: Path) -> None:
    for _ in range(500):
        try:
            pod.rmdir()
        except OSError:
            time.sleep(0.01)
        else:
            return
    print(f"{pod} stays behind", file=sys.stderr)


def _writable_layout() -> Layout | None:
    try:
        layout = find_layout()
        probe = layout.root / f"gthulhu-eevdf-{os.getpid()}"
        probe.mkdir()
        weighable = (probe / ("cpu.shares" if layout.version == 1 else "cpu.weight")).exists()
        probe.rmdir()
    except (LayoutError, OSError) as error:
        print(f"no cgroups of its own for each process, thus no weights: {error}; run it as root", file=sys.stderr)
        return None
    if not weighable:
        print(f"no weights: {layout.root} does not give its cpu controller to cgroups below", file=sys.stderr)
    return layout if weighable else None


def main() -> None:
    """Print the tables."""
    parser = report.options(__doc__)
    parser.add_argument("--hogs", type=int, default=4, help="on the task's CPU")
    parser.add_argument("--periods", type=int, default=400, help="wakings for each figure")
    parser.add_argument("--period-us", type=int, default=5000)
    parser.add_argument("--work-us", type=int, nargs="+", default=[200, 1500], help="CPU time in each period")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    known = report.facts(options)
    ability = sched_attr.ability()
    print(
        f"{platform.system()} {platform.release()}, {os.cpu_count()} CPUs, load {os.getloadavg()[0]:.1f};"
        f" default slice {ability.default_slice_ns / 1e6:g} ms"
        f"{'' if ability.custom_slice else '; this kernel keeps no custom slice'}"
    )
    print(
        f"a task that wakes every {options.period_us / 1000:g} ms and {options.hogs} hogs on one CPU; lateness, median"
        f" (lowest-highest) of {options.repetitions} x {options.periods} wakings"
    )
    layout = _writable_layout()
    found = []
    if layout is not None:
        title = f"task and hogs each in a cgroup of its own, as pods are (cgroup v{layout.version})"
        found.append(table(title, ACROSS, options, layout, together=False))
    found.append(table("task and hogs all in one cgroup", TOGETHER, options, layout, together=True))
    report.finish(options, section(found, options), known)


if __name__ == "__main__":
    main()
