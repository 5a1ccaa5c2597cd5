"""When passes are due: intervals with jitter, cron lines of Debian's cron, sleep of the machine, and real alarms."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.loading import cron
from gthulhu_reconcile.runtime.clock import Clock, Cron, Interval

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday


def line(text: str, zone: str = "UTC") -> Callable[[datetime], datetime]:
    return lambda after: next(cron.instants(text, ZoneInfo(zone), after))


@given(st.floats(0, 1), st.integers(0, 1000), st.integers(0, 3600))
def test_an_interval_stays_within_its_jitter_and_never_lies_in_the_past(jitter: float, seed: int, late: int) -> None:
    every = timedelta(seconds=60)
    table = Interval(every, jitter, Random(seed))
    now = NOON + timedelta(seconds=late)
    due, missed = table.after(NOON, now)
    assert due > now
    begin = now if missed else NOON
    assert (
        every * (1 - jitter) - timedelta(milliseconds=1) <= due - begin <= every * (1 + jitter) + timedelta(seconds=1)
    )


def test_intervals_that_the_machine_slept_through_are_counted_and_do_not_come_in_a_bunch() -> None:
    due, missed = Interval(timedelta(seconds=60), 0, Random(1)).after(NOON, NOON + timedelta(minutes=10))
    assert missed == 9
    assert due == NOON + timedelta(minutes=11)


def test_weekday_0_and_7_are_sunday_as_in_debians_cron_and_1_is_monday() -> None:
    sunday, monday = NOON + timedelta(days=6), NOON + timedelta(days=7)
    assert Cron(line("0 12 * * 0"), 0, Random(1)).after(NOON, NOON) == (sunday, 0)
    assert Cron(line("0 12 * * 7"), 0, Random(1)).after(NOON, NOON) == (sunday, 0)
    assert Cron(line("0 12 * * 1"), 0, Random(1)).after(NOON, NOON) == (monday, 0)


def test_a_cron_line_is_right_over_daylight_saving() -> None:
    table = Cron(line("0 8 * * *", "Europe/Berlin"), 0, Random(1))
    before, _ = table.after(None, datetime(2026, 3, 28, 0, tzinfo=UTC))
    after, _ = table.after(before, before)
    assert (before.hour, after.hour) == (7, 6)


def test_cron_is_jittered_to_later_only_and_counts_what_was_slept_through() -> None:
    table = Cron(line("* * * * *"), 0.5, Random(1))
    for _ in range(50):
        due, missed = table.after(NOON, NOON)
        assert NOON + timedelta(minutes=1) <= due <= NOON + timedelta(minutes=1, seconds=30)
        assert missed == 0
    due, missed = table.after(NOON, NOON + timedelta(hours=1, seconds=1))
    assert missed == 60
    assert due > NOON + timedelta(hours=1, seconds=1)


def test_months_of_sleep_cost_no_time() -> None:
    now = NOON + timedelta(days=365)
    due, missed = Cron(line("* * * * *"), 0, Random(1)).after(NOON, now)
    assert missed == 1000
    assert due == now + timedelta(minutes=1)


class _Bell:
    """Counts rings and lets a test wait for one; with APScheduler's own, real time."""

    def __init__(self) -> None:
        self.rung: asyncio.Queue[str] = asyncio.Queue()

    def clock(self) -> Clock:
        return Clock(
            tick=lambda: self.rung.put_nowait("tick"),
            window=lambda: self.rung.put_nowait("window"),
            missed=lambda count: self.rung.put_nowait(f"missed {count}"),
        )


async def test_a_real_clock_ticks_again_and_again_in_the_event_loop_until_it_is_stopped() -> None:
    bell = _Bell()
    clock = bell.clock()
    clock.start(Interval(timedelta(milliseconds=20), 0.1, Random(1)))
    for _ in range(3):
        assert await bell.rung.get() in ("tick", "missed 1", "missed 2", "missed 3")
    clock.stop()
    await asyncio.sleep(0)
    while not bell.rung.empty():
        bell.rung.get_nowait()
    await asyncio.sleep(0.1)
    assert bell.rung.empty()


async def test_another_timetable_takes_the_place_of_the_former() -> None:
    bell = _Bell()
    clock = bell.clock()
    clock.start(Interval(timedelta(days=1), 0, Random(1)))
    clock.follow(Interval(timedelta(milliseconds=10), 0, Random(1)))
    assert (await bell.rung.get()).startswith(("tick", "missed"))
    clock.stop()


async def test_a_wake_up_rings_once_and_the_last_wish_counts() -> None:
    bell = _Bell()
    clock = bell.clock()
    clock.start(Interval(timedelta(days=1), 0, Random(1)))
    clock.wake_at(datetime.now(UTC) + timedelta(days=1))
    clock.wake_at(datetime.now(UTC) + timedelta(milliseconds=20))
    assert await bell.rung.get() == "window"
    clock.wake_at(None)
    clock.wake_at(datetime.now(UTC) + timedelta(milliseconds=20))
    clock.wake_at(None)
    await asyncio.sleep(0.1)
    assert bell.rung.empty()
    clock.stop()
