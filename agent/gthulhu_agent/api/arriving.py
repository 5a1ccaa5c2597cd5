"""Bodies that are on their way or worked on: so many bytes in all, whoever sends them and however slowly.

Bytes that have come are counted and not bodies that were begun: who sends slowly takes up little, and keeps nobody from
sending a set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gthulhu_agent.agent import Refused
from gthulhu_wire.refusals import Refusal

MOST = 128 * 1024 * 1024
"""Bytes of all bodies of one listener: one set of the largest, and others beside it."""


class Part:
    """What one body takes up."""

    def __init__(self, arriving: Arriving) -> None:
        self._arriving = arriving
        self.taken = 0

    def take(self, count: int) -> None:
        """So many bytes more have come.

        Raises:
            Refused: together with all others they are too many.
        """
        if self._arriving.taken + count > MOST:
            raise Refused(Refusal.BUSY, f"{MOST} bytes of bodies are on their way already", "send it again in a second")
        self.taken += count
        self._arriving.taken += count


class Arriving:
    """What all bodies of one listener take up now, in bytes."""

    def __init__(self) -> None:
        self.taken = 0

    @contextmanager
    def body(self) -> Iterator[Part]:
        """One body, until the block ends."""
        part = Part(self)
        try:
            yield part
        finally:
            self.taken -= part.taken
