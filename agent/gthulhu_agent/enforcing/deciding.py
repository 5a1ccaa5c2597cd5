"""What one thread shall have, and what to do about it: decided from what is wished, remembered and there. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.lineage import Inherited
from gthulhu_agent.enforcing.priorities import nice_at
from gthulhu_agent.enforcing.records import Held, Seen, ThreadRecord, hold
from gthulhu_agent.enforcing.sched_attr import Attributes
from gthulhu_agent.enforcing.thread_writing import Write


@dataclass(frozen=True, slots=True)
class Wish:
    """How one thread shall run; with neither slice nor priority, as its owner left it.

    Attributes:
        slice_ns: custom slice; None leaves the thread's own.
        priority: steps that nice carries; 0 leaves the thread's own nice.
    """

    thread: TaskId
    pid: int
    cgroup: str
    intent: IntentKey
    orphan: bool = False
    slice_ns: int | None = None
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What shall stand, and what to remember about it.

    Attributes:
        nice: what shall stand.
        slice_ns: what shall stand, 0 for the default.
        during: what to remember before it is written.
        after: what to remember once it stands; None where that is what the owner wants too.
        drifted: somebody else had changed what we had set.
    """

    nice: int
    slice_ns: int
    during: ThreadRecord | None
    after: ThreadRecord | None
    drifted: bool


@dataclass(frozen=True, slots=True)
class _Value:
    during: Held | None
    after: Held | None
    target: int
    drifted: bool = False


def decide(wish: Wish, now: Attributes, record: ThreadRecord | None, since: int) -> Decision:
    """What to do about a thread that says ``now``; ``since`` is for a record that does not exist yet."""
    since = record.since if record else since
    slice_ = _value(record.slice if record else None, now.slice_ns, _just(wish.slice_ns))
    nice = _value(record.nice if record else None, now.nice, _nice(wish.priority))
    return Decision(
        nice=nice.target,
        slice_ns=slice_.target,
        during=_record(wish, since, slice_.during, nice.during),
        after=_record(wish, since, slice_.after, nice.after),
        drifted=slice_.drifted or nice.drifted,
    )


def put_back(record: ThreadRecord, now: Attributes) -> Write:
    """The write that gives a thread its owner's values; it changes nothing where they stand."""
    slice_ns, nice = _value(record.slice, now.slice_ns, None).target, _value(record.nice, now.nice, None).target
    return Write(record.id, now, nice, slice_ns, record, record, None)


def stands(record: ThreadRecord, wish: Wish, now: Attributes) -> bool:
    """Whether everything is as it was left and as it is wished: what nearly every thread of nearly every round is."""
    if (record.intent, record.cgroup, record.orphan) != (wish.intent, wish.cgroup, wish.orphan):
        return False
    slice_, nice = record.slice, record.nice
    if slice_ is None or wish.slice_ns is None:
        if slice_ is not None or wish.slice_ns is not None:
            return False
    elif slice_.wrote != (wish.slice_ns,) or now.slice_ns != wish.slice_ns:
        return False
    if nice is None or not wish.priority:
        return nice is None and not wish.priority
    return nice.wrote == (now.nice,) and now.nice == nice_at(nice.original, wish.priority)


def born_record(wish: Wish, born: Inherited) -> ThreadRecord | None:
    """What is remembered about a thread that was born with values of ours; None where it was not."""
    return _record(wish, wish.thread.start, born.slice, born.nice)


def settled(record: ThreadRecord | None) -> ThreadRecord | None:
    """The record with no former writes to reckon with."""
    if record is None:
        return None
    slice_ = record.slice.settled() if record.slice else None
    nice = record.nice.settled() if record.nice else None
    return record if (slice_, nice) == (record.slice, record.nice) else replace(record, slice=slice_, nice=nice)


def reached(write: Write, *, slice_kept: bool, nice_kept: bool) -> ThreadRecord | None:
    """What to remember after a write of which the kernel may have refused a part: that part is as it was before."""
    kept = write.after or write.former
    if kept is None:
        return None
    of_slice, of_nice = (write.after if ok else write.former for ok in (slice_kept, nice_kept))
    slice_, nice = of_slice.slice if of_slice else None, of_nice.nice if of_nice else None
    return None if slice_ is None and nice is None else replace(kept, slice=slice_, nice=nice)


def _value(held: Held | None, now: int, target: Callable[[int], int] | None) -> _Value:
    if target is None:
        back = held.original if held is not None and held.seen(now) is Seen.OURS else now
        return _Value(held, None, back)
    wanted = hold(held, now, target)
    return _Value(wanted, wanted, wanted.wanted, held is not None and held.seen(now) is not Seen.OURS)


def _record(wish: Wish, since: int, slice_: Held | None, nice: Held | None) -> ThreadRecord | None:
    if slice_ is None and nice is None:
        return None
    return ThreadRecord(wish.thread, wish.pid, wish.cgroup, since, wish.intent, wish.orphan, slice_, nice)


def _just(value: int | None) -> Callable[[int], int] | None:
    return None if value is None else lambda _: value


def _nice(priority: int) -> Callable[[int], int] | None:
    return (lambda owner: nice_at(owner, priority)) if priority else None
