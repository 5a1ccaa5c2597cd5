"""Slices and nice values of threads: read, remembered, written, read back, put back.

A round goes ``look`` (read the kernel, decide, remember), then whoever owns the journal makes it durable, then
``write`` or, where it could not be made durable, ``abandon``; last ``release`` for what is held no more.
Cost of a round in which nothing changed: one sched_getattr and some 10 us of one CPU per thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.deciding import Wish, born_record, decide, put_back, reached, settled, stands
from gthulhu_agent.enforcing.lineage import Lineage, ancestry
from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.enforcing.records import ThreadRecord
from gthulhu_agent.enforcing.refusing import not_remembered, refused_thread
from gthulhu_agent.enforcing.sched_attr import FAIR, Attributes
from gthulhu_agent.enforcing.tasks import Tasks
from gthulhu_agent.enforcing.thread_writing import ThreadWriter, Write

_MOST_SWEEPS = 8
"""Rounds in which children of restored threads are looked for; each finds only what was forked during the last."""


@dataclass(frozen=True, slots=True)
class Found:
    """What became of one wish: what the kernel says now (None where it keeps that to itself), and what it refused."""

    attributes: Attributes | None
    refused: tuple[Refused, ...] = ()
    nice_from: int | None = None
    """The owner's nice value, where ours stands now."""

    @property
    def touchable(self) -> bool:
        """False for realtime, deadline and idle-policy threads."""
        return self.attributes is None or self.attributes.policy in FAIR


@dataclass(slots=True)
class Round:
    """What one apply did to threads."""

    found: dict[TaskId, Found] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)
    drifted: list[TaskId] = field(default_factory=list)
    threads_set: int = 0
    restored: int = 0
    adopted: int = 0
    refusals: list[Refused] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the journal has anything new to learn. A child born right is not: its parent is there."""
        return bool(self.writes or self.restored or self.adopted)


class Threads:
    """Works on the ``records`` that the journal saves; see the module for the order of calls."""

    def __init__(self, tasks: Tasks, records: dict[TaskId, ThreadRecord]) -> None:
        self._tasks = tasks
        self._records = records
        self._judged: set[TaskId] = set()

    def look(
        self,
        wishes: Sequence[Wish],
        bystanders: Iterable[Wish],
        present: Collection[IntentKey],
        writer: ThreadWriter,
    ) -> Round:
        """Decide for each wished thread, and for those of the same groups that no rule takes.

        The latter are looked at once: if they were born with values of ours, they get their parent's original ones,
        unless their parent is an orphan itself: then they stay as they are too.
        """
        done = Round()
        lineage: Lineage | None = None
        of_present: Lineage | None = None
        held = {wish.thread for wish in wishes}
        if any(thread in held and _is_orphaned(record, present) for thread, record in self._records.items()):
            self._judged.clear()  # an orphan is taken up again: its children are to be judged as another's now
        decided: list[tuple[Wish, Attributes, ThreadRecord | None]] = []
        # All of descent first: deciding changes the records that it is judged by.
        for wish in (*wishes, *self._unjudged(bystanders)):
            now = _read(wish, writer, done)
            if now is None:
                continue
            record = self._records.get(wish.thread)
            if record is None and self._records and now.policy in FAIR:
                if wish.thread in held:
                    family = lineage = lineage or Lineage(self._records.values(), self._tasks)
                else:
                    family = of_present = of_present or Lineage(self._records_of(present, held), self._tasks)
                record = _born(wish, now, family)
            decided.append((wish, now, record))
        for wish, now, record in decided:
            self._decide(wish, now, record, done)
        return done

    def look_at_new(self, wishes: Sequence[Wish], writer: ThreadWriter) -> Round:
        """Decide for each wished thread, and judge nobody else by it: at the cost of these threads alone."""
        done = Round()
        family = Lineage(self._family_records(wishes), self._tasks) if self._records else None
        for wish in wishes:
            now = _read(wish, writer, done)
            if now is None:
                continue
            record = self._records.get(wish.thread)
            if record is None and family is not None and now.policy in FAIR:
                record = _born(wish, now, family)
            self._decide(wish, now, record, done)
        return done

    def abandon(self, done: Round, error: OSError) -> None:
        """Drop those writes that the journal would have to know and cannot."""
        dropped = [write for write in done.writes if write.needs_memory]
        done.writes = [write for write in done.writes if not write.needs_memory]
        for write in dropped:
            self._remember(write.thread, write.former)
            found = done.found[write.thread]
            refused = tuple(not_remembered(what, error) for what in write.changes)
            done.found[write.thread] = replace(found, refused=(*found.refused, *refused))
            done.refusals += refused

    def write(self, done: Round, writer: ThreadWriter) -> None:
        """Carry out what ``look`` decided, after the journal has it."""
        for write in done.writes:
            written = writer.put(write)
            done.refusals += written.refused
            now = written.now
            if now is None:
                self._remember(write.thread, None)
                del done.found[write.thread]
                continue
            slice_kept, nice_kept = now.slice_ns == write.slice_ns, now.nice == write.nice
            self._remember(write.thread, reached(write, slice_kept=slice_kept, nice_kept=nice_kept))
            if slice_kept and nice_kept:
                done.threads_set += write.after is not None
                done.restored += write.after is None
            nice_from = done.found[write.thread].nice_from if nice_kept else None
            done.found[write.thread] = Found(now, written.refused, nice_from)

    def release(
        self,
        kept: Collection[TaskId],
        present: Collection[IntentKey],
        writer: ThreadWriter,
        done: Round,
        *,
        everything: bool,
    ) -> list[ThreadRecord]:
        """Put back every remembered thread that is not in ``kept``; those that need it no more.

        Orphans, whose intent is not ``present``, stay as they are and remembered, unless ``everything`` goes back.
        What cannot be put back now (a thread that has become realtime) stays remembered too.
        """
        released: list[ThreadRecord] = []
        for record in [record for record in self._records.values() if record.id not in kept]:
            if _is_orphaned(record, present) and not everything:
                continue
            if self._restore(record, writer, done):
                self._remember(record.id, None)
                released.append(record)
        return released

    def sweep(
        self,
        released: Sequence[ThreadRecord],
        members: Callable[[str], Iterable[int]],
        writer: ThreadWriter,
        done: Round,
    ) -> None:
        """Put back children of ``released`` that nobody has seen yet.

        Their parents are back to normal, so what is forked from now on is right by itself; what was forked before
        is looked for until nothing is found.
        """
        if not released:
            return
        lineage = Lineage(released, self._tasks)
        scopes = {record.cgroup for record in released if record.cgroup}
        processes = {record.pid for record in released}
        seen = {record.id.tid for record in released} | {thread.tid for thread in self._records}
        for _ in range(_MOST_SWEEPS):
            strays = {tid: "" for pid in processes for tid in self._tasks.family(pid)}
            strays.update((tid, scope) for scope in scopes for tid in members(scope))
            fresh = sorted(strays.keys() - seen)
            if not fresh:
                return
            for tid in fresh:
                self._restore_stray(tid, strays[tid], lineage, writer, done)
            seen.update(fresh)

    def forget_dead(
        self,
        alive: Collection[TaskId],
        present: Collection[IntentKey],
        members: Callable[[str], Iterable[int]],
        writer: ThreadWriter,
        done: Round,
    ) -> None:
        """Drop what is remembered about threads that have ended; ``alive`` are known not to have.

        Children of orphans are in no wish, so it is here that they take over what is remembered of their parent.
        """
        dead = [thread for thread in self._records if thread not in alive and not writer.is_there(thread)]
        orphans = [self._records[thread] for thread in dead if _is_orphaned(self._records[thread], present)]
        self._adopt(orphans, members, writer, done)
        for thread in dead:
            del self._records[thread]

    def _family_records(self, wishes: Sequence[Wish]) -> list[ThreadRecord]:
        """The records that :class:`Lineage` could ask about ``wishes``; of thousands they are a few."""
        cgroups = {wish.cgroup for wish in wishes if wish.cgroup}
        processes = {wish.pid for wish in wishes}
        processes |= {pid for child in tuple(processes) for pid in ancestry(child, self._tasks)}
        return [record for record in self._records.values() if record.cgroup in cgroups or record.pid in processes]

    def _records_of(self, present: Collection[IntentKey], held: Collection[TaskId]) -> Iterable[ThreadRecord]:
        return (record for record in self._records.values() if record.id in held or not _is_orphaned(record, present))

    def _adopt(
        self,
        dead: Sequence[ThreadRecord],
        members: Callable[[str], Iterable[int]],
        writer: ThreadWriter,
        done: Round,
    ) -> None:
        if not dead:
            return
        lineage = Lineage(dead, self._tasks)
        known = {thread.tid for thread in self._records}
        homes = {record.cgroup: record for record in dead if record.cgroup}
        for cgroup, parent in homes.items():
            for tid in members(cgroup):
                stray = None if tid in known else self._stray(tid, cgroup, parent.intent, lineage, writer)
                if stray is not None:
                    self._remember(stray.id, replace(stray, orphan=True))
                    done.adopted += 1

    def _unjudged(self, bystanders: Iterable[Wish]) -> list[Wish]:
        everyone = {wish.thread: wish for wish in bystanders}
        known = self._judged | self._records.keys()
        self._judged = set(everyone)
        return [wish for thread, wish in everyone.items() if thread not in known]

    def _decide(self, wish: Wish, now: Attributes, record: ThreadRecord | None, done: Round) -> None:
        if now.policy not in FAIR:
            done.found[wish.thread] = Found(now)
            return
        if record is not None and stands(record, wish, now):
            done.found[wish.thread] = Found(now, nice_from=record.nice.original if record.nice else None)
            self._records[wish.thread] = record
            return
        decision = decide(wish, now, record, self._tasks.clock())
        if decision.drifted:
            done.drifted.append(wish.thread)
        after = decision.after
        done.found[wish.thread] = Found(now, nice_from=after.nice.original if after and after.nice else None)
        if (decision.slice_ns, decision.nice) == (now.slice_ns, now.nice):
            self._remember(wish.thread, settled(after))
            return
        former = self._records.get(wish.thread)
        self._remember(wish.thread, decision.during)
        done.writes.append(Write(wish.thread, now, decision.nice, decision.slice_ns, former, decision.during, after))

    def _restore(self, record: ThreadRecord, writer: ThreadWriter, done: Round) -> bool:
        try:
            now = writer.read(record.id.tid) if writer.is_there(record.id) else None
        except OSError:
            return False
        if now is None:
            return True
        if now.policy not in FAIR:
            return False
        write = put_back(record, now)
        if not write.changes:
            return True
        written = writer.put(write)
        done.refusals += written.refused
        done.restored += not written.refused
        return not written.refused

    def _restore_stray(self, tid: int, cgroup: str, lineage: Lineage, writer: ThreadWriter, done: Round) -> None:
        record = self._stray(tid, cgroup, ("", "", ""), lineage, writer)
        if record is not None:
            self._restore(record, writer, done)

    def _stray(
        self, tid: int, cgroup: str, intent: IntentKey, lineage: Lineage, writer: ThreadWriter
    ) -> ThreadRecord | None:
        try:
            start, now = self._tasks.start(tid), writer.read(tid)
        except OSError:
            return None
        if start is None or now is None or now.policy not in FAIR:
            return None
        return _born(Wish(TaskId(tid, start), self._tasks.process(tid), cgroup, intent), now, lineage)

    def _remember(self, thread: TaskId, record: ThreadRecord | None) -> None:
        if record is None:
            self._records.pop(thread, None)
        else:
            self._records[thread] = record


def _read(wish: Wish, writer: ThreadWriter, done: Round) -> Attributes | None:
    """What the kernel says of the thread; None where it has ended, or where that is refused, which is noted."""
    try:
        return writer.read(wish.thread.tid)
    except OSError as error:
        done.found[wish.thread] = Found(None, (refused_thread("slice", error),))
        return None


def _is_orphaned(record: ThreadRecord, present: Collection[IntentKey]) -> bool:
    """Whether it is left as it is: what its intent holds no more goes back as long as that is in the set itself."""
    return record.orphan and record.intent not in present


def _born(wish: Wish, now: Attributes, family: Lineage) -> ThreadRecord | None:
    """What is to be remembered of a thread that nothing is remembered of: what it has from its ``family``."""
    born = family.inherited(wish.thread, wish.pid, wish.cgroup, slice_ns=now.slice_ns, nice=now.nice)
    return born_record(wish, born)
