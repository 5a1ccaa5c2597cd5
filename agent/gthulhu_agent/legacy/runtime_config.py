"""The runtime configuration of a node's scheduler, as Gthulhu's Manager sends it. Pure.

Every flag is a value of its own, true or false: upstream leaves the false ones out on their way to its scheduler,
which keeps them on for ever (fault W-20).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any

LONGEST = 1024
"""Bytes of a version or a name."""
_SCHEDULER = re.compile(r"scx_[^/\\]*")


class Mode(StrEnum):
    """Who schedules. The first two are what this agent switches by itself."""

    NONE = "none"
    GTHULHU = "gthulhu"
    SIMPLE = "simple"
    SCX = "scx"


@dataclass(frozen=True, slots=True)
class RuntimeConfig:
    """One configuration; slices are nanoseconds, 0 is the scheduler's own."""

    version: str = ""
    mode: str = ""
    scheduler: str = ""
    slice_default: int = 0
    slice_least: int = 0
    kernel_mode: bool = False
    max_time_watchdog: bool = False
    early_processing: bool = False
    builtin_idle: bool = False
    scheduler_enabled: bool = False
    monitoring_enabled: bool = False


class BadConfig(ValueError):  # noqa: N818 - says what is the matter
    """A configuration that means nothing; the text says why."""


def normal(said: RuntimeConfig) -> RuntimeConfig:
    """What ``said`` means: without blanks, its mode named, and everything else as the mode has it.

    Raises:
        BadConfig: it means nothing.
    """
    if not said.version:
        raise BadConfig("configVersion is required")
    if max(len(text.encode()) for text in (said.version, said.mode, said.scheduler)) > LONGEST:
        raise BadConfig(f"configVersion, mode and schedulerName have at most {LONGEST} bytes")
    mode = said.mode.strip() or (Mode.GTHULHU if said.scheduler_enabled else Mode.NONE)
    if mode not in set(Mode):
        raise BadConfig(f"mode is one of {', '.join(Mode)}")
    scheduler = said.scheduler.strip() if mode == Mode.SCX else ""
    if mode == Mode.SCX and not _SCHEDULER.fullmatch(scheduler):
        raise BadConfig("schedulerName has to be the name of a program that begins with scx_")
    return replace(said, mode=str(mode), scheduler=scheduler, scheduler_enabled=mode != Mode.NONE)


def as_json(config: RuntimeConfig) -> dict[str, object]:
    """Every field, those that are false or 0 too."""
    return {name: getattr(config, field) for field, name in _NAMES.items()}


def of_json(said: Mapping[str, object]) -> RuntimeConfig:
    """The configuration among the fields of ``said``; what is absent or null is empty, 0 or off.

    Raises:
        TypeError: a field is not of its type.
    """
    found: dict[str, Any] = {}
    for field in fields(RuntimeConfig):
        name = _NAMES[field.name]
        if (value := said.get(name)) is not None:
            if type(value) is not type(field.default):
                raise TypeError(f"{name} is no {type(field.default).__name__}")
            found[field.name] = value
    return RuntimeConfig(**found)


_NAMES = {
    "version": "configVersion",
    "mode": "mode",
    "scheduler": "schedulerName",
    "slice_default": "sliceNsDefault",
    "slice_least": "sliceNsMin",
    "kernel_mode": "kernelMode",
    "max_time_watchdog": "maxTimeWatchdog",
    "early_processing": "earlyProcessing",
    "builtin_idle": "builtinIdle",
    "scheduler_enabled": "schedulerEnabled",
    "monitoring_enabled": "monitoringEnabled",
}


@dataclass(frozen=True, slots=True)
class RuntimeStatus:
    """What has become of the configuration.

    Attributes:
        applied: whether the node's scheduler is as ``config`` says, now.
        applied_at: since when, as RFC 3339; empty where it is not known.
        restarts: of the scheduler, for new configurations.
        last_error: why it is not applied; empty where it is.
        config: None where none was ever sent.
    """

    version: str = ""
    applied: bool = False
    applied_at: str = ""
    restarts: int = 0
    last_error: str = ""
    config: RuntimeConfig | None = None
