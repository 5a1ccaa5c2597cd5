"""JSON from outside: bounded, UTF-8, without the liberties that Python's reader takes by default."""

from __future__ import annotations

import json
from typing import NoReturn

from gthulhu_agent.agent import Refused
from gthulhu_wire.documents import WireError, read_desired
from gthulhu_wire.intents import DesiredSet, digest
from gthulhu_wire.refusals import Refusal

SET_LIMIT = 32 * 1024 * 1024
LIMIT = 64 * 1024
_QUOTED = 80


def read_push(body: bytearray) -> tuple[DesiredSet, str]:
    """The set that the body of ``PUT /v1/desired`` is, and its digest. Takes its time: for a worker thread.

    Raises:
        Refused: it is not one, or not the one whose digest it names.
    """
    value = read_json(body)
    body.clear()
    try:
        pushed = read_desired(value)
        ours = digest(pushed.intents)
    except WireError as error:
        raise Refused(Refusal.BAD_REQUEST, str(error), "docs/agent-openapi.json describes the body") from error
    theirs = value.get("digest", ours) if isinstance(value, dict) else ours
    if theirs != ours:
        raise Refused(
            Refusal.BAD_REQUEST,
            f"digest: the intents that arrived have the digest {ours}",
            "the set was changed on its way, or it was digested in another order",
        )
    return pushed, ours


def read_json(body: bytearray) -> object:
    """One JSON document.

    Raises:
        Refused: it is not one; it has a key twice, NaN, or nesting that nobody means.
    """
    try:
        return json.loads(body.decode(), object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise _bad(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _bad(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _bad("nested too deeply") from error
    except ValueError as error:  # a number of more than 4,300 digits, which Python does not convert
        raise _bad("has a number that is too long") from error


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value] # add returns None, which is the point
        raise _bad(f"has the key {twice[:_QUOTED]!r} twice in one object")
    return found


def _constant(text: str) -> NoReturn:
    raise _bad(f"has {text}, which is no JSON number")


def _bad(problem: str) -> Refused:
    return Refused(Refusal.BAD_REQUEST, f"body: {problem}")
