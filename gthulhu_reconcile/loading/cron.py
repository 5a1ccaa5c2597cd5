"""Cron lines, read as Debian's cron does. The only module that knows the library.

Where clocks go forward, an instant that is left out happens right after the gap; where they go back, one that is
there twice happens the first time. Lines whose minute or hour begins with ``*`` run on in elapsed time instead.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

_FIELDS = 5
_MARGIN = timedelta(hours=25)
"""The longest jump of any zone's clock, and an hour."""
_REFERENCE = datetime(2024, 1, 1, tzinfo=UTC)
_LENGTHS = {month: {monthrange(year, month)[1] for year in (2023, 2024)} for month in range(1, 13)}
_KINDS = {
    (monthrange(year, month)[1], date(year, month, 1).weekday()): date(year, month, 1)
    for year in range(2024, 2052)
    for month in range(1, 13)
}
"""A month of each length, in days, that begins on each weekday."""
_FOREIGN_ERRORS = (CronSimError, AssertionError, TypeError, ValueError, OverflowError, RecursionError)
"""What the library raises for lines that are none; the later ones are slips of its parser."""


def problem(line: str) -> str:
    """What is wrong with a cron line; empty where it is right."""
    count = len(line.split())
    if count != _FIELDS:
        return f"needs {_FIELDS} fields and has {count}"
    try:
        simulation = CronSim(line, _REFERENCE)
    except _FOREIGN_ERRORS as error:
        reason = str(error) if isinstance(error, CronSimError) else ""
        return f"{reason[:1].lower()}{reason[1:]}" if reason else "cannot be read"
    return "" if _comes(simulation) else "never comes"


def _comes(simulation: CronSim) -> bool:
    """Whether a day fits the line.

    The library would walk through fifty years to find none; but months of one length that begin on the same weekday
    are all alike to a cron line, and there are only 28 kinds of them, of which each comes in 28 years.
    """
    lengths = {length for month in simulation.months for length in _LENGTHS[month]}
    return any(
        simulation.match_day(first + timedelta(days=day))
        for (length, _), first in _KINDS.items()
        if length in lengths
        for day in range(length)
    )


def instants(line: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
    """The instants of a right cron line that are later than ``after``, in UTC, ascending, each once."""
    simulation = CronSim(line, after.astimezone(zone))
    if simulation.fixup_tz is not None:
        # Beside a change of the clock the library counts in local time, and would lose or repeat what lies in it.
        simulation = CronSim(line, (after - _MARGIN).astimezone(zone))
    last = after
    while True:
        try:
            instant = next(simulation).astimezone(UTC)
        except (StopIteration, OverflowError, ValueError):
            return  # never again, or not before the end of the calendar
        if instant > last:
            last = instant
            yield instant
