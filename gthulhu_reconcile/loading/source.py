"""Text with places: decoding, lines and columns, snippets, diagnostics. Knows nothing of YAML."""

from __future__ import annotations

import codecs
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span

MAX_SNIPPET_WIDTH = 240
MAX_SHOWN = 60
MAX_POINTER = 1024
MAX_TEXT = 512
_CONTEXT_LINES = 1

_LINE_BREAK = re.compile(r"\r\n|\r|\n")
_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
_SAVE_AS = "save the file as UTF-8"


def shown(value: object) -> str:
    """A value as messages quote it: short, on one line, and without characters that steer a terminal."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int) and abs(value) >= 10**MAX_SHOWN:
        return "a very long number"
    text = value[: MAX_SHOWN + 1] if isinstance(value, str) else str(value)
    text = printable(text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…")
    return f"'{text}'" if isinstance(value, str) else text


def printable(text: str) -> str:
    """``text`` with one visible character for each that is none, so that columns stay where they are."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " if character == "\t" else "�" for character in text)


@dataclass(frozen=True)
class Source:
    """The text of one file. Lines end with LF, CR LF or CR, as in editors; columns count characters."""

    path: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(found.end() for found in _LINE_BREAK.finditer(self.text))]

    def span(self, start: int, end: int) -> Span:
        """The place of the characters ``start`` to ``end`` (exclusive), cut at the end of its first line."""
        line = bisect_right(self._starts, start)
        begin = self._starts[line - 1]
        last = begin + len(self._line(line))
        return Span(self.path, line, start - begin + 1, max(min(end, last), start + 1) - begin + 1)

    def offset(self, line: int) -> int:
        """Where the 1-based ``line`` begins."""
        return self._starts[min(line, len(self._starts)) - 1]

    def snippet(self, span: Span) -> tuple[tuple[int, str], ...]:
        """The lines around ``span``; none where its column is beyond what a screen shows."""
        if not 1 <= span.line <= len(self._starts) or span.column > MAX_SNIPPET_WIDTH:
            return ()
        numbers = range(max(1, span.line - _CONTEXT_LINES), min(len(self._starts), span.line + _CONTEXT_LINES) + 1)
        lines = [(number, printable(self._line(number)[:MAX_SNIPPET_WIDTH])) for number in numbers]
        if lines[-1][0] == len(self._starts) != span.line and not lines[-1][1]:
            lines.pop()  # what follows the last line break is no line to a reader
        return tuple(lines)

    def diagnostic(
        self,
        code: Code,
        span: Span,
        message: str,
        *,
        severity: Severity = Severity.ERROR,
        hint: str = "",
        suggestion: str = "",
        pointer: str = "",
    ) -> Diagnostic:
        """A diagnostic with the lines it is about; whatever it quotes is made fit for a terminal."""
        return Diagnostic(
            code=code,
            severity=severity,
            span=span,
            message=printable(message[:MAX_TEXT]),
            hint=printable(hint[:MAX_TEXT]),
            suggestion=printable(suggestion[:MAX_TEXT]),
            pointer=pointer,
            snippet=self.snippet(span),
        )

    def _line(self, number: int) -> str:
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")


def whole_file(
    path: str, code: Code, message: str, *, severity: Severity = Severity.ERROR, hint: str = ""
) -> Diagnostic:
    """A diagnostic about a file as such."""
    return Diagnostic(code, severity, Span(path, 0, 0, 0), message, hint)


def decode(data: bytes, path: str) -> Source | Diagnostic:
    """UTF-8, with or without a byte order mark, free of control characters; else what is wrong with it."""
    for mark, name in _WIDE_MARKS:
        if data.startswith(mark):
            return whole_file(path, Code.ENCODING, f"is {name}, not UTF-8", hint=_SAVE_AS)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = Source(path, data[: error.start].decode("utf-8-sig", errors="replace") + "�")
        at = len(before.text) - 1
        return before.diagnostic(
            Code.ENCODING,
            before.span(at, at + 1),
            f"byte 0x{data[error.start]:02x} is not UTF-8",
            hint=f"{_SAVE_AS}; this may be Latin-1 or Windows-1252",
        )
    source = Source(path, text)
    if found := _FORBIDDEN.search(text):
        if found[0] == "\0" and text.count("\0") * 3 > len(text):
            return whole_file(path, Code.ENCODING, "is UTF-16 without a byte order mark, or binary", hint=_SAVE_AS)
        return source.diagnostic(
            Code.ENCODING,
            source.span(*found.span()),
            f"the control character U+{ord(found[0]):04X} is not allowed",
            hint="remove it, or write it as an escape in double quotes",
        )
    return source


def pointer_text(parts: Sequence[str | int]) -> str:
    """JSON pointer (RFC 6901) of a path of keys and indices, cut where a hostile key would make it endless."""
    text = "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in parts)
    return text if len(text) <= MAX_POINTER else text[:MAX_POINTER]
