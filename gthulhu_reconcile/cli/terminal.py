"""Standard output carries data, standard error everything else; both survive pipes that close early."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from enum import StrEnum
from typing import TextIO

from rich.console import Console
from rich.text import Text

from gthulhu_reconcile.cli.streams import detach

NARROWEST = 40
PIPE_WIDTH = 100
"""Columns that boxes are drawn for where nobody says how wide the output is."""


class Color(StrEnum):
    """``--color``."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def wants_color(choice: Color, environ: Mapping[str, str], *, is_terminal: bool) -> bool:
    """Whether to colour: the option, then NO_COLOR (https://no-color.org), then whether a person is looking."""
    if choice is not Color.AUTO:
        return choice is Color.ALWAYS
    return is_terminal and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


class _Stream(Console):
    """A console whose reader may go away: what is running (an apply, say) goes on, unseen."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        detach(self.file)


class Terminal:
    """Both streams of one run."""

    def __init__(
        self,
        color: Color = Color.AUTO,
        *,
        out: TextIO | None = None,
        err: TextIO | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        environ = os.environ if environ is None else environ
        err = err or sys.stderr
        self._watched = err.isatty()
        self._out = _stream(out or sys.stdout, color, environ)
        self._err = _stream(err, color, environ)

    @property
    def width(self) -> int:
        """Columns of standard output."""
        return self._out.width

    @property
    def color(self) -> bool:
        """Whether standard output is coloured."""
        return self._out.color_system is not None

    def show(self, text: Text) -> None:
        """Data for people, to standard output. Lines are not folded: a pipe's reader wants them whole."""
        _print(self._out, text)

    def data(self, text: str) -> None:
        """Data for machines, to standard output: no colour, UTF-8 whatever the locale, one newline at the end."""
        _write(self._out, text if text.endswith("\n") else f"{text}\n")

    def json(self, document: object) -> None:
        """One JSON document, to standard output."""
        self.data(json.dumps(document, indent=2, ensure_ascii=False))

    def note(self, text: Text | str) -> None:
        """Everything that is not data, to standard error."""
        _print(self._err, Text(text) if isinstance(text, str) else text)

    @contextlib.contextmanager
    def working(self, what: str) -> Iterator[Callable[[str], None]]:
        """Say on standard error what is going on for as long as it does; silent where nobody looks."""
        if not self._watched or self._err.is_dumb_terminal:
            yield lambda _: None
            return
        with self._err.status(Text(what), spinner="line") as status:
            yield lambda text: status.update(Text(text))

    def confirm(self, question: str) -> bool:
        """Ask on standard error; only ``yes`` is yes. The end of input is no."""
        self._err.print(Text(f"{question} Only 'yes' goes on: ", style="bold"), end="", soft_wrap=True)
        return sys.stdin.readline().strip() == "yes"


def _stream(file: TextIO, color: Color, environ: Mapping[str, str]) -> _Stream:
    _escape_what_the_locale_lacks(file)
    is_terminal = file.isatty()
    colored = wants_color(color, environ, is_terminal=is_terminal)
    columns = environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else None if is_terminal else PIPE_WIDTH
    return _Stream(
        file=file,
        color_system="standard" if colored else None,
        force_terminal=is_terminal or colored,
        no_color=not colored,
        width=None if width is None else max(width, NARROWEST),
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
        _environ=environ,
    )


def _escape_what_the_locale_lacks(file: TextIO) -> None:
    # Under LANG=C a name with an umlaut would otherwise end the program with UnicodeEncodeError.
    if hasattr(file, "reconfigure"):
        file.reconfigure(errors="backslashreplace")


def _print(console: _Stream, text: Text) -> None:
    if console.color_system is None:
        # Rich needs a tenth of a millisecond a line; a plan may have a hundred thousand.
        _write(console, f"{text.plain}\n", utf8=False)
    else:
        console.print(text, soft_wrap=True)


def _write(console: _Stream, text: str, *, utf8: bool = True) -> None:
    if console.quiet:
        return
    file = console.file
    try:
        buffer = getattr(file, "buffer", None) if utf8 else None
        if buffer is None:
            file.write(text)
        else:
            file.flush()
            buffer.write(text.encode("utf-8", "backslashreplace"))
        file.flush()
    except BrokenPipeError:
        console.on_broken_pipe()
