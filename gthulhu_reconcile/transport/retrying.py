"""Trying again: full jitter, the agent's own wish as a floor, and one deadline over all of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gthulhu_reconcile.errors import AgentUnreachable

_T = TypeVar("_T")


class Rng(Protocol):
    """What of :class:`random.Random` is needed; injected, so that a test repeats."""

    def uniform(self, a: float, b: float, /) -> float:
        """A number between ``a`` and ``b``."""
        ...


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after which we stop waiting for an agent.

    Attributes:
        connect: until the connection stands.
        request: until an answer is there; every MiB that is really sent or received adds
            ``1 / least_mib_per_second``, so that a large set may take its time and a trickle may not.
        node: for everything that one node is asked in one go, its retries included.
        least_mib_per_second: slower than this is a trickle.
    """

    connect: float = 2.0
    request: float = 5.0
    node: float = 20.0
    least_mib_per_second: float = 2.0

    def allowance(self, count: int) -> float:
        """Seconds that ``count`` bytes may add to a request."""
        return count / (self.least_mib_per_second * 1024 * 1024)


@dataclass(frozen=True, slots=True)
class Backoff:
    """When to try again. Without jitter, agents that failed together would be asked together for ever.

    Attributes:
        tries: calls in all, the first one included.
        first: upper bound of the first pause, in seconds; it doubles each time.
        most: where it stops doubling, in seconds.
    """

    tries: int = 3
    first: float = 0.2
    most: float = 5.0

    def pause(self, failures: int, rng: Rng, floor: float = 0.0) -> float:
        """Seconds to wait after so many failures, at least ``floor`` (what ``Retry-After`` said)."""
        ceiling = min(self.most, self.first * 2 ** min(failures - 1, 30))
        return floor + rng.uniform(0.0, ceiling)


async def persist(title: str, call: Callable[[], Awaitable[_T]], *, deadline: float, backoff: Backoff, rng: Rng) -> _T:
    """The result of ``call``, which is tried again while that can help and ``deadline`` seconds are not over.

    Raises:
        AgentUnreachable: the last failure, or that time ran out.
        TerminalError: as ``call`` raised it, at once.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + deadline
    failures = 0
    while True:
        try:
            return await _within(title, call, end, deadline)
        except AgentUnreachable as error:
            failures += 1
            pause = backoff.pause(failures, rng, error.retry_after)
            if failures >= backoff.tries or loop.time() + pause >= end:
                raise
        await asyncio.sleep(pause)


async def _within(title: str, call: Callable[[], Awaitable[_T]], end: float, deadline: float) -> _T:
    try:
        async with asyncio.timeout_at(end):
            return await call()
    except TimeoutError:
        raise AgentUnreachable(title, f"no answer within {deadline:g} s") from None
