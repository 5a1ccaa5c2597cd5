"""Time windows: right over changes of daylight saving, over overlaps, and at the edges of months."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from policy_texts import only_policy, scheduling_policy

from gthulhu_reconcile.loading import cron, zones
from gthulhu_reconcile.loading.windows import candidates, next_change
from gthulhu_reconcile.model.policy import Policy, Standing


def windowed(line: str, duration: str, zone: str = "Europe/Berlin", more: str = "") -> Policy:
    """A policy with a window."""
    active = f'{{cron: "{line}", duration: {duration}, timeZone: {zone}}}'
    return only_policy(scheduling_policy(schedule=f"{{priority: 1, active: {active}}}", more=more))


def utc(text: str) -> datetime:
    """An instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ends(policy: Policy, at: str) -> str | None:
    """Until when the policy holds at an instant: "" where it does not, None where no end is in sight."""
    (candidate,) = candidates([policy], utc(at))
    if candidate.standing is not Standing.ACTIVE:
        return ""
    if candidate.ends_at is None:
        return None
    return datetime.fromtimestamp(candidate.ends_at, tz=UTC).strftime("%Y-%m-%dT%H:%M")


def begins(line: str, zone: str, after: str, count: int) -> list[str]:
    """The next beginnings of a cron line, in UTC."""
    found = cron.instants(line, zones.zone(zone) or UTC, utc(after))
    return [next(found).strftime("%m-%dT%H:%M") for _ in range(count)]


@pytest.mark.parametrize(
    ("line", "zone", "after", "expected"),
    [
        ("0 8 * * *", "Europe/Berlin", "2026-03-27T12:00", ["03-28T07:00", "03-29T06:00", "03-30T06:00"]),
        ("0 8 * * *", "Europe/Berlin", "2026-10-23T12:00", ["10-24T06:00", "10-25T07:00", "10-26T07:00"]),
        # 02:30 is left out on 29 March; it happens when the clock is at 03:00.
        ("30 2 * * *", "Europe/Berlin", "2026-03-27T12:00", ["03-28T01:30", "03-29T01:00", "03-30T00:30"]),
        # 02:30 is there twice on 25 October; it happens the first time only, whenever one begins to look.
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25T00:30", "10-26T01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:45", ["10-26T01:30"]),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T01:15", ["10-26T01:30"]),
        ("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["10-25T00:00", "10-25T00:30", "10-25T01:00"]),
        # Midnight was left out on 4 November 2018 in São Paulo, and 23:30 was there twice on 17 February.
        ("0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00", ["11-04T03:00", "11-05T02:00"]),
        ("30 23 * * *", "America/Sao_Paulo", "2018-02-17T12:00", ["02-18T01:30", "02-19T02:30"]),
        # Half an hour only.
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00", ["10-03T15:30", "10-04T15:15"]),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00", ["02-29T00:00", "02-29T00:00"]),
        ("0 0 L * *", "UTC", "2026-01-30T00:00", ["01-31T00:00", "02-28T00:00", "03-31T00:00"]),
        ("0 0 31 * *", "UTC", "2026-01-31T00:00", ["03-31T00:00", "05-31T00:00"]),
        # Debian: where day of month and weekday are both given, either will do.
        ("0 0 13 * 5", "UTC", "2026-02-01T00:00", ["02-06T00:00", "02-13T00:00", "02-20T00:00"]),
        ("0 0 * * 7", "UTC", "2026-02-01T00:00", ["02-08T00:00"]),
    ],
)
def test_beginnings(line: str, zone: str, after: str, expected: list[str]) -> None:
    assert begins(line, zone, after, len(expected)) == expected


@pytest.mark.parametrize(
    ("at", "end"),
    [
        ("2026-03-27T06:59:59", ""),
        ("2026-03-27T07:00", "2026-03-27T17:00"),
        ("2026-03-27T16:59:59", "2026-03-27T17:00"),
        ("2026-03-27T17:00", ""),
        ("2026-03-30T05:59:59", ""),
        ("2026-03-30T06:00", "2026-03-30T16:00"),
        ("2026-03-30T16:00", ""),
        ("2026-10-26T07:00", "2026-10-26T17:00"),
    ],
)
def test_office_hours_follow_the_clock_on_the_wall(at: str, end: str) -> None:
    assert ends(windowed("0 8 * * 1-5", "10h"), at) == end


@pytest.mark.parametrize(
    ("line", "duration", "at", "end"),
    [
        # Four hours across the spring change end at 05:00 on the wall, across the autumn change at 03:00.
        ("0 0 * * *", "4h", "2026-03-29T00:30", "2026-03-29T03:00"),
        ("0 0 * * *", "4h", "2026-10-25T01:30", "2026-10-25T02:00"),
        ("0 0 * * *", "4h", "2026-10-25T02:00", ""),
    ],
)
def test_a_window_lasts_its_elapsed_time_across_a_change(line: str, duration: str, at: str, end: str) -> None:
    assert ends(windowed(line, duration), at) == end


def test_a_day_long_window_every_day_has_a_gap_in_the_longest_day_only() -> None:
    daily = windowed("0 0 * * *", "24h")
    assert ends(daily, "2026-10-24T12:00") == "2026-10-25T22:00"
    assert ends(daily, "2026-10-25T22:30") == ""
    assert "2027-09" < (ends(daily, "2026-10-25T23:00") or "") <= "2027-10-31T22:00"
    assert ends(daily, "2026-12-01T00:00") == "2027-10-31T22:00"


def test_windows_longer_than_their_period_are_one() -> None:
    assert ends(windowed("0 0 * * 1-3", "30h", "UTC"), "2026-06-01T12:00") == "2026-06-04T06:00"
    assert ends(windowed("*/5 8-9 * * *", "10m", "UTC"), "2026-06-01T09:00") == "2026-06-01T10:05"


ENDLESS = (("0 0 * * *", "30h"), ("0 0 1 * *", "366d"), ("* * * * *", "1m"), ("* * * * *", "366d"))


@pytest.mark.parametrize(("line", "duration"), ENDLESS)
def test_a_window_that_never_closes_had_no_end_and_could_not_end_without_us(line: str, duration: str) -> None:
    policy = windowed(line, duration)
    at = utc("2026-06-15T12:00")
    found = set()
    for hours in range(0, 48, 4):
        now = at + timedelta(hours=hours)
        ends_at = candidates([policy], now)[0].ends_at
        assert ends_at is not None
        assert ends_at - now.timestamp() > 2 * 86_400
        woken = next_change([policy], now)
        assert woken is not None
        assert now.timestamp() + 86_400 < woken.timestamp() < ends_at - 86_400
        found.add(ends_at)
    assert len(found) <= 9  # not another end, and with it another plan, in every pass


@settings(max_examples=15, deadline=None)
@given(minutes=st.integers(0, 7 * 1440 - 1))
def test_a_window_joined_from_more_beginnings_than_are_looked_at_lost_its_end(minutes: int) -> None:
    policy = windowed("* * * * 1-5", "1m", "UTC")
    monday, saturday = utc("2026-06-01T00:00"), utc("2026-06-06T00:00")
    at = monday + timedelta(minutes=minutes)
    (candidate,) = candidates([policy], at)
    if at >= saturday:
        assert candidate.standing is Standing.INACTIVE
        return
    assert candidate.ends_at is not None
    assert at.timestamp() < candidate.ends_at <= saturday.timestamp()
    if saturday - at < timedelta(minutes=5_000):
        assert candidate.ends_at == saturday.timestamp()


def test_a_beginning_long_ago_was_looked_for_minute_by_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = windowed("* * * 1-10 *", "366d")
    at = utc("2026-12-31T12:00")
    steps: list[datetime] = []
    monkeypatch.setattr(cron, "instants", counting(cron.instants, steps))
    assert next_change([policy], at) is not None
    assert len(steps) < 6_000


def counting(
    instants: Callable[[str, tzinfo, datetime], Iterator[datetime]], steps: list[datetime]
) -> Callable[[str, tzinfo, datetime], Iterator[datetime]]:
    """``instants``, which notes each that it gives in ``steps``."""

    def counted(line: str, zone: tzinfo, after: datetime) -> Iterator[datetime]:
        for instant in instants(line, zone, after):
            steps.append(instant)
            yield instant

    return counted


@settings(max_examples=30, deadline=None)
@given(
    line=st.sampled_from(["*/7 * * 3-9 *", "* 1-3 * * *", "0 0 29 2 *", "30 2 * * 0", "5,50 */9 1-9 * *"]),
    zone=st.sampled_from(["UTC", "Europe/Berlin", "Australia/Lord_Howe"]),
    days=st.integers(1, 60),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda found: found.replace(tzinfo=UTC)),  # noqa: DTZ001 - given UTC right after
)
def test_the_last_beginning_is_that_which_walking_finds(line: str, zone: str, days: int, at: datetime) -> None:
    walked = None
    for begin in cron.instants(line, ZoneInfo(zone), at - timedelta(days=days)):
        if begin > at:
            break
        walked = begin
    (candidate,) = candidates([windowed(line, f"{days}d", zone)], at)
    assert (candidate.standing is Standing.ACTIVE) == (walked is not None)
    if walked is not None and candidate.ends_at is not None:
        end = walked + timedelta(days=days)
        following = next(cron.instants(line, ZoneInfo(zone), walked), end)
        assert following <= end or candidate.ends_at == end.timestamp()


DAYS = ("*", "29", "30,31", "*/31", "L", "LW", "13")
MONTHS = ("*", "2", "4,6", "12")
WEEKDAYS = ("*", "*/7", "1#1", "1#2", "7#5", "L", "5L", "*/3", "MON")


@settings(max_examples=60, deadline=None)
@given(days=st.sampled_from(DAYS), months=st.sampled_from(MONTHS), weekdays=st.sampled_from(WEEKDAYS))
def test_a_line_that_never_comes_cost_fifty_years_of_days(days: str, months: str, weekdays: str) -> None:
    line = f"0 0 {days} {months} {weekdays}"
    problem = cron.problem(line)
    if problem in ("", "never comes"):
        comes = next(cron.instants(line, ZoneInfo("UTC"), utc("2024-01-01T00:00")), None)
        assert (comes is None) == (problem != "")


def test_windows_that_touch_are_one() -> None:
    assert ends(windowed("0 8,9 * * *", "1h", "UTC"), "2026-06-01T08:30") == "2026-06-01T10:00"


def test_a_suspended_policy_is_none_until_it_ends() -> None:
    policy = windowed("0 8 * * *", "1h", "UTC", more="  suspend: {reason: x, until: 2026-06-01T08:30:00+00:00}\n")
    assert candidates([policy], utc("2026-06-01T08:15"))[0].standing is Standing.SUSPENDED
    assert ends(policy, "2026-06-01T08:30") == "2026-06-01T09:00"
    assert next_change([policy], utc("2026-06-01T08:15")) == utc("2026-06-01T08:30")
    forever = windowed("0 8 * * *", "1h", "UTC", more="  suspend: {reason: x}\n")
    assert next_change([forever], utc("2026-06-01T08:15")) is None


def test_the_next_change_is_the_first_of_all_policies() -> None:
    always = only_policy(scheduling_policy())
    eight, nine = windowed("0 8 * * *", "1h", "UTC"), windowed("0 9 * * *", "3h", "UTC")
    assert next_change([always], utc("2026-06-01T00:00")) is None
    assert next_change([always, nine, eight], utc("2026-06-01T00:00")) == utc("2026-06-01T08:00")
    assert next_change([nine, eight], utc("2026-06-01T08:00")) == utc("2026-06-01T09:00")
    assert next_change([nine, eight], utc("2026-06-01T09:30")) == utc("2026-06-01T12:00")


@pytest.mark.parametrize("at", ["0001-01-03T00:00", "9999-12-30T23:00"])
def test_the_ends_of_the_calendar_do_not_raise(at: str) -> None:
    policies = [windowed("0 8 * * *", "366d"), windowed("* * * * *", "1m"), windowed("0 0 29 2 *", "366d")]
    candidates(policies, utc(at))
    next_change(policies, utc(at))


ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Havana", "Asia/Kathmandu")


def expected_begins(minute: int, hour: int, zone: str, around: datetime) -> list[datetime]:
    """An independent reading of a daily line: skipped times move to the end of the gap, doubled ones come first."""
    found = []
    for day in range(-4, 5):
        date = (around + timedelta(days=day)).date()
        local = datetime(date.year, date.month, date.day, hour, minute, tzinfo=ZoneInfo(zone))
        while local.astimezone(UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) != local.replace(tzinfo=None):
            local += timedelta(minutes=1)
        found.append(local.astimezone(UTC))
    return found


@given(
    minute=st.integers(0, 59),
    hour=st.integers(0, 23),
    zone=st.sampled_from(ZONES),
    hours=st.integers(1, 60),
    at=st.builds(
        lambda day, seconds: utc(day) + timedelta(seconds=seconds),
        st.sampled_from(["2026-03-08", "2026-03-29", "2026-04-05", "2026-10-25", "2026-11-01"]),
        st.integers(-2 * 86_400, 2 * 86_400),
    ),
)
def test_a_policy_holds_exactly_in_its_windows(minute: int, hour: int, zone: str, hours: int, at: datetime) -> None:
    duration = timedelta(hours=hours)
    policy = windowed(f"{minute} {hour} * * *", f"{hours}h", zone)
    open_now = any(begin <= at < begin + duration for begin in expected_begins(minute, hour, zone, at))
    (candidate,) = candidates([policy], at)
    assert (candidate.standing is Standing.ACTIVE) == open_now


@settings(max_examples=30)
@given(
    line=st.sampled_from(["30 2 * * *", "*/20 1-3 * * *", "0 0 * * 0,6", "15 23 L * *", "0 */5 * * 1"]),
    minutes=st.sampled_from([1, 30, 61, 299, 3_000]),
    zone=st.sampled_from(ZONES),
    at=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)).map(lambda found: found.replace(tzinfo=UTC)),  # noqa: DTZ001 - given UTC right after
)
def test_nothing_changes_before_the_next_change(line: str, minutes: int, zone: str, at: datetime) -> None:
    policies = [windowed(line, f"{minutes}m", zone)]
    following = next_change(policies, at)
    assert following is not None
    assert following > at
    (now,), (before,) = candidates(policies, at), candidates(policies, following - timedelta(microseconds=1))
    (then,) = candidates(policies, following)
    assert now.standing is before.standing
    if now.ends_at is not None and following.timestamp() < now.ends_at:
        assert then.ends_at is not None
        assert then.ends_at > now.ends_at
    else:
        assert now == before
        assert then.standing is not now.standing
