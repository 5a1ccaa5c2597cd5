"""Which agents' connections stay open between calls: a bounded number, so that a fleet never eats all descriptors."""

from __future__ import annotations

from collections import OrderedDict


class Places:
    """Keep-alive places for agents, first come first served; one is free again when its connection has idled out.

    Reuse beats any choice of a library (four times the calls a second), but an idle connection costs a descriptor
    and some 15 KiB.
    """

    def __init__(self, count: int, seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._last_use: OrderedDict[str, float] = OrderedDict()

    def take(self, url: str, now: float) -> bool:
        """Whether the connection to ``url`` may stay open after a call that begins ``now`` (loop time)."""
        if url not in self._last_use and len(self._last_use) >= self._count:
            self._drop_idle(now)
            if len(self._last_use) >= self._count:
                return False
        self._last_use[url] = now
        self._last_use.move_to_end(url)
        return True

    def _drop_idle(self, now: float) -> None:
        # The pool looks for idle connections once in that time, so one lives for at most twice as long.
        while self._last_use:
            url, used = next(iter(self._last_use.items()))
            if now - used < 2 * self._seconds:
                return
            del self._last_use[url]
