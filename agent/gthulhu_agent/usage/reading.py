"""Reading one thread's counters from /proc, so that they are that thread's and not of its number's next owner."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.usage.counts import Counts, parse_sched, parse_schedstat, parse_status


class Reader(Protocol):
    """Where counters come from; tests put their own here."""

    def read(self, pid: int, thread: TaskId, before: Counts | None) -> Counts | None:
        """The counters of ``thread`` of process ``pid``, last known as ``before``; None where it has ended.

        Raises:
            OSError: it is there and cannot be read.
            ValueError: what the kernel says is not understood.
        """
        ...

    def lives(self, thread: TaskId) -> bool:
        """Whether ``thread`` has not ended, as far as that can be told."""
        ...


class ProcReader:
    """The kernel's own. A thread that did not run since ``before`` costs one small file, any other three."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self._proc = str(proc)

    def read(self, pid: int, thread: TaskId, before: Counts | None) -> Counts | None:
        """See :class:`Reader`."""
        folder = f"{self._proc}/{pid}/task/{thread.tid}"
        line = procfs.read(f"{folder}/schedstat")
        if not line:
            return None
        cpu, wait, runs = parse_schedstat(line)
        if before is not None and (cpu, wait, runs) == before[:3]:
            return before  # nothing else counts while it does not run
        switches = self._switches(folder)
        # Read last: a start time that is the known one says that all before it was this thread's too.
        stat = procfs.read(f"{folder}/stat")
        if not stat or switches is None or procfs.parse_thread(stat)[1] != thread.start:
            return None
        voluntary, involuntary, migrations = switches
        return Counts(cpu, wait, runs, voluntary, involuntary, migrations)

    def lives(self, thread: TaskId) -> bool:
        """See :class:`Reader`."""
        try:
            stat = procfs.read(f"{self._proc}/{thread.tid}/stat")
            return bool(stat) and procfs.parse_thread(stat or b"")[1] == thread.start
        except (OSError, ValueError):
            return False

    def _switches(self, folder: str) -> tuple[int, int, int] | None:
        text = procfs.read(f"{folder}/sched")
        found = parse_sched(text) if text else None
        if found is not None:
            return found
        # Kernels before 6.15 without CONFIG_SCHED_DEBUG: no migrations then.
        status = procfs.read(f"{folder}/status")
        told = parse_status(status) if status else None
        return None if told is None else (*told, 0)
