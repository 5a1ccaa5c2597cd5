"""Answers as values: what a handler returns, free of the server that sends it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from gthulhu_wire.refusals import Refusal

STATUS: Mapping[Refusal, int] = {
    Refusal.BAD_REQUEST: 400,
    Refusal.UNAUTHENTICATED: 401,
    Refusal.FORBIDDEN: 403,
    Refusal.NOT_FOUND: 404,
    Refusal.METHOD_NOT_ALLOWED: 405,
    Refusal.TOO_SLOW: 408,
    Refusal.FOREIGN_OWNER: 409,
    Refusal.STALE_GENERATION: 409,
    Refusal.TOO_LARGE: 413,
    Refusal.TOO_MANY: 429,
    Refusal.INTERNAL: 500,
    Refusal.BUSY: 503,
    Refusal.NOT_STORED: 507,
}
JSON = "application/json"
FAULT = ("a fault of the agent; its log has it", "try again, and report it with what the log has")
"""Message and cure."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``body`` is sent piece by piece when it is not bytes."""

    status: int
    body: bytes | Iterable[bytes]
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)


def of_json(value: object, status: int = 200) -> Answer:
    """``value`` as JSON."""
    return Answer(status, _encode(value))


def of_rows(head: Mapping[str, object], key: str, rows: Iterable[str]) -> Answer:
    """An object of ``head`` and, under ``key``, a list whose entries are JSON texts already; sent as they come.

    100,000 intents are neither held in memory a second time nor encoded in one go.
    """
    return Answer(200, _pieces(head, key, rows))


def of_refusal(
    code: Refusal,
    message: str,
    cure: str = "",
    *,
    more: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """No, with its code, a sentence, a cure, and what the caller needs besides."""
    body = {"code": code.value, "message": message, "cure": cure, **(more or {})}
    return Answer(STATUS[code], _encode(body), headers=headers or {})


def _encode(value: object) -> bytes:
    # ASCII escapes: a refusal may quote half of a surrogate pair, which has no UTF-8.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _pieces(head: Mapping[str, object], key: str, rows: Iterable[str]) -> Iterable[bytes]:
    start = json.dumps(head, separators=(",", ":"), allow_nan=False)[:-1]
    piece = [f"{start}{',' if head else ''}{json.dumps(key)}:["]
    size, separator = 0, ""
    for row in rows:
        piece.append(separator + row)
        separator = ","
        size += len(row)
        if size > 1 << 16:
            yield "".join(piece).encode()
            piece, size = [], 0
    piece.append("]}\n")
    yield "".join(piece).encode()
