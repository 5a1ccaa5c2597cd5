"""What agents answer, read with suspicion: a node may be broken or taken over, and nothing it says is shown raw."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from gthulhu_wire.documents import MAX_TEXT

MAX_SHOWN = 300
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_COUNTER = 2**53 - 1


class OddAnswer(ValueError):  # noqa: N818 - says what is the matter
    """An answer breaks the API's contract; the message says how."""


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)


@dataclass(frozen=True, slots=True)
class Holding:
    """What an agent says it has stored, without the intents themselves.

    Attributes:
        damaged: the newest set could not be read back: what is told of is an older one, or none.
    """

    node: str
    owner: str
    token: int
    generation: int
    digest: str
    count: int
    damaged: bool = False


def read_json(body: bytes) -> object:
    """Decoded JSON (RFC 8259, so neither NaN nor Infinity).

    Raises:
        OddAnswer: it is not JSON, or nested too deeply.
    """
    try:
        value: object = _DECODER.decode(body.decode())
    except RecursionError:
        raise OddAnswer("its answer is nested too deeply") from None
    except ValueError as error:
        raise OddAnswer(f"its answer is not JSON: {shown(str(error))}") from None
    return value


def read_holding(value: object) -> Holding:
    """The head of a desired set, from ``GET /v1/digest`` or as the acknowledgement of a push.

    Raises:
        OddAnswer: a key is missing or of another type.
    """
    body = mapping(value, "its answer")
    digest = text(body, "digest")
    if not _DIGEST.fullmatch(digest):
        raise OddAnswer("'digest' is not a SHA-256 in hex")
    return Holding(
        node=text(body, "node"),
        owner=text(body, "owner"),
        token=integer(body, "token"),
        generation=integer(body, "generation"),
        digest=digest,
        count=integer(body, "count"),
        damaged=flag(body, "damaged"),
    )


def mapping(value: object, what: str) -> Mapping[str, object]:
    """``value`` as an object of JSON."""
    if not isinstance(value, dict):
        raise OddAnswer(f"{what} is not an object")
    return value


def rows(body: Mapping[str, object], key: str) -> list[object]:
    """The list at ``key``; absent is empty."""
    value = body.get(key, [])
    if not isinstance(value, list):
        raise OddAnswer(f"'{key}' is not a list")
    return value


def text(body: Mapping[str, object], key: str, default: str | None = None) -> str:
    """The string at ``key``, :func:`sound`. What is only shown to people is read by :func:`line`."""
    return sound(_string(body, key, default), f"'{key}'")


def line(body: Mapping[str, object], key: str, default: str | None = None) -> str:
    """The string at ``key``, :func:`shown`: names of processes and paths may be any bytes, and of any length."""
    return shown(_string(body, key, default))


def sound(value: str, what: str) -> str:
    """``value``, which can be hashed, compared and sent on.

    JSON can write half of a surrogate pair, which no encoding of Unicode has: digests and the terminal fail on it.
    """
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise OddAnswer(f"{what} has half of a surrogate pair") from None
    if size > MAX_TEXT:
        raise OddAnswer(f"{what} is {size} bytes long; at most {MAX_TEXT} are taken")
    if "\0" in value:
        raise OddAnswer(f"{what} has a NUL byte")
    return value


def _string(body: Mapping[str, object], key: str, default: str | None) -> str:
    value = body.get(key, default)
    if not isinstance(value, str):
        raise OddAnswer(f"'{key}' is {'missing' if value is None else 'not a string'}")
    return value


def integer(body: Mapping[str, object], key: str, default: int | None = None) -> int:
    """The counter at ``key``: 0 to 2^53 - 1."""
    value = body.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise OddAnswer(f"'{key}' is {'missing' if value is None else 'not an integer'}")
    if not 0 <= value <= _MAX_COUNTER:
        raise OddAnswer(f"'{key}' is out of range")
    return value


def flag(body: Mapping[str, object], key: str) -> bool:
    """The truth value at ``key``; absent is False: an older agent does not know the key."""
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise OddAnswer(f"'{key}' is neither true nor false")
    return value


def number(body: Mapping[str, object], key: str) -> int | None:
    """The whole number at ``key``, negative or not; None where there is none.

    Raises:
        OddAnswer: it has more digits than JSON numbers keep.
    """
    value = body.get(key)
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    if abs(value) > _MAX_COUNTER:
        raise OddAnswer(f"'{key}' is out of range")
    return value


def shown(message: str) -> str:
    """A foreign text fit for a terminal: one line, no control characters, a bounded length."""
    plain = "".join(character if character.isprintable() else " " for character in message[: MAX_SHOWN * 2])
    plain = " ".join(plain.split())
    return plain if len(plain) <= MAX_SHOWN else f"{plain[: MAX_SHOWN - 1]}…"
