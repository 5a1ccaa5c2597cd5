"""The service's clock: it only says that it is time, and never runs a pass itself.

APScheduler keeps the alarms; when each is due is worked out here, because its own reader of cron lines numbers
weekdays differently and its interval counts from the wall clock of the last firing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.date import DateTrigger

_TICK, _WINDOW = "tick", "window"
_CRON_SPREAD = timedelta(minutes=1)


class Timetable(Protocol):
    """When the next pass is due."""

    def after(self, previous: datetime | None, now: datetime) -> tuple[datetime, int]:
        """The next instant after ``now``, and how many instants since ``previous`` went by without a pass."""
        ...


class Interval:
    """Every so often, each time a random part earlier or later.

    Args:
        every: between two passes.
        jitter: part of ``every``, 0 to 1.
        rng: where the randomness comes from.
    """

    def __init__(self, every: timedelta, jitter: float, rng: Random) -> None:
        self._every = every
        self._jitter = jitter
        self._rng = rng

    def after(self, previous: datetime | None, now: datetime) -> tuple[datetime, int]:
        """Counted from ``now`` where the machine slept through instants, so that they do not come in a bunch."""
        spread = 1 + self._rng.uniform(-self._jitter, self._jitter)
        step = max(self._every * spread, timedelta(milliseconds=1))
        due = (previous or now) + step
        if due > now:
            return due, 0
        return now + step, max(1, (now - due) // self._every)


class Cron:
    """At the instants of a cron line, each a little later at random.

    Args:
        following: the first instant of the line after the given one.
        jitter: part of a minute, 0 to 1.
        rng: where the randomness comes from.
    """

    def __init__(self, following: Callable[[datetime], datetime], jitter: float, rng: Random) -> None:
        self._following = following
        self._jitter = jitter
        self._rng = rng

    def after(self, previous: datetime | None, now: datetime) -> tuple[datetime, int]:
        """Every instant of the line that lies between ``previous`` and ``now`` was missed."""
        missed = 0
        due = self._following(previous or now)
        while due <= now and missed < 1000:  # noqa: PLR2004 - a line of each minute after months of sleep
            missed += 1
            due = self._following(due)
        if due <= now:
            due = self._following(now)
        return due + _CRON_SPREAD * self._rng.uniform(0, self._jitter), missed


class _Trigger(BaseTrigger):  # type: ignore[misc] # APScheduler has no annotations
    """A timetable as APScheduler wants it."""

    def __init__(self, timetable: Timetable, missed: Callable[[int], None]) -> None:
        self._timetable = timetable
        self._missed = missed

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        due, missed = self._timetable.after(previous_fire_time, now)
        if missed:
            self._missed(missed)
        return due


class Clock:
    """Alarms for the next pass by the timetable and for the next time window.

    Args:
        tick: called when the timetable says so.
        window: called at the instant given to :meth:`wake_at`.
        missed: called with the number of instants that went by while the machine slept or the program hung.
    """

    def __init__(
        self, *, tick: Callable[[], object], window: Callable[[], object], missed: Callable[[int], None]
    ) -> None:
        self._ring = {_TICK: tick, _WINDOW: window}
        self._missed = missed
        self._scheduler = AsyncIOScheduler(
            timezone=UTC, job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1}
        )

    def start(self, timetable: Timetable) -> None:
        """Begin to tick."""
        self.follow(timetable)
        self._scheduler.start()

    def follow(self, timetable: Timetable) -> None:
        """Tick by another timetable from now on."""
        trigger = _Trigger(timetable, self._missed)
        self._scheduler.add_job(self._rung, trigger, args=[_TICK], id=_TICK, replace_existing=True)

    def wake_at(self, instant: datetime | None) -> None:
        """Ring once at ``instant``, in place of any earlier wish; None takes the wish back."""
        if instant is not None:
            trigger = DateTrigger(run_date=instant)
            self._scheduler.add_job(self._rung, trigger, args=[_WINDOW], id=_WINDOW, replace_existing=True)
        elif self._scheduler.get_job(_WINDOW) is not None:
            self._scheduler.remove_job(_WINDOW)

    def stop(self) -> None:
        """Ring no more."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    async def _rung(self, name: str) -> None:
        # A coroutine function runs in the event loop; APScheduler would hand any other one to a thread.
        self._ring[name]()
