"""What time it is, passed to whoever has to know."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Clock:
    """Wall time in Unix seconds for instants that people name, monotonic time for all others."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    cpu: Callable[[], float] = time.thread_time
    """CPU seconds of the calling thread."""

    @property
    def now(self) -> int:
        """Whole Unix seconds."""
        return int(self.wall())
