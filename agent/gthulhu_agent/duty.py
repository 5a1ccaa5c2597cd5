"""How much of one CPU a kind of work may take: at once while there is little of it, at a steady share when not."""

from __future__ import annotations

from collections.abc import Callable


class Duty:
    """A bucket of CPU seconds that fills at ``share`` per second up to ``burst``.

    Work may begin while the bucket is not empty, and may overdraw it; the next then waits until it is filled again.

    Args:
        share: CPU seconds per second.
        burst: CPU seconds that may be saved up.
        monotonic: the time, in seconds.
    """

    def __init__(self, share: float, burst: float, monotonic: Callable[[], float]) -> None:
        self._share = share
        self._burst = burst
        self._monotonic = monotonic
        self._level = burst
        self._at = monotonic()

    def charge(self, seconds: float) -> None:
        """Take ``seconds`` of CPU time out."""
        self._fill()
        self._level -= seconds

    def wait(self) -> float:
        """Seconds until work may begin; 0 where it may now."""
        self._fill()
        return 0.0 if self._level > 0 else (_LEAST * self._burst - self._level) / self._share

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._share)
        self._at = now


_LEAST = 0.02
"""So much of the burst is there again before work goes on: less would be many beginnings of nothing."""
