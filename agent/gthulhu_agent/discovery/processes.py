"""The processes that are known, so that looking at one again costs one small file.

A process is its pid and its start time. Neither changes with exec, so every look compares what exec does change:
comm, and the addresses of code and stack. argv[0] can also be written over in place, as servers do to show their
role, which no other file tells; it is read at the first two looks and then at every 16th.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.procfs import Stat
from gthulhu_agent.discovery.snapshot import Process, TaskId, Thread

REREAD = 16
"""Looks after which argv[0] is read anew though nothing else changed."""

_DEAD = frozenset({b"Z", b"X", b"x"})


@dataclass(slots=True)
class Entry:
    """What is known of one process; ``seen`` is the number of the scan that saw it last."""

    process: Process
    pid: int
    ppid: int
    kernel: bool
    comm: bytes
    image: bytes
    seen: int
    reread: int


class Processes:
    """Every process that a scan saw, by pid."""

    def __init__(self, proc: str) -> None:
        self._proc = proc
        self._entries: dict[int, Entry] = {}
        self._scan = 0

    def begin(self) -> None:
        """Begin a scan."""
        self._scan += 1

    def end(self) -> None:
        """End a scan: what it did not see is no more."""
        gone = [pid for pid, entry in self._entries.items() if entry.seen != self._scan]
        for pid in gone:
            del self._entries[pid]

    def unseen(self) -> list[int]:
        """Pids that the last scan saw and that this one, so far, did not."""
        return [pid for pid, entry in self._entries.items() if entry.seen != self._scan]

    def get(self, pid: int) -> Entry | None:
        """What is known of ``pid`` without looking."""
        return self._entries.get(pid)

    def seen(self) -> Iterator[Entry]:
        """What this scan saw so far."""
        return (entry for entry in self._entries.values() if entry.seen == self._scan)

    def is_seen(self, entry: Entry) -> bool:
        """Whether this scan saw it."""
        return entry.seen == self._scan

    def unsee(self, entry: Entry) -> None:
        """Take it as not seen: where it is was not certain."""
        entry.seen = self._scan - 1

    def keep(self, entry: Entry) -> None:
        """Take it as seen without looking: something else has shown that it did not run since."""
        entry.seen = self._scan

    def look(self, pid: int) -> tuple[Entry, bool] | None:
        """Look at a process: what it is now, and whether it is new; None when there is none (any more).

        Raises:
            OSError: it is there and cannot be read.
        """
        line = procfs.read(f"{self._proc}/{pid}/stat")
        if not line:
            return None
        stat = procfs.parse_stat(line)
        if stat.state in _DEAD and stat.threads <= 1:
            return None
        entry = self._entries.get(pid)
        if entry is None or entry.process.id.start != stat.start:
            return self._fresh(pid, stat)
        process = self._again(pid, entry, stat)
        if process is None:
            return None
        entry.process, entry.ppid, entry.seen = process, stat.ppid, self._scan
        entry.comm, entry.image = stat.comm, stat.image
        return entry, False

    def _fresh(self, pid: int, stat: Stat) -> tuple[Entry, bool] | None:
        leader = Thread(TaskId(pid, stat.start), procfs.text(stat.comm))
        threads: tuple[Thread, ...] | None = (leader,)
        if stat.threads > 1:
            threads = self._list(pid, leader, ())
        argv0 = self._argv0(pid, stat)
        if threads is None or argv0 is None:
            return None
        process = Process(leader.id, leader.name, argv0, threads)
        entry = Entry(
            process,
            pid,
            stat.ppid,
            stat.kernel,
            stat.comm,
            stat.image,
            seen=self._scan,
            reread=self._scan + 1,
        )
        self._entries[pid] = entry
        return entry, True

    def _again(self, pid: int, entry: Entry, stat: Stat) -> Process | None:
        process = entry.process
        same = stat.comm == entry.comm and stat.image == entry.image
        leader = process.threads[0] if len(process.threads) == 1 else _leader(process)
        if not same:
            leader = Thread(process.id, procfs.text(stat.comm))
        threads: tuple[Thread, ...] | None = process.threads
        if not same or stat.threads != 1 or len(process.threads) != 1:
            threads = self._threads(pid, leader, stat.threads, process.threads)
        argv0: str | None = process.argv0
        if not same or not stat.traced or entry.reread <= self._scan:
            argv0 = self._argv0(pid, stat)
            # Spread over the scans by pid, so that none of them reads all.
            entry.reread = self._scan + REREAD - (self._scan + pid) % REREAD
        if threads is None or argv0 is None:
            return None
        if same and threads is process.threads and argv0 == process.argv0:
            return process
        return Process(process.id, leader.name, argv0, threads)

    def _argv0(self, pid: int, stat: Stat) -> str | None:
        if stat.kernel:
            return ""
        cmdline = procfs.read(f"{self._proc}/{pid}/cmdline")
        return None if cmdline is None else procfs.first_argument(cmdline)

    def _threads(self, pid: int, leader: Thread, count: int, before: tuple[Thread, ...]) -> tuple[Thread, ...] | None:
        """The threads, without listing them where all that were known are there and there are no more of them."""
        if count == 1:
            return before if before == (leader,) else (leader,)
        if len(before) == count:
            now = tuple(self._same(pid, leader, thread) for thread in before)
            if None not in now:
                return before if now == before else tuple(thread for thread in now if thread is not None)
        return self._list(pid, leader, before)

    def _same(self, pid: int, leader: Thread, thread: Thread) -> Thread | None:
        """What a known thread is now; None when it is no more."""
        if thread.id == leader.id:
            return leader
        line = procfs.read(f"{self._proc}/{pid}/task/{thread.id.tid}/stat")
        if not line:
            return None
        comm, start = procfs.parse_thread(line)
        if start != thread.id.start:
            return None
        name = procfs.text(comm)
        return thread if name == thread.name else Thread(thread.id, name)

    def _list(self, pid: int, leader: Thread, before: tuple[Thread, ...]) -> tuple[Thread, ...] | None:
        with procfs.opened(f"{self._proc}/{pid}/task") as tasks:
            if tasks is None:
                return None
            # Through the descriptor: the directory of a pid that was reused meanwhile is another one.
            there = _thread(f"{pid}/stat", tasks, pid)
            if there is None or there.id != leader.id:
                return None
            known = {thread: thread for thread in before}
            others = (_thread(f"{tid}/stat", tasks, tid) for tid in procfs.numbers_in(tasks) if tid != pid)
            found = [leader, *(known.get(thread, thread) for thread in others if thread is not None)]
        return tuple(sorted(found, key=_tid))


def _tid(thread: Thread) -> int:
    return thread.id.tid


def _leader(process: Process) -> Thread:
    return next((thread for thread in process.threads if thread.id == process.id), process.threads[0])


def _thread(path: str, directory: int, tid: int) -> Thread | None:
    line = procfs.read(path, directory)
    if not line:
        return None
    comm, start = procfs.parse_thread(line)
    return Thread(TaskId(tid, start), procfs.text(comm))
