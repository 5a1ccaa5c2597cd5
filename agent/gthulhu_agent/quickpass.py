"""Quick passes: what the kernel tells of is looked at alone, and seen to before the next whole pass."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import structlog

from gthulhu_agent.discovery.events.event import Batch, Events, Kind, Watch
from gthulhu_agent.discovery.kubepods import Place, place_of
from gthulhu_agent.discovery.quick import Looked, Told
from gthulhu_agent.duty import Duty
from gthulhu_agent.errors import AgentError
from gthulhu_agent.hearing import Charged, Heard

_ENOUGH = 4
"""Looks at the same processes: each finds only threads that were born during the last."""
_MANY = 64
"""Newly watched cgroups from which on a whole pass looks at them sooner than one after the other."""
READ_SHARE = 0.02
"""CPU seconds per second for reading what is told; more of it waits where it is, or is counted as lost."""
_READ_BURST, _READ_LEAST = 0.1, 0.0001
"""CPU seconds at once, and before it goes on: what is read every hundredth of a second cannot wait for longer."""
_log = structlog.stdlib.get_logger("gthulhu_agent.engine")

Reached = Callable[[Place], bool]


class Looker(Protocol):
    """What runs at some places of this node, now. Blocks; belongs to the thread that scans."""

    def watched(self, reached: Reached) -> Mapping[int, Watch]:
        """What has to be heard of, by the ids of cgroups."""
        ...

    def quick(self, told: Told, reached: Reached) -> Looked:
        """Look at what was told of alone."""
        ...


class Enforcing(Protocol):
    """What a quick pass needs of the engine."""

    def reached(self, place: Place) -> bool:
        """Whether an intent is for what runs at ``place``. Called in the enforcer's thread."""
        ...

    def see_to(self, looked: Looked) -> int:
        """Let new threads run as told; how many were set. Called in the enforcer's thread."""
        ...

    def run_quickly(self, look: Callable[[], Quick]) -> Awaitable[Quick]:
        """Run ``look`` in the enforcer's thread, before anything else that waits for it."""
        ...

    def stir(self, *, soon: bool) -> None:
        """A whole pass has to follow, at its time or soon."""
        ...

    def deaf(self, why: str) -> None:
        """Nothing tells of new threads any more."""
        ...


@dataclass(frozen=True, slots=True)
class Quick:
    """What a quick pass came to.

    Attributes:
        found: something was new.
        hastened: threads that were set.
        cpu: CPU seconds that it took.
        made: cgroups that were not known and that an intent is for, by id.
        unsure: only a whole pass can say.
    """

    found: bool
    hastened: int
    cpu: float
    made: tuple[int, ...]
    unsure: bool


@dataclass(slots=True)
class QuickTally:
    """Counters since the agent's start; they never go down."""

    passes: int = 0
    hastened: int = 0
    """Threads that were set."""
    crowded: int = 0
    """Times that a cgroup was told of as a whole, because more happened in it than is told one by one."""
    lost: int = 0
    """Events that could not be told; each time a whole pass follows."""
    left_out: int = 0
    """Processes that were too many to be looked at one by one; each time a whole pass follows."""


class QuickPasses:
    """Hears, looks and has it seen to. Belongs to the event loop's thread.

    Args:
        events: how new threads are heard of; closed by :meth:`close`.
        looker: the eyes.
        engine: who sees to what is found.
        monotonic: the time, in seconds.
        cpu: CPU seconds of the calling thread.
    """

    def __init__(
        self,
        events: Events,
        looker: Looker,
        engine: Enforcing,
        *,
        monotonic: Callable[[], float],
        cpu: Callable[[], float],
    ) -> None:
        self.events = events
        self.tally = QuickTally()
        self._looker = looker
        self._engine = engine
        self._cpu = cpu
        self._heard = Heard(monotonic)
        self._reads = Duty(READ_SHARE, _READ_BURST, monotonic, least=_READ_LEAST)
        self._read_on: asyncio.TimerHandle | None = None
        self._told = asyncio.Event()
        self._watched: Mapping[int, Watch] = {}
        self._known: frozenset[int] = frozenset()
        self._reading = False
        self._closed = False

    async def run(self) -> None:
        """Look at what is heard of, until it is cancelled or hears no more."""
        self._listen()
        try:
            while not self._closed:
                await self._told.wait()
                taken = self._heard.take()
                if taken is not None:
                    await self._look(*taken)
                    continue
                self._told.clear()
                # What waits for its share must not keep what is told of meanwhile waiting.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._heard.wait()):
                        await self._told.wait()
                self._told.set()
        finally:
            self._stop_reading()

    def watch(self, watched: Mapping[int, Watch], pids: frozenset[int]) -> None:
        """After a whole pass: hear of these cgroups; ``pids`` are the processes that intents reach."""
        former, self._known = self._watched, pids
        if self._closed or not self._hear_of(watched):
            return
        added = watched.keys() - former.keys()
        if not self.events.precise or not added:
            return
        # What began before it was watched was told to nobody.
        if len(added) > _MANY:
            self._engine.stir(soon=True)
        else:
            self._heard.look_at(dict.fromkeys(added, 0))
            self._told.set()

    def close(self) -> None:
        """Hear no more."""
        self._stop_reading()
        if not self._closed:
            self._closed = True
            self.events.close()

    def _listen(self) -> None:
        if not self._closed:
            asyncio.get_running_loop().add_reader(self.events.fileno(), self._read)
            self._reading = True

    def _stop_reading(self) -> None:
        if self._read_on is not None:
            self._read_on.cancel()
            self._read_on = None
        if self._reading:
            asyncio.get_running_loop().remove_reader(self.events.fileno())
            self._reading = False

    def _read(self) -> None:
        started = self._cpu()
        self._read_once()
        self._reads.charge(self._cpu() - started)
        if self._reading and (rest := self._reads.wait()):
            self._stop_reading()
            self._read_on = asyncio.get_running_loop().call_later(rest, self._listen)

    def _read_once(self) -> None:
        try:
            batch = self.events.read()
        except Exception as error:  # noqa: BLE001 - whatever broke it, scans go on without
            self._give_up(error)
            return
        self._take(batch)

    def _hear_of(self, watched: Mapping[int, Watch]) -> bool:
        self._watched = watched
        try:
            self.events.watch(watched)
        except AgentError as error:
            self._give_up(error)
            return False
        return True

    def _give_up(self, error: Exception) -> None:
        _log.error("events are heard no more", exc_info=error)
        self.close()
        self._told.set()
        self._engine.deaf(f"{self.events.name}: {error}")

    def _take(self, batch: Batch) -> None:
        self._heard.hear(batch)
        self.tally.lost += batch.lost
        self.tally.crowded += sum(event.kind is Kind.CROWDED for event in batch.events)
        self.tally.left_out = self._heard.left_out
        if self._heard.needs_whole():
            self._engine.stir(soon=True)
        # Who hears of the whole host hears mostly of what is nobody's business here.
        elif batch.events and (self.events.precise or any(event.tgid in self._known for event in batch.events)):
            self._engine.stir(soon=False)
        self._told.set()

    async def _look(self, told: Told, charged: Charged) -> None:
        try:
            quick = await self._engine.run_quickly(lambda: self._pass(told))
        except Exception:  # noqa: BLE001 - the whole pass finds and tells what is the matter
            _log.warning("a quick pass failed; a whole one follows", exc_info=True)
            self._engine.stir(soon=True)
            return
        charged.charge(quick.cpu)
        self.tally.passes += 1
        self.tally.hastened += quick.hastened
        made = dict.fromkeys(quick.made, Watch.THREADS | Watch.CGROUPS)
        # From now on their threads are told of; what began in them until now is looked for once more.
        if made and not self._closed and self._hear_of({**self._watched, **made}):
            self._heard.look_at(dict.fromkeys(made, 0))
        if quick.unsure:
            self._engine.stir(soon=True)
        elif quick.found:
            self._engine.stir(soon=False)

    def _pass(self, told: Told) -> Quick:
        started = self._cpu()
        looked = self._looker.quick(told, self._engine.reached)
        made, unsure, hastened = dict(looked.made), looked.unsure, 0
        found = bool(looked.threads)
        for _ in range(_ENOUGH):
            if not looked.threads:
                break
            hastened += self._engine.see_to(looked)
            looked = self._looker.quick(Told(tuple(looked.pids), children=True), self._engine.reached)
            unsure |= looked.unsure
        watched = [
            cgroup
            for cgroup, path in made.items()
            if not self._watched.get(cgroup, Watch(0)) & Watch.THREADS and self._engine.reached(place_of(path))
        ]
        return Quick(found, hastened, self._cpu() - started, tuple(watched), unsure)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel ``task`` and wait for its end."""
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
