"""Who goes when a listener is full: the connection whose request has been awaited longest, not the caller who comes.

So clients that send slowly, however many, keep nobody out: a request that is sent at once is younger than theirs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

PATIENCE = 1.0
"""Seconds in which nobody is sent away: connections that all came a moment ago are a crowd and not slow."""


class Room:
    """The connections that wait for something to come from their callers, in the order in which they began to.

    A connection is known by any object; it is left alone while its request is worked on.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._waiting: dict[Hashable, float] = {}
        self._aborts: dict[Hashable, Callable[[], None]] = {}

    def came(self, connection: Hashable, abort: Callable[[], None]) -> None:
        """A connection waits from now on; ``abort`` ends it."""
        self._aborts[connection] = abort
        self._waiting[connection] = self._monotonic()

    def gone(self, connection: Hashable) -> None:
        """It has ended."""
        self._aborts.pop(connection, None)
        self._waiting.pop(connection, None)

    @contextmanager
    def working(self, connection: Hashable) -> Iterator[None]:
        """Its request has arrived and is worked on until the block ends; then it waits anew."""
        self._waiting.pop(connection, None)
        try:
            yield
        finally:
            if connection in self._aborts:
                self._waiting[connection] = self._monotonic()

    def make(self) -> bool:
        """Send away the one that waits longest; False where none has waited for :data:`PATIENCE`."""
        oldest = next(iter(self._waiting), None)
        if oldest is None or self._monotonic() - self._waiting[oldest] < PATIENCE:
            return False
        abort = self._aborts[oldest]
        self.gone(oldest)
        abort()
        return True
