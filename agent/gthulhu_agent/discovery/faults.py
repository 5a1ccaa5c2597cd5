"""What a scan could not read, for :attr:`Snapshot.incomplete`: sorted, counted, bounded."""

from __future__ import annotations

from collections import Counter

MOST = 64
"""Lines that are kept; how many more there were is the last one."""


class Faults:
    """Faults of one scan."""

    def __init__(self) -> None:
        self._lines: set[str] = set()
        self._counts: Counter[str] = Counter()

    def add(self, line: str) -> None:
        """One fault, in words that stay the same from scan to scan."""
        self._lines.add(line)

    def count(self, what: str, number: int = 1) -> None:
        """A fault that many things share."""
        self._counts[what] += number

    def clear(self) -> None:
        """Begin anew."""
        self._lines.clear()
        self._counts.clear()

    def lines(self) -> tuple[str, ...]:
        """The faults, sorted, so that the same faults are the same value."""
        every = sorted(self._lines | {f"{what} ({number})" for what, number in self._counts.items()})
        if len(every) <= MOST:
            return tuple(every)
        return (*every[:MOST], f"and {len(every) - MOST} more")
