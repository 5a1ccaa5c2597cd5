"""Time zones by their IANA names. The only module that knows where zones come from."""

from __future__ import annotations

from datetime import UTC, tzinfo
from functools import lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


@lru_cache(maxsize=1)
def names() -> frozenset[str]:
    """All names that may be used: those of the tzdata package, so that a file is right or wrong everywhere alike.

    The system's own directory has more, ``localtime`` among it, which means another zone on each machine.
    """
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())


@lru_cache(maxsize=1024)
def zone(name: str) -> tzinfo | None:
    """The zone of that name, None where there is none."""
    if name == "UTC":
        return UTC
    if name not in names():
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
