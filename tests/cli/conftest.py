"""Golden files: what is printed, in plain text, to be read in a review. ``pytest --snapshot-update`` writes them."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable

import pytest
from rich.text import Text
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode

from gthulhu_reconcile.cli.terminal import Color, Terminal

WIDTH = "100"


class PlainText(SingleFileSnapshotExtension):
    """One file for each golden text."""

    _write_mode = WriteMode.TEXT
    file_extension = "txt"


@pytest.fixture
def golden(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    """Compare with a file of its own."""
    return snapshot.use_extension(PlainText)


@pytest.fixture
def drawn() -> Callable[..., str]:
    """What a reader of standard output sees of some texts."""

    def draw(texts: Iterable[Text], *, color: Color = Color.NEVER) -> str:
        out = io.StringIO()
        terminal = Terminal(color, out=out, err=io.StringIO(), environ={"COLUMNS": WIDTH})
        for text in texts:
            terminal.show(text)
        return out.getvalue()

    return draw
