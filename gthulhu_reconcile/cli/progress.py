"""Progress of long work, on a terminal's standard error and nowhere else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from gthulhu_reconcile.cli.terminal import Terminal

Tell = Callable[[str, int, int], None]
"""Called with the phase, how much of it is done, and of how much."""

WORDS = {"load": "reading policies", "observe": "asking agents", "plan": "planning", "push": "pushing"}


@contextmanager
def progress(terminal: Terminal, what: str) -> Iterator[Tell]:
    """Show ``what``, and then what is told; what was shown is gone afterwards."""
    with terminal.working(what) as say:

        def tell(phase: str, done: int, of: int) -> None:
            word = WORDS.get(phase, phase)
            say(f"{word} {done}/{of}" if of else word)

        yield tell
