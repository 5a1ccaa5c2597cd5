"""Whose child a thread is: fork hands down slice and nice, so a value of ours on a stranger was inherited.

Without this, a child of a chosen process would keep our values for ever: it has no record of its own, and what it was
born with looks like its own wish. Evidence is, in this order: another thread of its process; a process that it
descends from; a record of its cgroup whose process has ended, for children that lost their parent. Nothing that
started before our first write can have inherited from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.records import Held, Seen, ThreadRecord
from gthulhu_agent.enforcing.tasks import Tasks

_DEEPEST = 64
"""Generations that are walked up; a chain of shells is a handful."""


@dataclass(frozen=True, slots=True)
class Inherited:
    """Values of ours that a thread was born with; None where it was not."""

    slice: Held | None = None
    nice: Held | None = None


class Lineage:
    """Answers for one set of records."""

    def __init__(self, records: Iterable[ThreadRecord], tasks: Tasks) -> None:
        self._tasks = tasks
        self._by_process: dict[int, list[ThreadRecord]] = {}
        self._by_cgroup: dict[str, list[ThreadRecord]] = {}
        self._slices: set[int] = set()
        self._nices: set[int] = set()
        for record in records:
            self._by_process.setdefault(record.pid, []).append(record)
            if record.cgroup:
                self._by_cgroup.setdefault(record.cgroup, []).append(record)
            self._slices.update(record.slice.wrote if record.slice else ())
            self._nices.update(record.nice.wrote if record.nice else ())

    def inherited(self, thread: TaskId, pid: int, cgroup: str, *, slice_ns: int, nice: int) -> Inherited:
        """What of ``slice_ns`` and ``nice`` the thread has from us through a parent."""
        if slice_ns not in self._slices and nice not in self._nices:
            return Inherited()
        slice_held: Held | None = None
        nice_held: Held | None = None
        for record in self._relatives(thread, pid, cgroup):
            if thread.start < record.since:
                continue
            slice_held = slice_held or _ours(record.slice, slice_ns)
            nice_held = nice_held or _ours(record.nice, nice)
        return Inherited(slice_held, nice_held)

    def _relatives(self, thread: TaskId, pid: int, cgroup: str) -> Iterator[ThreadRecord]:
        yield from self._by_process.get(pid, ())
        for ancestor in ancestry(thread.tid, self._tasks):
            yield from self._by_process.get(ancestor, ())
        for record in self._by_cgroup.get(cgroup, ()):
            if self._tasks.start(record.id.tid) != record.id.start:
                yield record


def ancestry(pid: int, tasks: Tasks) -> Iterator[int]:
    """``pid``'s parent, and so on upwards; without the first process, of which everything descends."""
    ancestor = tasks.parent(pid)
    for _ in range(_DEEPEST):
        if ancestor <= 1:
            break
        yield ancestor
        ancestor = tasks.parent(ancestor)


def _ours(held: Held | None, now: int) -> Held | None:
    if held is None or held.seen(now) is not Seen.OURS or now == held.original:
        return None
    return Held(held.original, (now,))
