"""When to read what pods use: as often as somebody looks, as rarely as nobody does, and never for long at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import structlog

from gthulhu_agent.discovery.snapshot import Snapshot
from gthulhu_agent.usage.ledger import Ledger, ThreadUsage, Usage

STEP = 0.004
"""Seconds that a reading holds the enforcer's thread at a time: a new process is not to wait for it."""
LOOKED_AT = 150.0
"""Seconds that a scrape counts as interest: more than two of the slowest usual intervals."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At least ``least`` seconds from one reading to the next, and ``duty`` times what the last one cost."""

    least: float
    duty: float

    def rest(self, cost: float) -> float:
        """Seconds to wait after a reading that took ``cost``."""
        return max(self.least, self.duty * cost)


ALONE = Pace(60.0, 1000.0)
"""While nobody looks: a thousandth of a CPU, so that what threads used who end meanwhile is mostly known."""
SCRAPED = Pace(5.0, 50.0)
"""While metrics are scraped: a fiftieth of a CPU at most."""
FOLLOWED = Pace(0.5, 20.0)
"""For a reader who waits for the answer, as ``gthulhu-agent top`` does."""

_log = structlog.stdlib.get_logger("gthulhu_agent.usage")


class InThread(Protocol):
    """Runs a call in the enforcer's thread, where nothing else of the enforcer runs meanwhile."""

    def __call__(self, call: Callable[[], bool], /) -> Awaitable[bool]:
        """What ``call`` returns."""
        ...


@dataclass(frozen=True, slots=True)
class Reading:
    """A finished reading: when it ended (monotonic and Unix seconds), and what it cost in seconds of work."""

    usage: Usage
    monotonic: float
    at: float
    cost: float


@dataclass(slots=True)
class Tally:
    """Counters since the start; they never go down."""

    readings: int = 0
    seconds: float = 0.0
    failures: int = 0


class Meter:
    """Reads through ``ledger``. Belongs to the event loop's thread.

    Args:
        ledger: what is remembered.
        in_thread: the enforcer's thread; a reading goes there in small steps.
        snapshot: what ran at the last pass; None before the first.
        managed: uids of the pods that have intents.
        monotonic: seconds.
        wall: Unix seconds.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        in_thread: InThread,
        snapshot: Callable[[], Snapshot | None],
        managed: Callable[[], Collection[str]],
        monotonic: Callable[[], float],
        wall: Callable[[], float],
    ) -> None:
        self.last: Reading | None = None
        self.tally = Tally()
        self._ledger = ledger
        self._in_thread = in_thread
        self._snapshot = snapshot
        self._managed = managed
        self._monotonic = monotonic
        self._wall = wall
        self._looked = float("-inf")
        self._wake = asyncio.Event()
        self._running: asyncio.Task[None] | None = None
        self._stopping = False

    def looked_at(self) -> None:
        """Somebody reads what is known, and is expected to come back."""
        if not self._is_looked_at():
            self._wake.set()
        self._looked = self._monotonic()

    async def fresh(self) -> Reading | None:
        """A reading that is as new as its cost allows; None before the first pass. Who asks meanwhile shares it."""
        last = self.last
        if last is None or self._monotonic() - last.monotonic >= FOLLOWED.rest(last.cost):
            await self._shared()
        return self.last

    async def threads_of(self, uid: str) -> tuple[ThreadUsage, ...]:
        """The threads of one pod, as of the last reading."""
        found: list[ThreadUsage] = []

        def read() -> bool:
            found.extend(self._ledger.threads_of(uid))
            return True

        await self._in_thread(read)
        return tuple(found)

    async def run(self) -> None:
        """Reading after reading, until it is cancelled; an error ends a reading and not the loop."""
        while True:
            self._wake.clear()
            await self._shared()
            if self.last is None:
                await asyncio.sleep(ALONE.least if self.tally.failures else FOLLOWED.least)
                continue
            try:
                async with asyncio.timeout(self._rest()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def stop(self) -> None:
        """Read no more; a reading that runs is given up."""
        self._stopping = True
        if self._running is not None:
            await self._running

    def _rest(self) -> float:
        cost = 0.0 if self.last is None else self.last.cost
        return (SCRAPED if self._is_looked_at() else ALONE).rest(cost)

    def _is_looked_at(self) -> bool:
        return self._monotonic() - self._looked < LOOKED_AT

    async def _shared(self) -> None:
        if self._stopping:
            return
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._read())
        await asyncio.shield(self._running)

    async def _read(self) -> None:
        snapshot = self._snapshot()
        if snapshot is None:
            return
        reading = self._ledger.reading(snapshot, self._managed())
        cost, more = 0.0, True
        try:
            while more and not self._stopping:
                step = _Step(reading, self._monotonic)
                more = await self._in_thread(step)
                cost += step.cost
        except Exception:  # noqa: BLE001 - whatever was read, the agent enforces on, and the next reading tries again
            self.tally.failures += 1
            _log.exception("what pods use could not be read")
            return
        if more:
            return
        self.tally.readings += 1
        self.tally.seconds += cost
        self.last = Reading(self._ledger.usage, self._monotonic(), self._wall(), cost)


class _Step:
    """A bounded piece of a reading; ``cost`` is what it took."""

    def __init__(self, reading: Iterator[None], monotonic: Callable[[], float]) -> None:
        self._reading = reading
        self._monotonic = monotonic
        self.cost = 0.0

    def __call__(self) -> bool:
        started = now = self._monotonic()
        more = True
        while more and now - started < STEP:
            more = next(self._reading, self) is None
            now = self._monotonic()
        self.cost = now - started
        return more
