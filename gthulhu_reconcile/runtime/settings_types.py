"""Scalar types of the settings: what a person writes, what it becomes, and how the schema says it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, WithJsonSchema

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
DURATION_PATTERN = r"^([0-9]{1,9}(ns|us|ms|s|m|h|d))+$"
_PART = re.compile(r"([0-9]{1,9})(ns|us|ms|s|m|h|d)")
_WHOLE = re.compile(DURATION_PATTERN)


def parse_duration(value: object) -> object:
    """A ``timedelta`` from text as in ``1h30m`` or ``250ms``; anything else is left for pydantic to judge.

    Raises:
        ValueError: text that is no duration, or one below a microsecond.
    """
    if not isinstance(value, str):
        return value
    nanoseconds = parse_nanoseconds(value)
    if nanoseconds % 1000:
        raise ValueError("must be a whole number of microseconds")
    return timedelta(microseconds=nanoseconds // 1000)


def parse_nanoseconds(value: str) -> int:
    """Nanoseconds from text as in ``5ms``.

    Raises:
        ValueError: the text is no duration.
    """
    if not _WHOLE.match(value):
        raise ValueError("must be a duration with a unit, as in 250ms, 30s or 1h30m")
    return sum(int(number) * _UNITS_NS[unit] for number, unit in _PART.findall(value))


def format_duration(value: timedelta) -> str:
    """The shortest text that :func:`parse_duration` reads back as ``value``."""
    rest = value // timedelta(microseconds=1) * 1000
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us"):
        count, rest = divmod(rest, _UNITS_NS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _duration_or_error(value: object) -> object:
    if isinstance(value, str | timedelta):
        return parse_duration(value)
    raise ValueError("must be a duration with a unit, as in 250ms, 30s or 1h30m")


def _time_slice(value: object) -> object:
    return parse_nanoseconds(value) if isinstance(value, str) else value


_DURATION_SCHEMA = WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN})

Duration = Annotated[timedelta, BeforeValidator(_duration_or_error), _DURATION_SCHEMA]
"""A length of time; written with its unit."""

TimeSlice = Annotated[int, BeforeValidator(_time_slice), _DURATION_SCHEMA]
"""A slice of CPU time in nanoseconds; written with its unit."""


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
