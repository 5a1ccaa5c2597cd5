"""How the demo speaks."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from demo.measuring import Measured

_console = Console(highlight=False, force_terminal=True if os.environ.get("DEMO_COLOR") else None)


def heading(title: str, detail: str = "") -> None:
    """A step of the demo."""
    _console.print()
    _console.print(Text.assemble(("== ", "cyan"), (title, "bold"), f" {detail}"))


def note(text: str) -> None:
    """One line of what is going on."""
    _console.print(Text.assemble(("  ", ""), (text, "dim")), soft_wrap=True)


@contextlib.contextmanager
def progress(what: str) -> Iterator[Callable[[float], None]]:
    """A line on a terminal's stderr that says how long something has been going on; nothing elsewhere."""
    shown = sys.stderr.isatty()

    def tick(passed: float) -> None:
        if shown:
            print(f"\r  {what} {passed:4.1f} s", end="", file=sys.stderr, flush=True)

    yield tick
    if shown:
        print("\r\033[K", end="", file=sys.stderr, flush=True)


def show_table(before: Measured, after: Measured) -> None:
    """The two intervals side by side."""
    table = Table("", "before", "after", "change", box=None, header_style="bold", pad_edge=False, padding=(0, 3, 0, 0))
    table.add_row("time slice", _slice(before), _slice(after), "")
    table.add_row("nice", str(before.nice), str(after.nice), "")
    table.add_row("weight of the pod", before.weight, after.weight, "")
    table.add_row("CPU share", f"{before.share:.1%}", f"{after.share:.1%}", _ratio(after.share, before.share))
    table.add_row("wake-ups", str(before.wakeups), str(after.wakeups), _ratio(after.wakeups, before.wakeups))
    table.add_row("late, p50", f"{before.p50:.2f} ms", f"{after.p50:.2f} ms", _ratio(after.p50, before.p50))
    table.add_row("late, p99", f"{before.p99:.2f} ms", f"{after.p99:.2f} ms", _ratio(after.p99, before.p99))
    _console.print(table)


def _slice(measured: Measured) -> str:
    return "not readable here" if measured.slice_ms is None else f"{measured.slice_ms:g} ms"


def _ratio(after: float, before: float) -> str:
    return f"x {after / before:.2f}" if before else ""
