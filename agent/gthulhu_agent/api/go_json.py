"""JSON as Go's encoding/json reads and writes it, which is what a Decision Maker's clients were made for.

Reading: the first document counts and what follows it does not; names are told apart without their case, and the last
of several wins; null empties maps and lists, and leaves all else as it is; a list that is there twice is read over the
elements of the former one; an integer is written as one, within its bits; what nobody knows is passed over; what is no
UTF-8 becomes U+FFFD. Writing: no spaces, ``<``, ``>``, ``&`` and the two line separators escaped, a
newline at the end.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import NoReturn

Reader = Callable[[object, object], object]
"""From a decoded value, never None, and what an earlier field of the same name left, to what is kept."""

INT64 = range(-(2**63), 2**63)
UINT64 = range(2**64)

_SPACE = re.compile(r"[ \t\n\r]*")
_FOLDED = str.maketrans({"\u017f": "s", "\u212a": "k"})
"""The two letters outside of ASCII that Unicode's simple folding takes for letters in it."""
_SURROGATES = re.compile("[\ud800-\udfff]")
_ESCAPED = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_TO_ESCAPE = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


class Unreadable(ValueError):  # noqa: N818 - says what is the matter
    """The body is not what Go would take."""


class Members(list[tuple[str, object]]):
    """An object as it was written: its names in their case and their order, also those that are there twice."""


class Rows(list[dict[str, object]]):
    """A list as Go keeps it.

    Attributes:
        behind: elements of a longer one of the same name, the first of them last: Go keeps them behind the end of the
            slice, and a still later list that is longer is read over them.
    """

    behind: list[dict[str, object]] | None = None


class Struct:
    """The fields of an object by name; what none of them has is passed over.

    ``withdrawn`` are those that null takes back, Go's pointers.
    """

    def __init__(self, fields: Mapping[str, Reader], withdrawn: Collection[str] = ()) -> None:
        self._withdrawn = frozenset(withdrawn)
        self._fields = {name: (name, reader) for name, reader in fields.items()}
        self._folded = {_fold(name): entry for name, entry in self._fields.items()}

    def __call__(self, value: object, former: object = None) -> dict[str, object]:
        """The fields of ``value`` that are there, over those of ``former``, which are no longer its own.

        Raises:
            Unreadable: it is no object, or a field is not what it has to be.
        """
        if not isinstance(value, Members):
            raise Unreadable("an object is what has to be here")
        found: dict[str, object] = former if isinstance(former, dict) else {}
        fields = self._fields
        for key, member in value:
            entry = fields.get(key) or self._folded.get(_fold(key))
            if entry is None:
                continue
            name, reader = entry
            if member is not None:
                found[name] = reader(member, found.get(name))
            elif name in self._withdrawn or isinstance(found.get(name), dict | Rows):
                found.pop(name, None)
        return found


def read(body: bytes | bytearray, shape: Struct) -> dict[str, object]:
    """The first document of ``body`` as ``shape`` has it; nothing but null is an object of no fields.

    Raises:
        Unreadable: it is not one.
    """
    text = bytes(body).decode("utf-8", _REPLACE_BYTES)
    start = _SPACE.match(text)
    try:
        value, _ = _DECODER.raw_decode(text, start.end() if start else 0)
    except RecursionError as error:
        raise Unreadable("it is nested too deeply") from error
    except ValueError as error:  # no JSON, or a number of more digits than Python converts
        raise Unreadable(str(error)) from error
    return {} if value is None else shape(value)


def text(value: object, _former: object = None) -> str:
    """A string.

    Raises:
        Unreadable: it is none.
    """
    if not isinstance(value, str):
        raise Unreadable("a string is what has to be here")
    return value if value.isascii() else _SURROGATES.sub("\ufffd", value)


def integer(bits: range) -> Reader:
    """An integer within ``bits``."""

    def reader(value: object, _former: object = None) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or value not in bits:
            raise Unreadable("an integer is what has to be here")
        return value

    return reader


def boolean(value: object, _former: object = None) -> bool:
    """True or false.

    Raises:
        Unreadable: it is neither.
    """
    if not isinstance(value, bool):
        raise Unreadable("true or false is what has to be here")
    return value


def texts_by_name(value: object, former: object = None) -> dict[str, str]:
    """A map of strings. One that is there twice is one with the entries of both.

    Raises:
        Unreadable: it is no such map.
    """
    if not isinstance(value, Members):
        raise Unreadable("an object is what has to be here")
    found: dict[str, str] = former if isinstance(former, dict) else {}
    for key, member in value:
        found[text(key)] = "" if member is None else text(member)
    return found


def list_of(shape: Struct) -> Reader:
    """A list of objects; null is one of no fields, or the one that it is read over."""

    def reader(value: object, former: object = None) -> Rows:
        if not isinstance(value, list) or isinstance(value, Members):
            raise Unreadable("an array is what has to be here")
        if not isinstance(former, Rows) or not value:
            return Rows({} if entry is None else shape(entry) for entry in value)
        return _over(former, value, shape)

    return reader


def _over(rows: Rows, value: list[object], shape: Struct) -> Rows:
    # In place: of a list that is there a million times each reading must cost no more than what it says.
    behind = rows.behind = rows.behind or []
    for at, entry in enumerate(value):
        if at == len(rows):
            rows.append(behind.pop() if behind else {})
        if entry is not None:
            rows[at] = shape(entry, rows[at])
    while len(rows) > len(value):
        behind.append(rows.pop())
    return rows


def write(value: object) -> str:
    """``value`` without the newline at its end."""
    return _TO_ESCAPE.sub(_escape, json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def encode(value: object) -> bytes:
    """``value`` as a whole body."""
    return write(value).encode() + b"\n"


def _escape(match: re.Match[str]) -> str:
    return _ESCAPED.get(match[0], "\\ufffd")


def _fold(name: str) -> str:
    return name.lower() if name.isascii() else name.translate(_FOLDED).lower()


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _replace_bytes(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)  # noqa: S101 - it is registered for decoding alone
    return "\ufffd" * (error.end - error.start), error.end


_REPLACE_BYTES = "gthulhu-replace-bytes"
codecs.register_error(_REPLACE_BYTES, _replace_bytes)
_DECODER = json.JSONDecoder(object_pairs_hook=Members, parse_constant=_constant)
