"""Asking many nodes at once so that no node waits for another one's silence.

Two lanes. The *fast lane* begins with few places (64) and gets more only while this thread is idle: once it is not,
every further call in flight only makes the answers of all the others later. A call that takes much longer than
those that came back is waiting, not working, so it gives its place up and goes on in the *slow lane*. Both together
never have more than ``most`` (512) in flight. Nodes that were slow last time begin in the slow lane, all at
once, so that their waiting overlaps with the work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from gthulhu_reconcile.transport.agents import Agent

_R = TypeVar("_R")

_IDLE, _BUSY = 0.8, 0.95
"""Shares of this thread's time: below the first the fast lane widens, above the second it narrows."""
_MUCH_LONGER = 4.0
_SCHEDSTAT = Path("/proc/thread-self/schedstat")


def busy_seconds() -> float:
    """Seconds in which this thread ran or was kept waiting for a CPU; on a crowded machine that is not idleness."""
    try:
        ran, waited, _ = _SCHEDSTAT.read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return time.thread_time()
    return (int(ran) + int(waited)) / 1e9


class FanOut:
    """Parallelism over nodes, and the memory of which ones were slow.

    Attributes:
        start: places that the fast lane has at least.
        most: calls in flight, both lanes together.
        slow_after: seconds before which no call leaves the fast lane.
        busy_clock: seconds in which this thread was not idle.
    """

    def __init__(
        self,
        *,
        start: int = 64,
        most: int = 512,
        slow_after: float = 0.25,
        busy_clock: Callable[[], float] = busy_seconds,
    ) -> None:
        if not 1 <= start <= most:
            raise ValueError("1 <= start <= most must hold")
        self.start = start
        self.most = most
        self.slow_after = slow_after
        self.busy_clock = busy_clock
        self._slow: set[str] = set()

    @property
    def slow(self) -> frozenset[str]:
        """Addresses of the agents whose last call was slow."""
        return frozenset(self._slow)

    async def visit(self, agents: Sequence[Agent], call: Callable[[Agent], Awaitable[_R]]) -> tuple[_R, ...]:
        """What ``call`` gives for each of ``agents``, in their order.

        ``call`` turns what can go wrong on one node into a value: an exception is a fault of the program and ends the
        visit of all nodes, as does being cancelled.
        """
        if not agents:
            return ()
        async with asyncio.TaskGroup() as group:
            visit = _Visit(self, group, agents, call)
            await visit.run()
        return visit.collected()

    def remember(self, url: str, *, slow: bool) -> None:
        """Say how the last call of the agent at ``url`` went."""
        if slow:
            self._slow.add(url)
        else:
            self._slow.discard(url)


class _Visit(Generic[_R]):
    """One round over all nodes.

    Invariants: ``working + waiting <= most`` and ``waiting <= most - start``, so that the slow lane can never take
    the fast lane's first places, whatever part of the fleet is silent.
    """

    def __init__(
        self, lanes: FanOut, group: asyncio.TaskGroup, agents: Sequence[Agent], call: Callable[[Agent], Awaitable[_R]]
    ) -> None:
        self._lanes = lanes
        self._group = group
        self._agents = agents
        self._call = call
        self._loop = asyncio.get_running_loop()
        slow = lanes.slow
        self._fast_queue = deque(number for number, agent in enumerate(agents) if agent.url not in slow)
        self._slow_queue = deque(number for number, agent in enumerate(agents) if agent.url in slow)
        self._working: set[int] = set()
        self._waiting: set[int] = set()
        self._overdue: deque[int] = deque()
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._results: dict[int, _R] = {}
        self._width = _Width(lanes, self._loop)
        self._pace = _Pace(lanes.slow_after)
        self._all_there = asyncio.Event()
        self._over = False

    async def run(self) -> None:
        """Return once every node has its result."""
        try:
            self._fill()
            await self._all_there.wait()
        finally:
            # A task group that is being torn down takes no further task, yet timers may still fire.
            self._over = True

    def _fill(self) -> None:
        if self._over:
            return
        room = self._lanes.most - self._lanes.start
        while self._overdue and len(self._waiting) < room:
            self._give_way(self._overdue.popleft())
        while self._slow_queue and len(self._waiting) < room:
            self._begin(self._slow_queue.popleft(), self._waiting)
        queue = self._fast_queue or self._slow_queue
        places = min(self._width.places, self._lanes.most - len(self._waiting))
        while queue and len(self._working) < places:
            self._begin(queue.popleft(), self._working)

    def collected(self) -> tuple[_R, ...]:
        return tuple(self._results[number] for number in range(len(self._agents)))

    def _begin(self, number: int, lane: set[int]) -> None:
        lane.add(number)
        self._group.create_task(self._one(number))

    async def _one(self, number: int) -> None:
        agent = self._agents[number]
        began = self._loop.time()
        self._watch(number, began)
        try:
            self._results[number] = await self._call(agent)
        except BaseException:
            self._over = True
            raise
        finally:
            self._timers.pop(number).cancel()
            self._working.discard(number)
            self._waiting.discard(number)
        self._lanes.remember(agent.url, slow=self._pace.learn(self._loop.time() - began))
        self._width.learn()
        if len(self._results) == len(self._agents):
            self._all_there.set()
        else:
            self._fill()

    def _watch(self, number: int, began: float) -> None:
        self._timers[number] = self._loop.call_at(began + self._pace.slow_after, self._late, number, began)

    def _late(self, number: int, began: float) -> None:
        if self._loop.time() < began + self._pace.slow_after:
            self._watch(number, began)  # what is usual has changed meanwhile
        elif number in self._working:
            self._overdue.append(number)
            self._fill()

    def _give_way(self, number: int) -> None:
        if number in self._working:
            self._working.remove(number)
            self._waiting.add(number)


class _Pace:
    """How long a call takes that is not slow, and so when one is: where all are far away, or we are slow, none is."""

    def __init__(self, least: float) -> None:
        self.slow_after = least
        self._least = least
        self._usual = 0.0

    def learn(self, seconds: float) -> bool:
        """Whether a call that took so long was slow."""
        if seconds > self.slow_after and self._usual:
            return True
        self._usual = seconds if not self._usual else 0.9 * self._usual + 0.1 * seconds
        self.slow_after = max(self._least, _MUCH_LONGER * self._usual)
        return False


class _Width:
    """How many places the fast lane has: doubled or halved each time that so many calls have ended."""

    def __init__(self, lanes: FanOut, loop: asyncio.AbstractEventLoop) -> None:
        self.places = lanes.start
        self._lanes = lanes
        self._loop = loop
        self._ended = 0
        self._since = loop.time()
        self._busy = lanes.busy_clock()

    def learn(self) -> None:
        """One more call has ended."""
        self._ended += 1
        if self._ended < self.places:
            return
        now, busy = self._loop.time(), self._lanes.busy_clock()
        share = (busy - self._busy) / max(now - self._since, 1e-9)
        if share < _IDLE:
            self.places = min(self.places * 2, self._lanes.most)
        elif share > _BUSY:
            self.places = max(self.places // 2, self._lanes.start)
        self._ended, self._since, self._busy = 0, now, busy
