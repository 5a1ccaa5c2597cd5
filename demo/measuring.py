"""What the kernel says of a process: CPU time, wake-up lateness, slice and nice."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent.enforcing import sched_attr


@dataclass(frozen=True)
class Measured:
    """One interval of one process. Lateness in milliseconds; slice in milliseconds, None where unreadable."""

    share: float
    p50: float
    p99: float
    wakeups: int
    slice_ms: float | None
    nice: int
    weight: str


def slice_ms(pid: int) -> float | None:
    """The slice that the kernel reports for a fair thread; None before Linux 6.12."""
    slice_ns = sched_attr.read(pid).slice_ns
    return slice_ns / 1e6 if slice_ns else None


def weight(cgroup: Path | None) -> str:
    """The pod's weight as its cgroup has it."""
    for name in ("cpu.weight", "cpu.shares"):
        if cgroup is not None and (cgroup / name).exists():
            return f"{name} {(cgroup / name).read_text().strip()}"
    return "none of its own"


def measure(
    pid: int,
    rivals: Sequence[int],
    *,
    log: Path,
    cgroup: Path | None,
    seconds: float,
    tick: Callable[[float], None],
) -> Measured:
    """Watch one process against its rivals for some seconds; ``tick`` gets the seconds that have passed."""
    begin, offset = time.monotonic(), log.stat().st_size
    chosen, others = _cpu_seconds([pid]), _cpu_seconds(rivals)
    while (passed := time.monotonic() - begin) < seconds:
        tick(passed)
        time.sleep(min(0.25, seconds - passed))
    chosen, others = _cpu_seconds([pid]) - chosen, _cpu_seconds(rivals) - others
    with log.open() as lines:
        lines.seek(offset)
        late = sorted(int(line.split()[1]) / 1e6 for line in lines.read().splitlines()[1:-1])
    return Measured(
        share=chosen / (chosen + others) if chosen + others else 0.0,
        p50=late[len(late) // 2] if late else float("nan"),
        p99=late[len(late) * 99 // 100] if late else float("nan"),
        wakeups=len(late),
        slice_ms=slice_ms(pid),
        nice=os.getpriority(os.PRIO_PROCESS, pid),
        weight=weight(cgroup),
    )


def _cpu_seconds(pids: Sequence[int]) -> float:
    ticks = os.sysconf("SC_CLK_TCK")
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / ticks
