"""Taking in an answer without trusting its length, its speed or its encoding."""

from __future__ import annotations

import asyncio
from typing import Self

from aiohttp import ClientResponse

from gthulhu_reconcile.transport.answers import OddAnswer
from gthulhu_reconcile.transport.retrying import Deadlines

LARGE = 256 * 1024
"""From here on an answer counts against the budget that all answers share."""


class Budget:
    """Bytes that large answers may hold together, so that 512 of them do not become 16 GiB.

    An answer reserves all that it may come to before it is read on, so that two half-read ones never wait for each
    other. Whoever finds no room does not read, which TCP tells the sender.
    """

    def __init__(self, limit: int = 256 * 1024 * 1024) -> None:
        self._limit = limit
        self._taken = 0
        self._room = asyncio.Condition()

    def share(self) -> Share:
        """One answer's part, given back at the end of an ``async with``."""
        return Share(self)

    async def take(self, count: int) -> None:
        """Wait until ``count`` bytes are free; a single answer is always let through."""
        async with self._room:
            await self._room.wait_for(lambda: self._taken == 0 or self._taken + count <= self._limit)
            self._taken += count

    async def give_back(self, count: int) -> None:
        """What :meth:`take` took."""
        self._taken -= count
        async with self._room:
            self._room.notify_all()


class Share:
    """What one answer holds of the budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.held:
            await self._budget.give_back(self.held)
            self.held = 0

    async def reserve(self, size: int) -> None:
        """Hold ``size`` bytes until the share is given back."""
        await self._budget.take(size)
        self.held = size


async def read_body(
    response: ClientResponse, *, most: int, share: Share, timer: asyncio.Timeout, deadlines: Deadlines
) -> bytes:
    """The whole body, of at most ``most`` bytes. What really arrives prolongs ``timer``, as ``deadlines`` say.

    Raises:
        OddAnswer: it is larger, or compressed though we said that we take no such answer: a few KiB could unpack
            to gigabytes.
    """
    if response.headers.get("Content-Encoding", "identity").lower() not in ("", "identity"):
        raise OddAnswer("its answer is compressed, which was not asked for")
    length = response.content_length
    if length is not None and length > most:
        raise OddAnswer(f"its answer has {length} bytes; at most {most} are taken")
    parts = bytearray()
    credited = 0
    async for chunk in response.content.iter_any():
        parts += chunk
        if len(parts) > most:
            raise OddAnswer(f"its answer has more than {most} bytes")
        if len(parts) > LARGE:
            await _wait_for_room(share, most if length is None else length, timer)
            _prolong(timer, deadlines.allowance(len(parts) - credited))
            credited = len(parts)
    return bytes(parts)


async def _wait_for_room(share: Share, size: int, timer: asyncio.Timeout) -> None:
    if share.held:
        return
    loop = asyncio.get_running_loop()
    began, until = loop.time(), timer.when()
    # It is we who make the agent wait: that is not its slowness.
    timer.reschedule(None)
    await share.reserve(size)
    timer.reschedule(None if until is None else until + loop.time() - began)


def _prolong(timer: asyncio.Timeout, seconds: float) -> None:
    until = timer.when()
    if until is not None and not timer.expired():
        timer.reschedule(until + seconds)
