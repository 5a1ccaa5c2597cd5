"""The agent that one would write first: a loop that walks /proc and sets the slice of what matches.

    benchmarks/arrivals_plain.py POD COMM SLICE SECONDS

It rests SECONDS between walks, and does nothing else: no journal, no weights, no answers, nothing is put back.
"""

from __future__ import annotations

import os
import sys
import time

from gthulhu_agent.enforcing import sched_attr


def main() -> None:
    """Walk for ever."""
    uid, comm, slice_ns, rest = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
    while True:
        for name in os.listdir("/proc"):  # noqa: PTH208 - the faster of the two
            if name.isdecimal():
                visit(int(name), uid, comm, slice_ns)
        time.sleep(rest)


def visit(pid: int, uid: str, comm: str, slice_ns: int) -> None:
    """One process, if it is still there."""
    try:
        if uid not in text(f"/proc/{pid}/cgroup"):
            return
        for tid in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - the faster of the two
            if text(f"/proc/{pid}/task/{tid}/comm").strip() == comm:
                now = sched_attr.read(int(tid))
                if now.slice_ns != slice_ns:
                    sched_attr.write(int(tid), nice=now.nice, slice_ns=slice_ns)
    except OSError:
        return


def text(path: str) -> str:
    """A whole file."""
    with open(path, errors="replace") as file:  # noqa: PTH123 - the faster of the two
        return file.read()


if __name__ == "__main__":
    main()
