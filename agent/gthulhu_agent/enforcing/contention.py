"""Cgroups whose weight somebody else keeps writing: left alone for a while, since each answer would bring the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

MOST = 10
"""Rebases within the window that an owner may need: a kubelet or systemd writes now and then, not every scan."""
_WINDOW = 60.0
_PAUSE = 300.0


class Contention:
    """Counts rebases by cgroup; ``clock`` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._recent: dict[str, deque[float]] = {}
        self._until: dict[str, float] = {}

    def yields(self, cgroup: str) -> bool:
        """Whether ``cgroup``, whose weight somebody else has just written, is to be left to them; counts it."""
        now = self._clock()
        if now < self._until.get(cgroup, 0.0):
            return True
        recent = self._recent.setdefault(cgroup, deque(maxlen=MOST + 1))
        recent.append(now)
        if len(recent) > MOST and now - recent[0] <= _WINDOW:
            self._until[cgroup] = now + _PAUSE
            del self._recent[cgroup]
            return True
        return False

    def standing(self) -> tuple[str, ...]:
        """Cgroups that are left alone now."""
        now = self._clock()
        self._until = {cgroup: until for cgroup, until in self._until.items() if now < until}
        self._recent = {cgroup: recent for cgroup, recent in self._recent.items() if now - recent[-1] <= _WINDOW}
        return tuple(sorted(self._until))
