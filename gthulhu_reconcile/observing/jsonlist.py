"""A JSON object with one very long list, read element by element.

``kubectl get pods -A -o json`` of a large cluster has hundreds of megabytes. As one Python value that is gigabytes;
here no more than one element and one piece of the file are in memory.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol

from gthulhu_reconcile.loading.source import MAX_SNIPPET_WIDTH, printable
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span

PIECE = 1 << 20
MAX_VALUE = 8 << 20
"""Characters of one element; etcd takes no object above 1.5 MiB."""

_BLANK = re.compile(r"[ \t\n\r]*")
_WIDE = ((codecs.BOM_UTF32_LE, "UTF-32"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"))


class Unreadable(Exception):  # noqa: N818 - says what is the matter
    """The file cannot be read to its end."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Readable(Protocol):
    """An open binary file, as far as it is needed."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the outer object that is not the list."""

    key: str
    value: object


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the list."""

    number: int
    value: object


class JsonList:
    """Reads ``{"a": …, "items": [ … ], "b": …}``; yields its members, and of ``items`` each element.

    ``listed`` says whether the list was there.
    """

    def __init__(self, file: Readable, path: str, *, most: int, items: str = "items") -> None:
        self.listed = False
        self._file = file
        self._path = path
        self._most = most
        self._items = items
        self._read = 0
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._scan = json.JSONDecoder(parse_constant=_no_constant)
        self._text = ""
        self._at = 0
        self._start = 0
        self._line = 1
        self._column = 1
        self._ended = False

    def read(self) -> Iterator[Member | Element]:
        """Everything, in the order of the file.

        Raises:
            Unreadable: the file is damaged, cut off, or over its limits. What came before must not be acted on.
        """
        self._expect("{", "an object")
        seen: set[str] = set()
        while self._peek() != "}":
            if seen:
                self._expect(",", "',' or '}'")
            key = self._key()
            if key in seen:
                self._fail(Code.DUPLICATE_KEY, f"'{printable(key[:60])}' is there twice", self._start)
            seen.add(key)
            self._expect(":", "':'")
            if key == self._items and self._peek() == "[":
                self.listed = True
                yield from self._elements()
            else:
                yield Member(key, self._value())
        self._at += 1
        if self._peek():
            self._fail(Code.JSON_SYNTAX, "there is more after the end of the object", self._at)

    def diagnose(self, code: Code, pointer: Sequence[str | int], message: str, hint: str = "") -> Diagnostic:
        """A diagnostic about a part of the value that was yielded last."""
        begin, end = locate(self._text, self._start, pointer)
        return self._diagnostic(code, message, begin, end, hint)

    def _elements(self) -> Iterator[Element]:
        self._at += 1
        number = 0
        while self._peek() != "]":
            if number:
                self._expect(",", "',' or ']'")
            yield Element(number, self._value())
            number += 1
        self._at += 1

    def _key(self) -> str:
        if self._peek() != '"':
            self._fail(Code.JSON_SYNTAX, "a key in double quotes is expected", self._at)
        return str(self._value())

    def _value(self) -> object:
        self._peek()
        while True:
            try:
                value, end = self._scan.raw_decode(self._text, self._at)
            except RecursionError:
                self._fail(Code.TOO_LARGE, "is nested too deeply", self._at)
            except json.JSONDecodeError as error:
                # What is cut off by the end of a piece and what is wrong look alike until there is no more.
                if not self._more():
                    at = min(error.pos, len(self._text))
                    self._fail(Code.JSON_SYNTAX, _problem(error.msg, cut=at >= len(self._text)), at)
            except ValueError as error:
                self._fail(Code.JSON_SYNTAX, str(error), self._at)
            else:
                # A number at the end of a piece may go on in the next one.
                if end < len(self._text) or not self._more():
                    self._start, self._at = self._at, end
                    return value

    def _peek(self) -> str:
        while True:
            found = _BLANK.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            self._start = self._at
            if not self._more():
                return ""

    def _expect(self, character: str, what: str) -> None:
        if self._peek() != character:
            cut = self._at >= len(self._text)
            self._fail(Code.JSON_SYNTAX, "the file is cut off" if cut else f"{what} is expected here", self._at)
        self._at += 1

    def _more(self) -> bool:
        """Read another piece; what has been dealt with is dropped."""
        if self._ended:
            return False
        if len(self._text) - self._at > MAX_VALUE:
            self._fail(Code.TOO_LARGE, f"has more than {MAX_VALUE:,} characters", self._at)
        self._drop(min(self._start, self._at))
        piece = self._file.read(max(PIECE, len(self._text)))
        self._read += len(piece)
        if self._read > self._most:
            self._fail(Code.TOO_LARGE, f"the file has more than {self._most:,} bytes", len(self._text))
        self._refuse_wide(piece)
        self._ended = not piece
        try:
            self._text += self._decoder.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            self._text += error.object[: error.start].decode(errors="replace")
            self._fail(Code.ENCODING, f"byte 0x{error.object[error.start]:02x} is not UTF-8", len(self._text))
        return not self._ended

    def _refuse_wide(self, piece: bytes) -> None:
        for mark, name in _WIDE if self._read == len(piece) else ():
            if piece.startswith(mark):
                diagnostic = self._diagnostic(
                    Code.ENCODING,
                    f"is {name}, not UTF-8",
                    0,
                    0,
                    "PowerShell's > writes UTF-16; use | Out-File -Encoding utf8",
                )
                raise Unreadable(diagnostic)

    def _drop(self, count: int) -> None:
        breaks = self._text.count("\n", 0, count)
        if breaks:
            self._line += breaks
            self._column = count - self._text.rindex("\n", 0, count)
        else:
            self._column += count
        self._text = self._text[count:]
        self._at -= count
        self._start -= count

    def _fail(self, code: Code, message: str, at: int) -> NoReturn:
        raise Unreadable(self._diagnostic(code, message, at, at + 1))

    def _diagnostic(self, code: Code, message: str, begin: int, end: int, hint: str = "") -> Diagnostic:
        line = self._line + self._text.count("\n", 0, begin)
        first = self._text.rfind("\n", 0, begin) + 1
        column = begin - first + (self._column if first == 0 else 1)
        break_at = self._text.find("\n", begin, begin + MAX_SNIPPET_WIDTH)
        last = break_at if break_at >= 0 else min(len(self._text), begin + MAX_SNIPPET_WIDTH)
        width = max(1, min(end, max(last, begin + 1)) - begin)
        whole_line = first > 0 or self._column == 1
        snippet = ((line, printable(self._text[first:last])),) if whole_line and column <= MAX_SNIPPET_WIDTH else ()
        return Diagnostic(
            code, Severity.ERROR, Span(self._path, line, column, column + width), message, hint, snippet=snippet
        )


def locate(text: str, at: int, pointer: Sequence[str | int]) -> tuple[int, int]:
    """Begin and end of the value at ``pointer`` inside of the JSON value at ``at``, or of the nearest around it."""
    scan = json.JSONDecoder().raw_decode
    for part in pointer:
        found = _member(text, at, part)
        if found is None:
            break
        at = found
    return at, scan(text, at)[1]


def _member(text: str, at: int, part: str | int) -> int | None:
    opening = text[at]
    if opening not in "{[" or (opening == "{") != isinstance(part, str):
        return None
    scan = json.JSONDecoder().raw_decode
    at = _skip(text, at + 1)
    number = 0
    while text[at] not in "}]":
        name: str | int = number
        if opening == "{":
            name, end = scan(text, at)
            at = _skip(text, _skip(text, end) + 1)
        if name == part:
            return at
        at = _skip(text, scan(text, at)[1])
        if text[at] == ",":
            at = _skip(text, at + 1)
        number += 1
    return None


def _skip(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _problem(message: str, *, cut: bool) -> str:
    if cut:
        return "the file is cut off"
    return f"is not JSON: {message[:1].lower()}{message[1:]}"


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
