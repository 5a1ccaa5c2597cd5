"""What the kernel says of a process: CPU time, wake-up lateness, slice and nice."""

from __future__ import annotations

import ctypes
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

SCHED_GETATTR = {"x86_64": 315, "aarch64": 275, "riscv64": 275}


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


class _SchedAttr(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
    )


def slice_ms(pid: int) -> float | None:
    """The slice that the kernel reports for a fair thread (sched_getattr runtime, since Linux 6.12)."""
    number = SCHED_GETATTR.get(platform.machine())
    attr = _SchedAttr()
    size = ctypes.sizeof(attr)
    if number is None or ctypes.CDLL(None).syscall(number, pid, ctypes.byref(attr), size, 0) != 0:
        return None
    return int(attr.runtime) / 1e6 if attr.runtime else None


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
