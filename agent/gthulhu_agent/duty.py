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
        least: CPU seconds that are there again before work goes on. Little makes for short waits, and much for few
            beginnings.
    """

    def __init__(self, share: float, burst: float, monotonic: Callable[[], float], *, least: float = 0.001) -> None:
        self._share = share
        self._burst = burst
        self._least = least
        self._monotonic = monotonic
        self._level = burst
        self._at = monotonic()

    def charge(self, seconds: float) -> None:
        """Take ``seconds`` of CPU time out."""
        self._fill()
        self._level -= seconds

    def level(self) -> float:
        """CPU seconds that are saved up; below 0 where it is overdrawn."""
        self._fill()
        return self._level

    def wait(self, floor: float = 0.0) -> float:
        """Seconds until work may begin; 0 where it may now, because more than ``floor`` is saved up."""
        self._fill()
        return 0.0 if self._level > floor else (floor + self._least - self._level) / self._share

    def _fill(self) -> None:
        now = self._monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._share)
        self._at = now
