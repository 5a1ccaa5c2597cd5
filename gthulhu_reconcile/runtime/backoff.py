"""When a failed pass is tried again: full jitter below a bound that doubles, forgotten at the first success."""

from __future__ import annotations

from random import Random

_MOST_DOUBLINGS = 32


class Backoff:
    """Waits after failures in a row.

    Attributes:
        first: upper bound of the first wait, in seconds.
        most: upper bound of every wait, in seconds.
        failures: how many there have been since the last success.
    """

    def __init__(self, first: float, most: float, rng: Random) -> None:
        self.first = first
        self.most = most
        self.failures = 0
        self._rng = rng

    def failed(self) -> float:
        """Count a failure; the seconds to wait before the next try.

        The wait is at least a tenth of its bound: drawn from zero alone, one unlucky installation in a hundred would
        ask a broken fleet again at once.
        """
        bound = min(self.most, self.first * 2 ** min(self.failures, _MOST_DOUBLINGS))
        self.failures += 1
        return self._rng.uniform(bound / 10, bound)

    def succeeded(self) -> None:
        """Forget the failures."""
        self.failures = 0
