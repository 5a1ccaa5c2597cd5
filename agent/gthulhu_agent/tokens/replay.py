"""Numbers of assertions that were used: each is good for one login. Bounded, and never forgetful to make room."""

from __future__ import annotations

import heapq

MOST = 20_000


class Used:
    """Numbers by client, each until its assertion has ended."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: set[tuple[str, str]] = set()
        self._ends: list[tuple[float, tuple[str, str]]] = []
        self._forgotten = float("-inf")
        """What ended by then may have been known."""

    def full(self, now: float) -> bool:
        """Whether no more can be remembered: then no more may be taken either."""
        while self._ends and self._ends[0][0] <= now:
            end, entry = heapq.heappop(self._ends)
            self._known.discard(entry)
            self._forgotten = max(self._forgotten, end)
        return len(self._known) >= self._most

    def take(self, client: str, number: str, until: float) -> bool:
        """Whether the number was not used before; now it is.

        One that was forgotten counts as used: the clock may have been set back, or the caller judged its end earlier.
        """
        entry = (client, number)
        if entry in self._known or until <= self._forgotten:
            return False
        self._known.add(entry)
        heapq.heappush(self._ends, (until, entry))
        return True
