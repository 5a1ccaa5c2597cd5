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

    def full(self, now: float) -> bool:
        """Whether no more can be remembered: then no more may be taken either."""
        while self._ends and self._ends[0][0] <= now:
            self._known.discard(heapq.heappop(self._ends)[1])
        return len(self._known) >= self._most

    def take(self, client: str, number: str, until: float) -> bool:
        """Whether the number was not used before; now it is."""
        entry = (client, number)
        if entry in self._known:
            return False
        self._known.add(entry)
        heapq.heappush(self._ends, (until, entry))
        return True
