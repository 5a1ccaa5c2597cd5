"""The demo's processes: one that wakes on a period, and hogs that compete with it. Standard library only.

A periodic process appends one line per wake-up to its log: monotonic nanoseconds, lateness in nanoseconds. The
log is line-buffered, so that a reader can cut any interval out of it while the process runs.
"""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_NAME, SIGKILL = 1, 15, 9


def main(arguments: list[str]) -> None:
    """``hog NAME CPU CGROUP_PROCS`` or ``periodic NAME CPU CGROUP_PROCS PERIOD_US WORK_US LOG``."""
    role, name, cpu, procs, *rest = arguments
    libc = ctypes.CDLL(None)
    # The demo's own death, by whatever signal, must not leave hogs behind (prctl(2)).
    libc.prctl(PR_SET_PDEATHSIG, SIGKILL)
    if os.getppid() == 1:
        return
    libc.prctl(PR_SET_NAME, name.encode())
    os.sched_setaffinity(0, {int(cpu)})
    if procs:
        Path(procs).write_text(str(os.getpid()))
    print("ready", flush=True)
    if role == "hog":
        while True:
            pass
    period, work, log = int(rest[0]) * 1000, int(rest[1]) * 1000, Path(rest[2])
    with log.open("w", buffering=1) as out:
        wake(period, work, out.write)


def wake(period_ns: int, work_ns: int, write: Callable[[str], object]) -> None:
    """Sleep to the next multiple of the period, note the lateness, burn the work, for ever."""
    due = time.monotonic_ns()
    while True:
        due += period_ns
        # Python 3.11 sleeps with clock_nanosleep(TIMER_ABSTIME), so the error does not add up.
        time.sleep(max(0, due - time.monotonic_ns()) / 1e9)
        woken = time.monotonic_ns()
        write(f"{woken} {woken - due}\n")
        while time.monotonic_ns() < woken + work_ns:
            pass
        if woken - due > period_ns:
            due = woken  # a missed period is one late wake-up, not a train of them


if __name__ == "__main__":
    main(sys.argv[1:])
