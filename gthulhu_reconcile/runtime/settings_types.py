"""Scalar types of the settings: what a person writes, what it becomes, and how the schema says it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from gthulhu_reconcile.loading import cron, durations
from gthulhu_reconcile.loading.zones import zone

_MICROSECOND = timedelta(microseconds=1)
_DURATION_SCHEMA = WithJsonSchema(
    {
        "type": "string",
        "pattern": r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d))+$",
        "patternErrorMessage": "a duration is a number with a unit, as in 250ms, 30s or 1h30m",
    }
)
_LEAP_SECOND = re.compile(r":[0-9]{2}:60\b")
_FIRST_YEAR, _LAST_YEAR = 1971, 9990
_INSTANT_SCHEMA = WithJsonSchema({"type": "string", "description": "RFC 3339"})


def format_duration(value: timedelta) -> str:
    """The shortest text that is read back as ``value``."""
    return durations.render(value // _MICROSECOND * 1000)


def _duration(value: object) -> timedelta:
    if isinstance(value, timedelta):
        return value
    if not isinstance(value, str):
        raise PydanticCustomError("duration_type", "must be a duration with a unit, as in 250ms, 30s or 1h30m")
    nanoseconds = durations.parse(value)
    if nanoseconds % 1000:
        raise ValueError("must be a whole number of microseconds")
    return nanoseconds // 1000 * _MICROSECOND


def _time_slice(value: object) -> object:
    return durations.parse(value) if isinstance(value, str) else value


def _instant(value: object) -> datetime:
    text = str(value)
    if isinstance(value, str) and _LEAP_SECOND.search(text):
        raise ValueError("seconds go to 59 here; write a leap second as the second after it")
    try:
        # RFC 3339 takes letters of either case, the library capitals only.
        instant = value if isinstance(value, datetime) else datetime.fromisoformat(text.upper())
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise ValueError("must be an instant with its offset, as in 2026-01-31T08:00:00Z")
    # Judging windows needs time on either side that has a date in every zone.
    if not _FIRST_YEAR <= instant.year <= _LAST_YEAR:
        raise ValueError(f"must be an instant of the years {_FIRST_YEAR} to {_LAST_YEAR}")
    return instant


def _cron(line: str) -> str:
    if problem := cron.problem(line):
        raise PydanticCustomError("bad_cron", "{problem}", {"problem": problem})
    return line


def _zone(name: str) -> str:
    if zone(name) is None:
        raise PydanticCustomError("bad_time_zone", "is no time zone of the IANA database, as in Europe/Berlin")
    return name


Duration = Annotated[timedelta, BeforeValidator(_duration), _DURATION_SCHEMA]
"""A length of time; written with its unit."""

TimeSlice = Annotated[int, BeforeValidator(_time_slice), _DURATION_SCHEMA]
"""A slice of CPU time in nanoseconds; written with its unit."""

Instant = Annotated[datetime, BeforeValidator(_instant), _INSTANT_SCHEMA]
"""A point in time, as in RFC 3339."""

CronLine = Annotated[str, AfterValidator(_cron)]
"""Five fields, read as Debian's cron does."""

ZoneName = Annotated[str, AfterValidator(_zone)]
"""A zone of the IANA database."""

LISTEN_OFF = "off"


@dataclass(frozen=True, slots=True)
class Listen:
    """A loopback address and port; port 0 lets the kernel choose."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_listen(value: str) -> Listen:
    """Where probes and metrics are served.

    Raises:
        ValueError: not ADDRESS:PORT, or an address that other machines reach: what is served has no authentication.
    """
    host, colon, port = value.rpartition(":")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004 - the last TCP port
        raise ValueError("must be ADDRESS:PORT, as in 127.0.0.1:9470")
    bare = host.removeprefix("[").removesuffix("]")
    bare = "127.0.0.1" if bare == "localhost" else bare
    try:
        loopback = ipaddress.ip_address(bare).is_loopback
    except ValueError:
        raise ValueError("must be ADDRESS:PORT with a literal address, as in 127.0.0.1:9470") from None
    if not loopback:
        raise ValueError("must be a loopback address: probes and metrics have no authentication")
    return Listen(bare, int(port))


def _checked_listen(value: str) -> str:
    return value if value == LISTEN_OFF else str(parse_listen(value))


ListenAddress = Annotated[str, AfterValidator(_checked_listen)]
"""``ADDRESS:PORT`` on loopback, or ``off``."""
