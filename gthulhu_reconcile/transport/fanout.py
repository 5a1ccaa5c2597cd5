"""Asking many nodes at once so that no node waits for another one's silence.

Two lanes. The *fast lane* begins with few places (64) and gets more only while this thread has time to spare: once it
has none, every further call in flight only makes the answers of all the others later. A call that has not come
back after ``slow_after`` is waiting, not working, so it gives its place up and goes on in the *slow lane*. Both
together never have more than ``most`` (512) in flight. Nodes that were slow last time begin in the slow lane, all
at once, so that their waiting overlaps with the work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from gthulhu_reconcile.transport.agents import Agent

_R = TypeVar("_R")

_IDLE, _BUSY = 0.8, 0.95
"""Shares of this thread's time: below the first the fast lane widens, above the second it narrows."""


class FanOut:
    """Parallelism over nodes, and the memory of which ones were slow.

    Attributes:
        start: places that the fast lane has at least.
        most: calls in flight, both lanes together.
        slow_after: seconds after which a call leaves the fast lane.
        cpu_clock: seconds of CPU that this thread has used.
    """

    def __init__(
        self,
        *,
        start: int = 64,
        most: int = 512,
        slow_after: float = 0.25,
        cpu_clock: Callable[[], float] = time.thread_time,
    ) -> None:
        if not 1 <= start <= most:
            raise ValueError("1 <= start <= most must hold")
        self.start = start
        self.most = most
        self.slow_after = slow_after
        self.cpu_clock = cpu_clock
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
        self._results: dict[int, _R] = {}
        self._width = _Width(lanes, self._loop)
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
        timer = self._loop.call_later(self._lanes.slow_after, self._late, number)
        try:
            self._results[number] = await self._call(agent)
        except BaseException:
            self._over = True
            raise
        finally:
            timer.cancel()
            self._working.discard(number)
            self._waiting.discard(number)
        self._lanes.remember(agent.url, slow=self._loop.time() - began > self._lanes.slow_after)
        self._width.learn()
        if len(self._results) == len(self._agents):
            self._all_there.set()
        else:
            self._fill()

    def _late(self, number: int) -> None:
        if number in self._working:
            self._overdue.append(number)
            self._fill()

    def _give_way(self, number: int) -> None:
        if number in self._working:
            self._working.remove(number)
            self._waiting.add(number)


class _Width:
    """How many places the fast lane has: doubled or halved each time that so many calls have ended."""

    def __init__(self, lanes: FanOut, loop: asyncio.AbstractEventLoop) -> None:
        self.places = lanes.start
        self._lanes = lanes
        self._loop = loop
        self._ended = 0
        self._since = loop.time()
        self._cpu = lanes.cpu_clock()

    def learn(self) -> None:
        """One more call has ended."""
        self._ended += 1
        if self._ended < self.places:
            return
        now, cpu = self._loop.time(), self._lanes.cpu_clock()
        share = (cpu - self._cpu) / max(now - self._since, 1e-9)
        if share < _IDLE:
            self.places = min(self.places * 2, self._lanes.most)
        elif share > _BUSY:
            self.places = max(self.places // 2, self._lanes.start)
        self._ended, self._since, self._cpu = 0, now, cpu
