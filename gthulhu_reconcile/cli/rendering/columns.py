"""Rows aligned in columns: no borders, no folding, so that a pipe's reader gets whole lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len
from rich.text import Text

GAP = "  "


def columns(rows: Sequence[Sequence[Text]]) -> list[Text]:
    """Rows aligned to the widest cell of each column; the last column is not padded."""
    if not rows:
        return []
    widths = [max(cell_len(row[at].plain) for row in rows) for at in range(len(rows[0]))]
    return [_line(row, widths) for row in rows]


def _line(row: Sequence[Text], widths: Sequence[int]) -> Text:
    text = Text()
    for at, cell in enumerate(row):
        text.append_text(cell)
        if at < len(row) - 1:
            text.append(" " * (widths[at] - cell_len(cell.plain)) + GAP)
    text.rstrip()
    return text
