"""JSON from outside: bounded, UTF-8, without the liberties that Python's reader takes by default."""

from __future__ import annotations

import json
from typing import NoReturn

from gthulhu_agent.agent import Refused
from gthulhu_wire.documents import MAX_SET_BYTES, WireError, read_desired
from gthulhu_wire.intents import DesiredSet, digest
from gthulhu_wire.refusals import Refusal

SET_LIMIT = MAX_SET_BYTES
RECEIVED_LIMIT = 32 * 1024 * 1024
"""Of what clients of a Decision Maker send."""
VALUES_MAX = 8_000_000
"""Values of a set, counted by what stands between them: the smallest takes 20 times its bytes as an object, and 96 MiB
of them would take 2 GB. 200,000 intents have six million.
"""
LIMIT = 64 * 1024
TOO_LARGE_CURE = "send less at a time: one call is for one node, and a set has at most 200,000 intents"
_QUOTED = 80


def read_push(body: bytearray) -> tuple[DesiredSet, str]:
    """The set that the body of ``PUT /v1/desired`` is, and its digest. Takes its time: for a worker thread.

    Raises:
        Refused: it is not one, or not the one whose digest it names.
    """
    if sum(map(body.count, (b",", b"[", b"{"))) > VALUES_MAX:
        raise Refused(Refusal.TOO_LARGE, f"body: has more than {VALUES_MAX} values", TOO_LARGE_CURE)
    value = read_json(body)
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
    """One JSON document; ``body`` is empty afterwards, so that a large one is not in memory twice.

    Raises:
        Refused: it is not one; it has a key twice, NaN, or nesting that nobody means.
    """
    try:
        text = body.decode()
        body.clear()
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except UnicodeDecodeError as error:
        raise _bad(f"not UTF-8 at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise _bad(f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _bad("nested too deeply", "docs/agent-openapi.json describes the body") from error
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


def _bad(problem: str, cure: str = "send one JSON document (RFC 8259)") -> Refused:
    return Refused(Refusal.BAD_REQUEST, f"body: {problem}", cure)
