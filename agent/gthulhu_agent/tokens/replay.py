"""Numbers of assertions that were used: each is good for one login. Bounded, and never forgetful to make room."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable

from gthulhu_agent.tokens.usedfile import Entry

MOST = 20_000
_FORGOTTEN = "forgotten"


class Used:
    """Numbers by client, each until its assertion has ended."""

    def __init__(self, most: int = MOST, known: Iterable[Entry] = ()) -> None:
        self._most = most
        self._known: set[str] = set()
        self._ends: list[Entry] = []
        self._forgotten = float("-inf")
        """What ended by then may have been known."""
        for entry in known:
            if entry.digest == _FORGOTTEN:
                self._forgotten = max(self._forgotten, entry.until)
            elif entry.digest not in self._known:
                self._known.add(entry.digest)
                self._ends.append(entry)
        heapq.heapify(self._ends)

    def full(self, now: float) -> bool:
        """Whether no more can be remembered: then no more may be taken either."""
        while self._ends and self._ends[0].until <= now:
            end, digest = heapq.heappop(self._ends)
            self._known.discard(digest)
            self._forgotten = max(self._forgotten, end)
        return len(self._known) >= self._most

    def take(self, client: str, number: str, until: float) -> Entry | None:
        """The number as it has to be kept, which is used now; None where it was before.

        One that was forgotten counts as used: the clock may have been set back, or the caller judged its end earlier.
        """
        digest = hashlib.sha256(f"{client}\0{number}".encode(errors="surrogatepass")).hexdigest()[:32]
        if digest in self._known or until <= self._forgotten:
            return None
        self._known.add(digest)
        entry = Entry(until, digest)
        heapq.heappush(self._ends, entry)
        return entry

    def entries(self) -> list[Entry]:
        """All that has to be kept."""
        forgotten = [] if self._forgotten == float("-inf") else [Entry(self._forgotten, _FORGOTTEN)]
        return [*forgotten, *self._ends]
