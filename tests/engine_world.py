"""An engine over a host of files, with events that a test tells."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agent_harness import FakeKernel, intent
from recorded_host import V2, FakeHost

from gthulhu_agent.discovery.events.event import Batch, Event, Tally, Watch
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.engine import Engine
from gthulhu_agent.state import Conditions, Held

RARELY = 3600.0
UID, OTHER_UID = "20da609e-3d5c-4c1a-9d0f-aa11bcc5becc", "30da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
POD = f"/kubepods/burstable/pod{UID}"
OTHER = f"/kubepods/burstable/pod{OTHER_UID}"
WEB = f"{POD}/{'a1' * 32}"
ALL = Watch.THREADS | Watch.CGROUPS


@dataclass
class FakeEvents:
    """Tells what a test says."""

    name: str = "fake"
    precise: bool = True
    watched: dict[int, Watch] = field(default_factory=dict)
    batches: list[Batch | OSError] = field(default_factory=list)
    pipe: tuple[int, int] = field(default_factory=os.pipe)
    closed: bool = False

    def fileno(self) -> int:
        """The pipe's end."""
        return self.pipe[0]

    def watch(self, cgroups: Mapping[int, Watch]) -> None:
        """Remember them."""
        self.watched = dict(cgroups)

    def read(self) -> Batch:
        """The next batch."""
        os.read(self.pipe[0], 1)
        batch = self.batches.pop(0)
        if isinstance(batch, OSError):
            raise batch
        return batch

    def tally(self) -> Tally:
        """Nothing is counted here."""
        return Tally({})

    def close(self) -> None:
        """Close the pipe, once."""
        assert not self.closed
        self.closed = True
        for end in self.pipe:
            os.close(end)

    def tell(self, *events: Event, lost: int = 0) -> None:
        """Let the engine hear."""
        self.batches.append(Batch(events, lost))
        os.write(self.pipe[1], b"x")

    def fail(self) -> None:
        """Let the next read fail."""
        self.batches.append(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        os.write(self.pipe[1], b"x")


@dataclass
class World:
    """An engine over a host of files."""

    host: FakeHost
    kernel: FakeKernel
    events: FakeEvents
    engine: Engine
    conditions: Conditions

    def number(self, cgroup: str) -> int:
        """The id of a cgroup."""
        return (self.host.mounts[0].root / cgroup.lstrip("/")).stat().st_ino

    async def until_hastened(self, *pids: int) -> None:
        """Wait until these processes' leaders were hastened."""
        await self.until(lambda: set(pids) <= {thread.tid for _, threads in self.kernel.hastened for thread in threads})

    async def until(self, holds: Callable[[], object]) -> None:
        """Wait until ``holds()``; the test's own deadline ends it otherwise."""
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.002)


@asynccontextmanager
async def world(
    folder: Path, *intents: object, kernel: FakeKernel | None = None, interval: float = RARELY, precise: bool = True
) -> AsyncIterator[World]:
    """An engine that runs, and has ended its first pass."""
    host = FakeHost(folder, V2)
    host.run(1, "init")
    host.run(100, "web", WEB)
    host.run(200, "other", f"{OTHER}/{'b2' * 32}")
    discovery: Discovery = host.discovery()
    kernel, events, conditions = kernel or FakeKernel(), FakeEvents(precise=precise), Conditions()
    engine = Engine(
        scanner=discovery,
        bind=bind,
        enforcer=kernel,
        conditions=conditions,
        interval=interval,
        protected_units=(),
        self_pid=-1,
        events=events,
        looker=discovery,
    )
    held = intents or (intent("web", pod=UID),)
    engine.hold(Held(generation=1, intents=held, since=(0,) * len(held)))  # type: ignore[arg-type] # intents they are
    running = asyncio.create_task(engine.run())
    found = World(host, kernel, events, engine, conditions)
    await found.until(lambda: engine.tally.passes and events.watched)
    try:
        yield found
    finally:
        engine.end_loop()
        await running
        await engine.stop()
