"""One thread's slice and nice: read, written as far as the kernel takes them, read back, and never to a stranger."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from dataclasses import dataclass, replace

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.enforcing.records import ThreadRecord
from gthulhu_agent.enforcing.refusing import not_kept, refused_thread
from gthulhu_agent.enforcing.sched_attr import FAIR, Ability, Attributes, Policy
from gthulhu_agent.enforcing.tasks import Tasks


@dataclass(frozen=True, slots=True)
class Write:
    """A write that is to happen.

    Attributes:
        thread: whose.
        before: what the kernel said when it was decided.
        nice: what shall stand.
        slice_ns: what shall stand, 0 for the default.
        former: what is remembered so far.
        during: what to remember before the write.
        after: what to remember once it has succeeded; None where everything is back as it was.
    """

    thread: TaskId
    before: Attributes
    nice: int
    slice_ns: int
    former: ThreadRecord | None
    during: ThreadRecord | None
    after: ThreadRecord | None

    @property
    def needs_memory(self) -> bool:
        """Whether it overwrites something that nobody would remember after a crash. Putting back never does."""
        return self.after is not None and self.during != self.former

    @property
    def changes(self) -> tuple[str, ...]:
        """Which of the two values it changes."""
        return tuple(self._changes())

    def _changes(self) -> Iterator[str]:
        if self.slice_ns != self.before.slice_ns:
            yield "slice"
        if self.nice != self.before.nice:
            yield "nice"


@dataclass(frozen=True, slots=True)
class Written:
    """What a write came to: the kernel's values after it (None where the thread ended), and its refusals."""

    now: Attributes | None
    refused: tuple[Refused, ...] = ()


class ThreadWriter:
    """Reads and writes threads by start time as well as by number.

    sched_setattr takes a number only. So the start time is compared on both sides of the write: between the first
    look and the write the number could pass to another thread, and then the second look sees it and gives that
    thread what its parent has. Start times count clock ticks (10 ms as a rule), so two threads could be taken for one
    only if the numbers went round once, 32768 at least, within a tick.
    """

    def __init__(self, tasks: Tasks, ability: Ability) -> None:
        self._tasks = tasks
        self._default = ability.default_slice_ns

    def read(self, tid: int) -> Attributes | None:
        """The thread's values, a default slice as 0, which is how it is written; None where it has ended.

        Raises:
            OSError: a security module keeps them to itself.
        """
        try:
            now = self._tasks.read(tid)
        except OSError as error:
            if error.errno == errno.ESRCH:
                return None
            raise
        return replace(now, slice_ns=0) if now.slice_ns == self._default else now

    def is_there(self, thread: TaskId) -> bool:
        """Whether this very thread still runs."""
        return self._tasks.start(thread.tid) == thread.start

    def put(self, write: Write) -> Written:
        """Write both values, or as much of them as the kernel takes."""
        if not self.is_there(write.thread):
            return Written(None)
        refused = self._try(write)
        now = self.read(write.thread.tid)
        if now is None or not self.is_there(write.thread):
            self._undo(write.thread.tid)
            return Written(None)
        named = {refusal.what for refusal in refused}
        if now.slice_ns != write.slice_ns and "slice" not in named:
            refused += (not_kept("slice", write.slice_ns, now.slice_ns),)
        if now.nice != write.nice and "nice" not in named:
            refused += (not_kept("nice", write.nice, now.nice),)
        return Written(now, refused)

    def _try(self, write: Write) -> tuple[Refused, ...]:
        tid, before = write.thread.tid, write.before
        try:
            self._tasks.write(tid, nice=write.nice, slice_ns=write.slice_ns)
        except OSError as error:
            if len(write.changes) == 1:
                return (refused_thread(write.changes[0], error),)
        else:
            return ()
        refused: list[Refused] = []
        # One refused value must not cost the other.
        for what, nice, slice_ns in (("slice", before.nice, write.slice_ns), ("nice", write.nice, before.slice_ns)):
            try:
                self._tasks.write(tid, nice=nice, slice_ns=slice_ns)
            except OSError as error:
                refused.append(refused_thread(what, error))
        return tuple(refused)

    def _undo(self, tid: int) -> None:
        if self._tasks.start(tid) is None:
            return
        # 0 is a parent outside of what this agent sees, and to the kernel the calling thread: the agent itself.
        pid = self._tasks.parent(tid)
        parent = self.read(pid) if pid else None
        like = parent if parent is not None and parent.policy in FAIR else Attributes(Policy.OTHER, 0, 0)
        try:
            self._tasks.write(tid, nice=like.nice, slice_ns=like.slice_ns)
        except OSError:
            return  # ended as well, or realtime and thus never written
