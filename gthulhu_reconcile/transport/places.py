"""Which agents' connections stay open between calls: a bounded number, so that a fleet never eats all descriptors."""

from __future__ import annotations

from collections import OrderedDict


class Places:
    """Keep-alive places for agents, first come first served; one is free again when its connection has idled out.

    Reuse beats any choice of a library (four times the calls a second), but an idle connection costs a descriptor
    and some 15 KiB. Beside the ``count`` places there are ``passing`` ones for agents whose next call follows at once.
    """

    def __init__(self, count: int, passing: int, seconds: float) -> None:
        self._seconds = seconds
        self._staying = _Places(count)
        self._passing = _Places(passing)

    def take(self, url: str, now: float, *, more: bool = False) -> bool:
        """Whether the connection to ``url`` may stay open after a call that begins ``now`` (loop time).

        ``more``: another call follows at once.
        """
        # The pool looks for idle connections once in that time, so one lives for at most twice as long.
        since = now - 2 * self._seconds
        if self._staying.take(url, now, since):
            return True
        if more:
            return self._passing.take(url, now, since)
        self._passing.leave(url)
        return False


class _Places:
    def __init__(self, count: int) -> None:
        self._count = count
        self._last_use: OrderedDict[str, float] = OrderedDict()

    def take(self, url: str, now: float, since: float) -> bool:
        if url not in self._last_use and len(self._last_use) >= self._count:
            self._drop_idle(since)
            if len(self._last_use) >= self._count:
                return False
        self._last_use[url] = now
        self._last_use.move_to_end(url)
        return True

    def leave(self, url: str) -> None:
        self._last_use.pop(url, None)

    def _drop_idle(self, since: float) -> None:
        while self._last_use:
            url, used = next(iter(self._last_use.items()))
            if used > since:
                return
            del self._last_use[url]
