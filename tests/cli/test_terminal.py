"""Colour, width and streams, as users and pipes expect them."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.text import Text

from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.terminal import Color, Terminal, wants_color


@pytest.mark.parametrize(
    ("choice", "environ", "is_terminal", "colored"),
    [
        (Color.AUTO, {}, True, True),
        (Color.AUTO, {}, False, False),
        (Color.AUTO, {"NO_COLOR": "1"}, True, False),
        (Color.AUTO, {"NO_COLOR": ""}, True, True),
        (Color.AUTO, {"TERM": "dumb"}, True, False),
        (Color.ALWAYS, {"NO_COLOR": "1"}, False, True),
        (Color.NEVER, {}, True, False),
    ],
)
def test_who_decides_about_colour(choice: Color, environ: Mapping[str, str], is_terminal: bool, colored: bool) -> None:
    assert wants_color(choice, environ, is_terminal=is_terminal) is colored


def red() -> Text:
    return Text().append("red", style="red")


def test_colour_reaches_a_pipe_only_on_demand() -> None:
    for choice, wanted in ((Color.AUTO, "red\n"), (Color.ALWAYS, "\x1b[31mred\x1b[0m\n")):
        out = io.StringIO()
        Terminal(choice, out=out, err=io.StringIO(), environ={}).show(red())
        assert out.getvalue() == wanted


@pytest.mark.parametrize("choice", list(Color))
def test_lines_are_never_folded(choice: Color) -> None:
    out = io.StringIO()
    terminal = Terminal(choice, out=out, err=io.StringIO(), environ={"COLUMNS": "40"})
    terminal.show(Text("x " * 200))
    assert out.getvalue().count("\n") == 1


@pytest.mark.parametrize("choice", list(Color))
def test_text_is_printed_as_it_is(choice: Color) -> None:
    """Neither markup nor emoji codes: a pod may be called so."""
    out = io.StringIO()
    Terminal(choice, out=out, err=io.StringIO(), environ={}).show(Text("[bold]:smile: 3.14 'x'"))
    assert out.getvalue() == "[bold]:smile: 3.14 'x'\n"


def test_data_is_utf_8_whatever_the_locale() -> None:
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii")
    terminal = Terminal(Color.ALWAYS, out=out, err=io.StringIO(), environ={})
    terminal.json({"name": "früh"})
    assert raw.getvalue().decode("utf-8") == '{\n  "name": "früh"\n}\n'


class _Gone(io.StringIO):
    def write(self, _: str) -> int:
        raise BrokenPipeError

    def fileno(self) -> int:
        raise OSError


@pytest.mark.parametrize("choice", list(Color))
def test_a_reader_that_goes_away_stops_nothing(choice: Color) -> None:
    """An apply that runs must not be cut off because somebody reads only its first lines."""
    terminal = Terminal(choice, out=_Gone(), err=_Gone(), environ={})
    for _ in range(3):
        terminal.show(red())
        terminal.data("{}")
        terminal.note("said")


def test_progress_is_for_people_only() -> None:
    err = io.StringIO()
    terminal = Terminal(Color.AUTO, out=io.StringIO(), err=err, environ={})
    with progress(terminal, "working") as tell:
        tell("observe", 1, 2)
    assert err.getvalue() == ""


class _Watched(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_tells_how_far_it_is_and_goes_away() -> None:
    err = _Watched()
    terminal = Terminal(Color.AUTO, out=io.StringIO(), err=err, environ={"TERM": "xterm", "COLUMNS": "60"})
    with progress(terminal, "working") as tell:
        tell("observe", 1, 2)
    assert "asking agents 1/2" in err.getvalue()
    assert err.getvalue().endswith("\x1b[1A\x1b[2K")
