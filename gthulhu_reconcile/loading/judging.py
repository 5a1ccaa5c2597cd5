"""What no schema can judge of a policy document: patterns, cron lines, zones, units, limits, contradictions.

Works on the plain value and not on a model, so that a document with a misspelt key still has all its other mistakes
told in the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from gthulhu_reconcile.loading import cron, durations, patterns, zones
from gthulhu_reconcile.loading.document import Places, Pointer
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.source import pointer_text, shown
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic
from gthulhu_reconcile.planning.options import LimitsByNamespace, Protection, limits_of
from gthulhu_wire.documents import MAX_PATTERN
from gthulhu_wire.globs import is_glob
from gthulhu_wire.intents import TIME_SLICE_MAX_NS, TIME_SLICE_MIN_NS, Schedule

MAX_WINDOW_SECONDS = 366 * 86_400
_SECOND = 1_000_000_000
_SELECTOR: Pointer = ("spec", "selector")
_SCHEDULE: Pointer = ("spec", "schedule")


@dataclass(frozen=True, slots=True)
class Rules:
    """What the operator's settings add to what a policy may say; None judges nothing of it."""

    limits: LimitsByNamespace | None = None
    protection: Protection | None = None


def judge(document: Places, rules: Rules, told: frozenset[str] = frozenset()) -> tuple[Diagnostic, ...]:
    """Every mistake that the schema leaves; what is at the JSON pointers ``told`` has been complained about."""
    judging = _Judging(document, rules, told)
    return tuple(finding for rule in _RULES for finding in rule(judging))


def instant(text: str) -> int:
    """Unix seconds of an RFC 3339 instant, rounded down.

    Raises:
        ValueError: no such instant, or without an offset.
    """
    found = datetime.fromisoformat(text.upper())
    if found.tzinfo is None:
        raise ValueError("must name its offset")
    return int((found - datetime.fromtimestamp(0, tz=UTC)).total_seconds() // 1)


class _Judging:
    def __init__(self, document: Places, rules: Rules, told: frozenset[str]) -> None:
        self.document = document
        self.rules = rules
        self._told = told

    def at(self, *pointer: str | int) -> object:
        """The value at ``pointer``; None where there is none, or its mistake has been told."""
        value: object = self.document.value
        for depth, part in enumerate(pointer, 1):
            if not isinstance(value, dict) or (self._told and pointer_text(pointer[:depth]) in self._told):
                return None
            value = value.get(part)
        return value

    def text(self, *pointer: str | int) -> str | None:
        value = self.at(*pointer)
        return value if isinstance(value, str) else None

    def strings(self, *pointer: str | int) -> list[tuple[int, str]]:
        value = self.at(*pointer)
        entries = enumerate(value) if isinstance(value, list) else ()
        return [(number, entry) for number, entry in entries if isinstance(entry, str)]


def _command(judging: _Judging) -> Iterator[Diagnostic]:
    pointer = (*_SELECTOR, "command")
    pattern = judging.text(*pointer)
    if pattern is not None:
        if len(pattern.encode()) > MAX_PATTERN:
            message = f"'command' must have at most {MAX_PATTERN} bytes"
            yield judging.document.diagnose(Code.OUT_OF_RANGE, pointer, message)
        elif problem := patterns.problem(pattern):
            hint = "patterns are RE2's: no look-around, no back-references; in single quotes a backslash is one"
            yield judging.document.diagnose(
                Code.BAD_PATTERN, pointer, f"{shown(pattern)} is not a pattern: {problem}", hint=hint
            )
    elif judging.at(*_SELECTOR, "commandOn") is not None and judging.at(*pointer) is None:
        selector = judging.at(*_SELECTOR)
        if isinstance(selector, dict) and "command" not in selector and judging.document.whole:
            yield judging.document.diagnose(
                Code.MISSING_KEY,
                (*_SELECTOR, "commandOn"),
                "'commandOn' needs 'command' beside it",
                key=True,
                hint="without a pattern there is nothing to match",
            )


def _everything(judging: _Judging) -> Iterator[Diagnostic]:
    selector = judging.at(*_SELECTOR)
    if isinstance(selector, dict) and selector.get("all") is True:
        others = [key for key in selector if key not in ("all", "commandOn") and selector[key] is not None]
        if others:
            yield judging.document.diagnose(
                Code.NOT_ALLOWED,
                (*_SELECTOR, "all"),
                f"'all: true' contradicts '{shown(others[0])[1:-1]}' beside it",
                key=True,
                hint="all: true says that nothing narrows the selector; leave it out",
            )


def _time_slice(judging: _Judging) -> Iterator[Diagnostic]:
    pointer = (*_SCHEDULE, "timeSlice")
    written = judging.text(*pointer)
    if written is not None:
        try:
            nanoseconds = durations.parse(written)
        except ValueError as error:
            yield judging.document.diagnose(Code.BAD_FORMAT, pointer, f"{shown(written)} {error}")
        else:
            if not TIME_SLICE_MIN_NS <= nanoseconds <= TIME_SLICE_MAX_NS:
                message = f"'timeSlice' must be from 100us to 100ms, not {shown(written)[1:-1]}"
                yield judging.document.diagnose(Code.OUT_OF_RANGE, pointer, message)
    schedule = judging.at(*_SCHEDULE)
    if isinstance(schedule, dict) and {"timeSlice", "executionTime"} <= schedule.keys():
        yield judging.document.diagnose(
            Code.NOT_ALLOWED,
            (*_SCHEDULE, "executionTime"),
            "'executionTime' contradicts 'timeSlice' beside it",
            key=True,
            hint="they are two names of one thing; leave executionTime out",
        )


def _window(judging: _Judging) -> Iterator[Diagnostic]:
    active = (*_SCHEDULE, "active")
    if (line := judging.text(*active, "cron")) is not None and (problem := cron.problem(line)):
        hint = "five fields as in '0 8 * * 1-5': minute, hour, day of month, month, weekday (0 and 7 are Sunday)"
        yield judging.document.diagnose(
            Code.BAD_CRON, (*active, "cron"), f"{shown(line)} is not a cron line: {problem}", hint=hint
        )
    if (name := judging.text(*active, "timeZone")) is not None and zones.zone(name) is None:
        yield judging.document.diagnose(
            Code.BAD_TIME_ZONE,
            (*active, "timeZone"),
            f"{shown(name)} is not a time zone",
            hint="IANA names, as in Europe/Berlin or UTC",
            suggestion=resembling(name, zones.names()),
        )
    if (written := judging.text(*active, "duration")) is not None:
        yield from _duration(judging, (*active, "duration"), written)


def _duration(judging: _Judging, pointer: Pointer, written: str) -> Iterator[Diagnostic]:
    try:
        nanoseconds = durations.parse(written)
    except ValueError as error:
        yield judging.document.diagnose(Code.BAD_FORMAT, pointer, f"{shown(written)} {error}")
        return
    if not _SECOND <= nanoseconds <= MAX_WINDOW_SECONDS * _SECOND:
        message = f"'duration' must be from 1s to 366d, not {shown(written)[1:-1]}"
        yield judging.document.diagnose(Code.OUT_OF_RANGE, pointer, message)
    elif nanoseconds % _SECOND:
        message = f"'duration' must be whole seconds, not {shown(written)[1:-1]}"
        yield judging.document.diagnose(Code.BAD_FORMAT, pointer, message)


def _suspension(judging: _Judging) -> Iterator[Diagnostic]:
    pointer = ("spec", "suspend", "until")
    if (written := judging.text(*pointer)) is not None:
        try:
            instant(written)
        except ValueError as error:
            message = f"{shown(written)} is not an instant: {error}"
            yield judging.document.diagnose(
                Code.BAD_FORMAT, pointer, message, hint="as in 2026-01-31T08:00:00Z or 2026-01-31T09:00:00+01:00"
            )


def _protected(judging: _Judging) -> Iterator[Diagnostic]:
    protection = judging.rules.protection
    if protection is None:
        return
    named = [
        ("namespaces", number, name)
        for number, name in judging.strings(*_SELECTOR, "namespaces")
        if not is_glob(name) and protection.protects_namespace(name)
    ]
    named += [
        ("units", number, name)
        for number, name in judging.strings(*_SELECTOR, "units")
        if not is_glob(name) and protection.protects_unit(name)
    ]
    for key, number, name in named:
        if name not in protection.released:
            yield judging.document.diagnose(
                Code.PROTECTED,
                (*_SELECTOR, key, number),
                f"{shown(name)} is protected",
                hint="only the operator's settings can release it: guards.protected.released",
            )


def _limits(judging: _Judging) -> Iterator[Diagnostic]:
    limits = judging.rules.limits
    schedule = _schedule(judging)
    if not limits or schedule is None:
        return
    if judging.at("kind") == "NodeSchedulingPolicy":
        owner = judging.text("metadata", "namespace") or "default"
        names = [owner] if judging.at("metadata") is not None else []
    else:
        named = [name for _, name in judging.strings(*_SELECTOR, "namespaces")]
        names = [name for name in named if not is_glob(name)]
    for name in dict.fromkeys(names):
        bounds = limits_of(limits, name)
        if bounds is not None and (breach := bounds.breach(schedule)):
            yield judging.document.diagnose(
                Code.NAMESPACE_LIMIT,
                _breached(judging, breach),
                f"{breach}, the limit of namespace {shown(name)}",
                hint="limits are in the operator's settings",
            )


def _breached(judging: _Judging, breach: str) -> Pointer:
    """The key that a breach is about; its first word says which."""
    key = breach.split(maxsplit=1)[0]
    for name in (key, "executionTime") if key == "timeSlice" else (key,):
        if judging.at(*_SCHEDULE, name) is not None:
            return (*_SCHEDULE, name)
    return _SCHEDULE


def _schedule(judging: _Judging) -> Schedule | None:
    """What the document asks for, None where that cannot be said because of other mistakes."""
    given = judging.at(*_SCHEDULE)
    if not isinstance(given, dict):
        return None
    priority, preempt = _integer(given.get("priority", 0)), given.get("preempt", False)
    if priority is None or not isinstance(preempt, bool):
        return None
    written = given.get("timeSlice")
    if written is None:
        return Schedule(priority, _integer(given.get("executionTime")), preempt)
    try:
        return Schedule(priority, durations.parse(str(written)), preempt)
    except ValueError:
        return None


def _integer(value: object) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


_RULES: tuple[Callable[[_Judging], Iterator[Diagnostic]], ...] = (
    _command,
    _everything,
    _time_slice,
    _window,
    _suspension,
    _protected,
    _limits,
)
