"""The periodic task of ``eevdf.py``: wakes on an absolute clock, works, and says how late each waking was.

It sleeps by clock_nanosleep(TIMER_ABSTIME) through ctypes, so lateness does not add up, and works by its own CPU
time, so being preempted makes it longer. Pure Python adds some 10 us to each waking, the same for every row.
"""

from __future__ import annotations

import ctypes
import json
import sys
import time

_ABSOLUTE = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def run(periods: int, period_ns: int, work_ns: int) -> dict[str, object]:
    """Lateness of each waking in ns, and the share of one CPU that the task got."""
    nanosleep = ctypes.CDLL(None, use_errno=True).clock_nanosleep
    target = _Timespec()
    reference = ctypes.byref(target)
    late: list[int] = []
    begin_wall, begin_cpu = time.monotonic_ns(), time.thread_time_ns()
    due = begin_wall
    for _ in range(periods):
        due += period_ns
        target.seconds, target.nanoseconds = divmod(due, 1_000_000_000)
        nanosleep(time.CLOCK_MONOTONIC, _ABSOLUTE, reference, None)
        now = time.monotonic_ns()
        late.append(now - due)
        enough = time.thread_time_ns() + work_ns
        while time.thread_time_ns() < enough:
            pass
        # More than a period late: begin anew rather than count the same delay again and again.
        due = now if now - due > period_ns else due
    wall, cpu = time.monotonic_ns() - begin_wall, time.thread_time_ns() - begin_cpu
    return {"late": late, "share": cpu / wall}


if __name__ == "__main__":
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(run(*map(int, sys.argv[1:4]))), flush=True)
