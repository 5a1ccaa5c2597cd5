"""Scheduling classes: what a schedule makes of a thread, in one word."""

from __future__ import annotations

from enum import StrEnum

from gthulhu_wire.intents import PRIORITY_MIN, Schedule

_BATCH_BELOW = -9


class Class(StrEnum):
    """The classes, strongest first. No schedule asks for ``system``: it is the scheduler's own."""

    SYSTEM = "system"
    LATENCY = "latency"
    NORMAL = "normal"
    BATCH = "batch"
    IDLE = "idle"


def class_of(schedule: Schedule) -> Class:
    """``preempt`` is latency, priority -20 idle, below -9 batch, anything else normal."""
    if schedule.preempt:
        return Class.LATENCY
    if schedule.priority <= PRIORITY_MIN:
        return Class.IDLE
    return Class.BATCH if schedule.priority < _BATCH_BELOW else Class.NORMAL
