"""From JSON that somebody else wrote to intents: every fault named by its path, nothing guessed, nothing dropped.

Unknown keys are refused: a key that one side does not understand could be the one that narrows what an intent
selects.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from enum import Enum
from typing import TypeVar

from gthulhu_wire.intents import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    TIME_SLICE_MAX_NS,
    TIME_SLICE_MIN_NS,
    CommandOn,
    DesiredSet,
    Intent,
    OnDelete,
    PodRef,
    PolicyRef,
    Schedule,
    Terms,
    ordered,
)

MAX_INTENTS = 200_000
MAX_SET_BYTES = 96 * 1024 * 1024
"""Of a set as JSON: so many intents, each with a pattern of its own, have some 70 MiB."""
MAX_TEXT = 1024
MAX_PATTERN = 512
MAX_LIST = 256
MAX_COUNTER = 2**53 - 1
"""Above this, JSON numbers lose their last digits in most languages (RFC 8259, section 6)."""

_LAST_INSTANT = 253_402_300_799
"""9999-12-31T23:59:59Z, the last second that RFC 3339 can write."""

_E = TypeVar("_E", bound=Enum)
_T = TypeVar("_T")


class WireError(ValueError):
    """A document breaks the contract; ``path`` is where, as in ``intents[3].terms.schedule.priority``."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path or 'body'}: {problem}")
        self.path = path
        self.problem = problem


def read_desired(value: object) -> DesiredSet:
    """A desired set from decoded JSON, its intents :func:`~gthulhu_wire.intents.ordered`.

    Raises:
        WireError: the first fault, by path.
    """
    body = _mapping(value, "", {"owner", "token", "generation", "digest", "intents"}, optional={"digest"})
    owner = _text(body["owner"], "owner", empty=False)
    rows = body["intents"]
    if not isinstance(rows, list):
        raise WireError("intents", "must be a list")
    if len(rows) > MAX_INTENTS:
        raise WireError("intents", f"has {len(rows)} entries; at most {MAX_INTENTS} are taken")
    shared: dict[str, Terms] = {}
    intents = tuple(read_intent(row, f"intents[{number}]", shared) for number, row in enumerate(rows))
    seen: set[tuple[str, str, str]] = set()
    for number, intent in enumerate(intents):
        if intent.key in seen:
            raise WireError(f"intents[{number}]", "the same policy is already there for the same pod")
        seen.add(intent.key)
    return DesiredSet(
        owner=owner,
        token=_integer(body["token"], "token", 0, MAX_COUNTER),
        generation=_integer(body["generation"], "generation", 0, MAX_COUNTER),
        intents=ordered(intents),
    )


def read_intent(value: object, path: str, shared: dict[str, Terms]) -> Intent:
    """One intent from decoded JSON at ``path``; terms of the same JSON text become the one object of ``shared``.

    A node has a handful of terms and up to 200,000 intents: each is looked into once.

    Raises:
        WireError: the first fault, by path.
    """
    body = _mapping(value, path, {"pod", "containers", "rank", "terms"})
    try:
        text = json.dumps(body["terms"])
    except RecursionError:
        raise WireError(f"{path}.terms", "is nested too deeply") from None
    terms = shared.get(text)
    if terms is None:
        terms = shared[text] = _terms(body["terms"], f"{path}.terms")
    pod = body["pod"]
    return Intent(
        terms=terms,
        rank=_integer(body["rank"], f"{path}.rank", 0, MAX_INTENTS),
        pod=None if pod is None else _pod(pod, f"{path}.pod"),
        containers=_optional(body["containers"], f"{path}.containers", _texts),
    )


def _pod(value: object, path: str) -> PodRef:
    body = _mapping(value, path, {"namespace", "name", "uid"})
    return PodRef(
        namespace=_text(body["namespace"], f"{path}.namespace"),
        name=_text(body["name"], f"{path}.name"),
        uid=_text(body["uid"], f"{path}.uid", empty=False),
    )


def _terms(value: object, path: str) -> Terms:
    keys = {
        "policy",
        "schedule",
        "command",
        "commandOn",
        "units",
        "cgroups",
        "released",
        "onDelete",
        "endsAt",
    }
    body = _mapping(value, path, keys)
    policy = _mapping(body["policy"], f"{path}.policy", {"namespace", "name", "source"})
    return Terms(
        policy=PolicyRef(
            namespace=_text(policy["namespace"], f"{path}.policy.namespace"),
            name=_text(policy["name"], f"{path}.policy.name", empty=False),
            source=_text(policy["source"], f"{path}.policy.source"),
        ),
        schedule=_schedule(body["schedule"], f"{path}.schedule"),
        command=_optional(body["command"], f"{path}.command", _pattern),
        command_on=_choice(body["commandOn"], f"{path}.commandOn", CommandOn),
        units=_texts(body["units"], f"{path}.units"),
        cgroups=_texts(body["cgroups"], f"{path}.cgroups"),
        released=_texts(body["released"], f"{path}.released"),
        on_delete=_choice(body["onDelete"], f"{path}.onDelete", OnDelete),
        ends_at=_optional(body["endsAt"], f"{path}.endsAt", _instant),
    )


def _schedule(value: object, path: str) -> Schedule:
    body = _mapping(value, path, {"priority", "timeSlice", "preempt"})
    preempt = body["preempt"]
    if not isinstance(preempt, bool):
        raise WireError(f"{path}.preempt", "must be true or false")
    time_slice = body["timeSlice"]
    return Schedule(
        priority=_integer(body["priority"], f"{path}.priority", PRIORITY_MIN, PRIORITY_MAX),
        time_slice_ns=None
        if time_slice is None
        else _integer(time_slice, f"{path}.timeSlice", TIME_SLICE_MIN_NS, TIME_SLICE_MAX_NS),
        preempt=preempt,
    )


def _mapping(
    value: object, path: str, keys: set[str], optional: frozenset[str] | set[str] = frozenset()
) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise WireError(path, "must be an object")
    if unknown := sorted(value.keys() - keys):
        raise WireError(_join(path, unknown[0][:MAX_TEXT]), f"is not known; known are {', '.join(sorted(keys))}")
    if missing := sorted(keys - optional - value.keys()):
        raise WireError(_join(path, missing[0]), "is missing")
    return value


def _join(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _text(value: object, path: str, *, empty: bool = True, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise WireError(path, "must be a string")
    if not value and not empty:
        raise WireError(path, "must not be empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise WireError(path, "has half of a surrogate pair") from None
    if size > limit:
        raise WireError(path, f"is {size} bytes long; at most {limit} are taken")
    if "\0" in value:
        raise WireError(path, "has a NUL byte")
    return value


def _pattern(value: object, path: str) -> str:
    return _text(value, path, limit=MAX_PATTERN)


def _texts(value: object, path: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise WireError(path, "must be a list of strings")
    if len(value) > MAX_LIST:
        raise WireError(path, f"has {len(value)} entries; at most {MAX_LIST} are taken")
    return tuple(_text(entry, f"{path}[{number}]", empty=False) for number, entry in enumerate(value))


def _integer(value: object, path: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise WireError(path, "must be an integer")
    if not low <= value <= high:
        raise WireError(path, f"must be between {low} and {high}")
    return value


def _choice(value: object, path: str, choices: type[_E]) -> _E:
    try:
        return choices(value)
    except ValueError:
        allowed = ", ".join(str(choice.value) for choice in choices)
        raise WireError(path, f"must be one of {allowed}") from None


def _instant(value: object, path: str) -> int:
    text = _text(value, path)
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise WireError(path, "must be an instant as in 2026-01-31T08:00:00Z") from None
    if instant.tzinfo is None:
        raise WireError(path, "must name its offset, as in 2026-01-31T08:00:00Z")
    seconds = int(instant.timestamp())
    if not 0 <= seconds <= _LAST_INSTANT:
        raise WireError(path, "must be between 1970 and 9999, in UTC")
    return seconds


def _optional(value: object, path: str, read: Callable[[object, str], _T]) -> _T | None:
    return None if value is None else read(value, path)
