"""What a scan could not read, for :attr:`Snapshot.incomplete`: sorted, counted, bounded."""

from __future__ import annotations

MOST = 64
"""Lines that are kept; how many more there were is the last one."""


class Faults:
    """Faults of one scan."""

    def __init__(self) -> None:
        self._lines: set[str] = set()
        self._things: dict[str, set[int]] = {}
        self._numbers: dict[str, int] = {}

    def add(self, line: str) -> None:
        """One fault, in words that stay the same from scan to scan."""
        self._lines.add(line)

    def each(self, what: str, thing: int) -> None:
        """A fault that many things share; the same thing counts once, however often it is met."""
        self._things.setdefault(what, set()).add(thing)

    def many(self, what: str, number: int) -> None:
        """A fault of so many things that have no name; of several counts the highest stays."""
        self._numbers[what] = max(number, self._numbers.get(what, 0))

    def clear(self) -> None:
        """Begin anew."""
        self._lines.clear()
        self._things.clear()
        self._numbers.clear()

    def lines(self) -> tuple[str, ...]:
        """The faults, sorted, so that the same faults are the same value."""
        counts = {what: len(things) for what, things in self._things.items()} | self._numbers
        every = sorted(self._lines | {f"{what} ({number})" for what, number in counts.items()})
        if len(every) <= MOST:
            return tuple(every)
        return (*every[:MOST], f"and {len(every) - MOST} more")
