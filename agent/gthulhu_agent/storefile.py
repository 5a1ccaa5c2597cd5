"""The file that a desired set is kept in: lines of JSON between a header and a seal.

::

    <sha256 of the rest of the line> {"count": 2, "digest": "…", "format": 1, "generation": 7, "owner": "…", "token": 3}
    {"since":1767225600,"intent":{…canonical JSON…}}
    {"since":1767225600,"intent":{…}}
    <sha256 of everything above> end

A set that was made from what a Decision Maker's clients sent has format 2: its header says how many rows of that
there are in ``received``, and they follow the intents, many on a line (:mod:`gthulhu_agent.legacy.rows`).

The header has a checksum of its own: when the lines below are damaged it still tells which generation was accepted,
so that an older one is refused for ever. One line an intent keeps memory flat however large the set is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from gthulhu_agent.legacy import rows
from gthulhu_agent.legacy.received import Received
from gthulhu_agent.state import Held
from gthulhu_wire.documents import WireError, read_intent
from gthulhu_wire.intents import Intent, Terms, canonical_intent, canonical_json, digest

FORMAT = 1
FORMAT_RECEIVED = 2
"""With rows of what was received; a set without them is written as every agent can read it."""
LINE_MAX = 4 * 1024 * 1024
"""Above the longest intent that the wire takes: 256 container ids of 1 KiB, every byte of them escaped, and terms."""
_CHUNK_LINES = 256
_HEX = 64


@dataclass(frozen=True, slots=True)
class Header:
    """What a damaged file may still tell: whose set it was and how new."""

    owner: str
    token: int
    generation: int
    digest: str
    count: int
    received: Mapping[str, object] | None = None
    """How many rows of what was received follow, and what goes for all of them; None where the set has none."""


class Damaged(Exception):  # noqa: N818 - says what is the matter
    """The bytes are not those that were written; ``header`` where that much is whole."""

    def __init__(self, why: str, header: Header | None = None) -> None:
        super().__init__(why)
        self.header = header


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...


def encode(held: Held) -> Iterator[bytes]:
    """The file's bytes, piece by piece."""
    received = held.received
    fields: dict[str, object] = {"format": FORMAT, **held.summary()}
    if received is not None:
        fields |= {"format": FORMAT_RECEIVED, "received": rows.head(received)}
    header = canonical_json(fields).encode()
    first = hashlib.sha256(header).hexdigest().encode() + b" " + header + b"\n"
    seal = hashlib.sha256(first)
    yield first
    for start in range(0, len(held.intents), _CHUNK_LINES):
        both = zip(held.intents[start : start + _CHUNK_LINES], held.since[start : start + _CHUNK_LINES], strict=True)
        piece = "".join(f'{{"since":{since},"intent":{canonical_intent(intent)}}}\n' for intent, since in both).encode()
        seal.update(piece)
        yield piece
    for line in () if received is None else rows.write(received):
        piece = f"{line}\n".encode()
        seal.update(piece)
        yield piece
    yield seal.hexdigest().encode() + b" end\n"


def decode(stream: BinaryIO) -> Held:
    """The set that was written.

    Raises:
        Damaged: anything is not as it was written, down to one bit.
        OSError: it cannot be read.
    """
    first = stream.readline(LINE_MAX)
    header = _header(first)
    seal = hashlib.sha256(first)
    shared: dict[str, Terms] = {}
    intents: list[Intent] = []
    since: list[int] = []
    for number in range(header.count):
        line = stream.readline(LINE_MAX)
        seal.update(line)
        try:
            row = json.loads(line)
            intents.append(read_intent(row["intent"], f"line {number + 2}", shared))
            since.append(int(row["since"]))
        except (ValueError, TypeError, KeyError, RecursionError, WireError) as fault:
            raise Damaged(f"line {number + 2} is damaged: {fault}"[:200], header) from fault
    received = _received(stream, header, seal)
    if stream.read(_HEX + len(b" end\n") + 1) != seal.hexdigest().encode() + b" end\n":
        raise Damaged("the checksum over the file does not hold", header)
    if digest(intents) != header.digest:
        raise Damaged("the intents do not have the digest that was accepted", header)
    return Held(header.owner, header.token, header.generation, header.digest, tuple(intents), tuple(since), received)


def _received(stream: BinaryIO, header: Header, seal: _Hash) -> Received | None:
    if header.received is None:
        return None

    def line() -> bytes:
        read = stream.readline(rows.LINE_MAX)
        seal.update(read)
        return read

    try:
        return rows.read(header.received, line)
    except (ValueError, TypeError, KeyError, RecursionError) as fault:
        raise Damaged(f"what was received is damaged: {fault}"[:200], header) from fault


def _header(line: bytes) -> Header:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise Damaged("the first line is damaged" if line else "the file is empty")
    try:
        fields = json.loads(text)
        if fields["format"] not in (FORMAT, FORMAT_RECEIVED):
            raise Damaged(f"it has format {fields['format']}, written by another version of the agent")
        return Header(
            owner=str(fields["owner"]),
            token=int(fields["token"]),
            generation=int(fields["generation"]),
            digest=str(fields["digest"]),
            count=int(fields["count"]),
            received=dict(fields["received"]) if fields["format"] == FORMAT_RECEIVED else None,
        )
    except (ValueError, TypeError, KeyError) as fault:
        raise Damaged(f"the first line is not a header: {fault}") from fault
