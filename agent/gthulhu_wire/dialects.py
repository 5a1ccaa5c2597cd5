"""Other parties' scales of priority, translated here and nowhere else.

Inside there is one scale, -20 to 20, higher is stronger. Gthulhu has three, which contradict each other
(docs/decision-maker.md has the tables). What a scale cannot carry is clamped, and the note says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from gthulhu_wire.intents import PRIORITY_MAX, PRIORITY_MIN, TIME_SLICE_MAX_NS, TIME_SLICE_MIN_NS, Schedule

_KERNEL_WEAKEST = 20
_KERNEL_LAST_PREEMPTING = 9


class Dialect(StrEnum):
    """Whose scale a listener's callers speak."""

    PRIORITY = "priority"
    """Ours: -20 to 20, higher is stronger, 0 is normal."""
    KERNEL = "kernel"
    """Gthulhu's scheduler in kernel mode: 1 to 20, lower is stronger, 1 to 9 preempt; 0 sets the slice alone."""
    USER = "user"
    """Gthulhu's scheduler in user-space mode: any number above 0 goes to the front; 0 sets the slice alone."""
    BOOL = "bool"
    """The older BSS API: true goes to the front; false sets the slice alone."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What was said, on our scale. ``notes`` tell what could not be taken as it was said, and as what it was taken."""

    schedule: Schedule
    notes: tuple[str, ...] = ()


def hear(dialect: Dialect, priority: int, execution_time: int) -> Heard:
    """What ``priority`` on the scale of ``dialect`` and ``execution_time`` (nanoseconds, 0 is none) mean here.

    Kernel mode's 0 is what clients send who left the field out. The scheduler took it for the strongest level there
    is until Gthulhu's change 137 made it mean nothing; so it does here.
    """
    notes: list[str] = []
    level, preempt = _LEVELS[dialect](priority, notes)
    return Heard(Schedule(level, _slice(execution_time, notes), preempt), tuple(notes))


def clamped(dialect: Dialect, priority: int) -> int:
    """``priority`` as :func:`hear` takes it, on the scale of ``dialect`` still: 20 stays 20 where 19 means the same."""
    match dialect:
        case Dialect.PRIORITY:
            return min(max(priority, PRIORITY_MIN), PRIORITY_MAX)
        case Dialect.KERNEL:
            return min(max(priority, 0), _KERNEL_WEAKEST)
        case Dialect.USER | Dialect.BOOL:
            return max(priority, 0)


def speak(dialect: Dialect, schedule: Schedule) -> int:
    """The number of ``dialect`` that comes nearest to ``schedule``; weaker than normal has none and is 0."""
    match dialect:
        case Dialect.PRIORITY:
            return schedule.priority
        case Dialect.KERNEL if schedule.preempt:
            return min(max(_KERNEL_WEAKEST - schedule.priority, 1), _KERNEL_LAST_PREEMPTING)
        case Dialect.KERNEL if schedule.priority > 0:
            return min(max(_KERNEL_WEAKEST - schedule.priority, _KERNEL_LAST_PREEMPTING + 1), _KERNEL_WEAKEST)
        case Dialect.KERNEL:
            return 0
        case Dialect.USER | Dialect.BOOL:
            return int(schedule.preempt or schedule.priority > 0)


def _own(said: int, notes: list[str]) -> tuple[int, bool]:
    taken = min(max(said, PRIORITY_MIN), PRIORITY_MAX)
    if taken != said:
        notes.append(f"priority {said} is outside of {PRIORITY_MIN} to {PRIORITY_MAX}; taken as {taken}")
    return taken, False


def _kernel(said: int, notes: list[str]) -> tuple[int, bool]:
    if said < 0:
        notes.append(f"priority {said} is below 0; taken as 0, which sets the time slice alone")
    elif said > _KERNEL_WEAKEST:
        notes.append(f"priority {said} is above {_KERNEL_WEAKEST}; taken as {_KERNEL_WEAKEST}, the weakest")
    if said <= 0:
        return 0, False
    # The two weakest levels share priority 1: 0 would be what a thread without any policy has.
    return max(PRIORITY_MAX - min(said, _KERNEL_WEAKEST), 1), said <= _KERNEL_LAST_PREEMPTING


def _front(said: int, notes: list[str]) -> tuple[int, bool]:
    if said < 0:
        notes.append(f"priority {said} is below 0; taken as 0, which sets the time slice alone")
    return PRIORITY_MAX if said > 0 else 0, False


_LEVELS = {Dialect.PRIORITY: _own, Dialect.KERNEL: _kernel, Dialect.USER: _front, Dialect.BOOL: _front}


def _slice(said: int, notes: list[str]) -> int | None:
    if said == 0:
        return None
    if said < 0:
        notes.append(f"executionTime {said} ns is negative; the kernel's own time slice is left")
        return None
    taken = min(max(said, TIME_SLICE_MIN_NS), TIME_SLICE_MAX_NS)
    if taken != said:
        notes.append(f"executionTime {said} ns is outside of 100 us to 100 ms; taken as {taken} ns")
    return taken
