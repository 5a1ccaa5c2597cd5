"""From priority and slice of a schedule to what EEVDF takes, and back to what was reached."""

from __future__ import annotations

import math

from gthulhu_agent.enforcing.sched_attr import NICE_MAX, NICE_MIN
from gthulhu_wire.intents import PRIORITY_MAX, PRIORITY_MIN, TIME_SLICE_MAX_NS, TIME_SLICE_MIN_NS, Schedule

STEP = 1.25
"""Weight of one priority step, as of one nice step (kernel/sched/core.c, sched_prio_to_weight)."""


def scaled(owner: int, priority: int, low: int, high: int) -> int:
    """The weight that ``owner`` becomes at ``priority``, in the same unit, within what the kernel takes."""
    return max(low, min(high, round(owner * STEP**priority)))


def steps_between(owner: int, reached: int) -> int:
    """The priority that ``reached`` stands for, seen from ``owner``: 0 where the scale left no room."""
    steps = round(math.log(max(reached, 1) / max(owner, 1), STEP))
    return max(PRIORITY_MIN, min(PRIORITY_MAX, steps))


def nice_at(owner: int, priority: int) -> int:
    """The nice value that ``owner`` becomes at ``priority``; stronger is lower."""
    return max(NICE_MIN, min(NICE_MAX, owner - priority))


def slice_of(schedule: Schedule) -> int | None:
    """The custom slice in nanoseconds that ``schedule`` asks EEVDF for; None leaves the thread's own.

    Under EEVDF a short slice is what makes a waking thread run soon: ``preempt`` asks for the shortest there is,
    whatever the time slice says.
    """
    if schedule.preempt:
        return TIME_SLICE_MIN_NS
    if schedule.time_slice_ns is None:
        return None
    return max(TIME_SLICE_MIN_NS, min(TIME_SLICE_MAX_NS, schedule.time_slice_ns))
