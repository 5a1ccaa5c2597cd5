"""Time windows and suspensions: which policies hold at an instant, and when that changes next.

A window begins at each instant of its cron line and lasts its duration in elapsed time, whatever clocks do
meanwhile. Windows that touch or overlap are one: a policy whose window begins daily and lasts 30 hours holds always.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gthulhu_reconcile.loading import cron, zones
from gthulhu_reconcile.model.policy import Candidate, Policy, Standing, Window

_MAX_STEPS = 5_000
_HORIZON = timedelta(days=366)
_WALK = timedelta(hours=1)
"""From one beginning to the next; over longer times the last one is found by halves: a year has half a million."""
_GRAINS = tuple(timedelta(hours=hours) for hours in (1, 6, 24, 32 * 24))
_MARGIN = timedelta(days=2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Span:
    """A time in which a window is open; ``closes`` False: it is open then too, and one did not look further."""

    end: datetime
    closes: bool


def candidates(policies: Sequence[Policy], at: datetime) -> tuple[Candidate, ...]:
    """Each policy with its standing at ``at``, which must be aware; in the order of ``policies``.

    A candidate's ``ends_at`` is the end of the window it is in. For a window that does not close within a year or
    5,000 beginnings it is an instant, far ahead, at which the window is open for certain: rather one that a later plan
    puts off than none, with which an agent that nobody reaches any more would never stop. It moves in large steps, so
    that few plans change for it.
    """
    return tuple(_candidate(policy, at.astimezone(UTC)) for policy in policies)


def next_change(policies: Sequence[Policy], at: datetime) -> datetime | None:
    """The first instant after ``at`` at which a policy's standing changes, in UTC; None where none ever does.

    For a window whose close is not known, an instant well before its ``ends_at``, by which that can be put off.
    """
    now = at.astimezone(UTC)
    return min((instant for policy in policies for instant in _changes(policy, now)), default=None)


def _candidate(policy: Policy, at: datetime) -> Candidate:
    suspension = policy.suspension
    if suspension is not None and (suspension.until is None or at.timestamp() < suspension.until):
        return Candidate(policy, Standing.SUSPENDED)
    if policy.window is None:
        return Candidate(policy)
    span = _open(policy.window, at)
    if span is None:
        return Candidate(policy, Standing.INACTIVE)
    return Candidate(policy, Standing.ACTIVE, int(span.end.timestamp()))


def _changes(policy: Policy, at: datetime) -> Iterator[datetime]:
    suspension = policy.suspension
    if suspension is not None:
        if suspension.until is None:
            return
        if at.timestamp() < suspension.until:
            yield datetime.fromtimestamp(suspension.until, tz=UTC)
            return
    if policy.window is not None:
        span = _open(policy.window, at)
        if span is not None:
            yield span.end if span.closes else at + (span.end - at) / 2
        elif (begin := next(_begins(policy.window, at), None)) is not None:
            yield begin


def _begins(window: Window, after: datetime) -> Iterator[datetime]:
    zone = zones.zone(window.time_zone)
    if zone is None:
        # Judged when it was loaded; the zone's file has gone since. Not knowing when it begins, it does not.
        return iter(())
    return cron.instants(window.cron, zone, after)


def _open(window: Window, at: datetime) -> _Span | None:
    begin = _running_since(window, at)
    return None if begin is None else _span(window, begin)


def _running_since(window: Window, at: datetime) -> datetime | None:
    """The last beginning of a window that is open at ``at``."""
    duration = timedelta(seconds=window.duration_seconds)
    begin = _next_begin(window, at - min(duration, at - datetime.min.replace(tzinfo=UTC) - _MARGIN))
    if begin is None or begin > at:
        return None
    quiet_from = at  # no beginning lies between this and ``at``
    while quiet_from - begin > _WALK:
        middle = begin + (quiet_from - begin) / 2
        later = _next_begin(window, middle)
        if later is None or later > quiet_from:
            quiet_from = middle
        else:
            begin = later
    for following in _begins(window, begin):
        if following > quiet_from:
            break
        begin = following
    return begin


def _next_begin(window: Window, after: datetime) -> datetime | None:
    return next(_begins(window, after), None)


@lru_cache(maxsize=4096)
def _span(window: Window, begin: datetime) -> _Span:
    duration = timedelta(seconds=window.duration_seconds)
    end, horizon = _later(begin, duration), _later(begin, _HORIZON)
    for step, following in enumerate(_begins(window, begin)):
        if following > end:
            break
        if step == _MAX_STEPS or following > horizon:
            return _Span(_coarse(begin, end), closes=False)
        end = _later(following, duration)
    return _Span(end, closes=True)


def _coarse(begin: datetime, end: datetime) -> datetime:
    """``end``, earlier by less than a quarter of the span, so that it stays the same while ``begin`` moves a little.

    It is after the second beginning, and so after every instant that the span of ``begin`` is asked for.
    """
    grain = max((grain for grain in _GRAINS if grain <= (end - begin) / 4), default=timedelta(seconds=1))
    return end - (end - _EPOCH) % grain


def _later(instant: datetime, by: timedelta) -> datetime:
    last = datetime.max.replace(tzinfo=UTC, microsecond=0)
    return last if instant > last - by else instant + by
