"""Threads as the kernel has them: attributes by system call, identity and descent from /proc."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Protocol

from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.sched_attr import Ability, Attributes

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _START = 4 - 3, 22 - 3
"""Fields of /proc/<pid>/stat (proc(5)), counted behind the comm, which may hold blanks and brackets."""


class Tasks(Protocol):
    """What the enforcer needs to know and do about threads; tests inject faults here."""

    def ability(self) -> Ability:
        """What this process can do here; OSError where it is not let near the calls."""
        ...

    def read(self, tid: int) -> Attributes:
        """A thread's attributes; OSError ESRCH where it has ended."""
        ...

    def write(self, tid: int, *, nice: int, slice_ns: int) -> None:
        """Set both, a slice of 0 being the default; OSError as the kernel says."""
        ...

    def start(self, tid: int) -> int | None:
        """Clock ticks from boot to the thread's start; None where it has ended."""
        ...

    def parent(self, tid: int) -> int:
        """Pid of the process that forked this one; 0 where there is none or it is not known."""
        ...

    def process(self, tid: int) -> int:
        """Pid of the process that the thread is of; 0 where it has ended."""
        ...

    def family(self, pid: int) -> tuple[int, ...]:
        """All threads of a process and of those that descend from it, as far as the chain is unbroken."""
        ...

    def clock(self) -> int:
        """Clock ticks from boot to now."""
        ...


class KernelTasks:
    """The real ones.

    ``sched_setattr`` knows threads by number only; there is no form of it that takes a pidfd. The numbers are
    therefore checked against start times on both sides of each write, by whoever writes.
    """

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)

    def ability(self) -> Ability:
        """See :class:`Tasks`."""
        return sched_attr.ability()

    def read(self, tid: int) -> Attributes:
        """See :class:`Tasks`."""
        return sched_attr.read(tid)

    def write(self, tid: int, *, nice: int, slice_ns: int) -> None:
        """See :class:`Tasks`."""
        sched_attr.write(tid, nice=nice, slice_ns=slice_ns)

    def start(self, tid: int) -> int | None:
        """See :class:`Tasks`."""
        fields = self._stat(tid)
        return int(fields[_START]) if fields else None

    def parent(self, tid: int) -> int:
        """See :class:`Tasks`."""
        fields = self._stat(tid)
        return int(fields[_PARENT]) if fields else 0

    def process(self, tid: int) -> int:
        """See :class:`Tasks`."""
        for line in self._text(f"{tid}/status").splitlines():
            if line.startswith(b"Tgid:"):
                return int(line[5:])
        return 0

    def family(self, pid: int) -> tuple[int, ...]:
        """See :class:`Tasks`."""
        found: list[int] = []
        waiting, seen = [pid], {pid}
        while waiting:
            process = waiting.pop()
            try:
                threads = [int(entry.name) for entry in Path(self._proc, str(process), "task").iterdir()]
            except OSError:
                continue
            found += threads
            for tid in threads:
                # Kernels without CONFIG_PROC_CHILDREN have no such file; then only the process itself is family.
                children = {int(child) for child in self._text(f"{process}/task/{tid}/children").split()}
                waiting += children - seen
                seen |= children
        return tuple(found)

    def clock(self) -> int:
        """See :class:`Tasks`."""
        return int(time.clock_gettime(time.CLOCK_BOOTTIME) * _TICKS_PER_SECOND)

    def _stat(self, tid: int) -> list[bytes]:
        return self._text(f"{tid}/stat").rpartition(b")")[2].split()

    def _text(self, name: str) -> bytes:
        try:
            with open(f"{self._proc}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - half the cost of a Path
                return file.read()
        except OSError:
            return b""
