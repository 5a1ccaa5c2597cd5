"""What asks for a pass, and the one place where the asking waits.

Level-triggered: a pass looks at everything, so any number of causes that arrive before it begins are one pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import StrEnum


class Cause(StrEnum):
    """Why a pass runs. A closed list, documented in docs/service.md."""

    START = "start"
    CLOCK = "clock"
    WINDOW = "window"
    """A time window or a suspension of a policy begins or ends."""
    FILES = "files"
    RELOAD = "reload"
    RETRY = "retry"


class Causes:
    """The causes that wait for their pass.

    Args:
        clock: seconds that only grow, as the event loop counts them.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[Cause, float] = {}
        self._some = asyncio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        """How many different causes wait."""
        return len(self._waiting)

    @property
    def oldest(self) -> float:
        """Seconds that the first of them has waited; 0 where none does."""
        return self._clock() - min(self._waiting.values()) if self._waiting else 0.0

    def post(self, cause: Cause) -> bool:
        """Ask for a pass. False where the same cause waits already, and the two become one."""
        if self._closed or cause in self._waiting:
            return False
        self._waiting[cause] = self._clock()
        self._some.set()
        return True

    def withdraw(self, cause: Cause) -> None:
        """Ask no longer for this cause."""
        self._waiting.pop(cause, None)
        if not self._waiting and not self._closed:
            self._some.clear()

    async def take(self) -> dict[Cause, float]:
        """Wait until something asks for a pass; all causes that wait, with the time at which each began to.

        Nothing comes after :meth:`close`.
        """
        await self._some.wait()
        taken, self._waiting = self._waiting, {}
        if not self._closed:
            self._some.clear()
        return taken

    def close(self) -> None:
        """Let no further pass begin."""
        self._closed = True
        self._waiting.clear()
        self._some.set()
