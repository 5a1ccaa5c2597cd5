"""When pods are measured: by interest, within a share of the CPU, in small steps, and without ever ending the agent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from usage_world import FakeReader, pods, process

from gthulhu_agent.discovery.snapshot import Snapshot, TaskId
from gthulhu_agent.usage.counts import Counts
from gthulhu_agent.usage.ledger import Ledger
from gthulhu_agent.usage.meter import ALONE, FOLLOWED, LOOKED_AT, SCRAPED, STEP, Meter, Pace


@dataclass
class World:
    """A clock that reading moves on, and an enforcer's thread that notes what it is given."""

    cost: float = 0.0
    now: float = 1000.0
    steps: list[float] = field(default_factory=list)
    snapshot: Snapshot | None = field(default_factory=lambda: pods(a=tuple(process(number) for number in range(1, 9))))
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def __post_init__(self) -> None:
        self.gate.set()
        self.reader = _Costly(self)
        self.meter = Meter(
            Ledger(self.reader),
            in_thread=self.in_thread,
            snapshot=lambda: self.snapshot,
            managed=lambda: (),
            monotonic=lambda: self.now,
            wall=lambda: 1_700_000_000 + self.now,
        )

    async def in_thread(self, call: Callable[[], bool]) -> bool:
        """Run it here, once the gate is open."""
        await self.gate.wait()
        began = self.now
        more = call()
        self.steps.append(self.now - began)
        return more


class _Costly(FakeReader):
    def __init__(self, world: World) -> None:
        super().__init__({TaskId(number, 7): Counts(number) for number in range(1, 9)})
        self.world = world

    def read(self, pid: int, thread: TaskId, before: Counts | None) -> Counts | None:
        self.world.now += self.world.cost
        if self.world.error is not None:
            raise self.world.error
        return super().read(pid, thread, before)


async def test_a_reading_lets_others_in_between() -> None:
    world = World(cost=0.003)
    await world.meter.fresh()
    assert len(world.steps) >= 4
    assert max(world.steps) < STEP + world.cost
    assert world.meter.last is not None
    assert world.meter.last.cost == pytest.approx(8 * world.cost)
    assert world.meter.tally.readings == 1


async def test_who_waits_for_a_reading_gets_one_that_is_new_but_not_more_often_than_it_costs() -> None:
    world = World(cost=0.01)
    first = await world.meter.fresh()
    assert await world.meter.fresh() is first
    assert first is not None
    world.now += FOLLOWED.rest(first.cost)
    assert await world.meter.fresh() is not first


async def test_who_asks_meanwhile_shares_the_reading() -> None:
    world = World()
    world.gate.clear()
    asking = [asyncio.create_task(world.meter.fresh()) for _ in range(5)]
    await asyncio.sleep(0)
    world.gate.set()
    assert len({id(reading) for reading in await asyncio.gather(*asking)}) == 1
    assert world.meter.tally.readings == 1


async def test_a_caller_who_goes_away_does_not_end_the_reading() -> None:
    world = World()
    world.gate.clear()
    asking = asyncio.create_task(world.meter.fresh())
    await asyncio.sleep(0)
    asking.cancel()
    world.gate.set()
    assert await world.meter.fresh() is not None
    assert world.meter.tally.readings == 1


async def test_interest_makes_it_often_and_passes() -> None:
    world = World()
    await world.meter.fresh()
    assert world.meter._rest() == ALONE.least
    world.meter.looked_at()
    assert world.meter._rest() == SCRAPED.least
    world.now += LOOKED_AT
    assert world.meter._rest() == ALONE.least


@pytest.mark.parametrize("pace", [ALONE, SCRAPED, FOLLOWED])
@pytest.mark.parametrize("cost", [0.0, 0.01, 0.3, 30.0])
def test_measuring_never_takes_more_than_its_share(pace: Pace, cost: float) -> None:
    assert pace.rest(cost) >= pace.least
    assert cost / (cost + pace.rest(cost)) <= 1 / pace.duty


async def test_before_the_first_pass_there_is_nothing_to_tell() -> None:
    world = World(snapshot=None)
    assert await world.meter.fresh() is None
    assert world.meter.tally.readings == 0


async def test_an_error_ends_a_reading_and_not_the_agent() -> None:
    world = World()
    former = await world.meter.fresh()
    world.now += 100
    world.error = RuntimeError("no")
    assert await world.meter.fresh() is former
    assert world.meter.tally.failures == 1
    world.error = None
    assert await world.meter.fresh() is not former


async def until(world: World, readings: int) -> None:
    while world.meter.tally.readings < readings:  # noqa: ASYNC110 - nobody tells of a reading
        await asyncio.sleep(0)


async def test_it_reads_by_itself_until_it_is_told_to_stop() -> None:
    world = World()
    running = asyncio.create_task(world.meter.run())
    await until(world, 1)
    world.meter.looked_at()  # who comes after a long time is not told what was read a minute ago for long
    await until(world, 2)
    running.cancel()
    await world.meter.stop()
    assert await world.meter.fresh() is world.meter.last
    assert world.meter.tally.readings == 2


async def test_stopping_gives_up_the_reading_that_runs() -> None:
    world = World(cost=STEP)
    world.gate.clear()
    asking = asyncio.create_task(world.meter.fresh())
    await asyncio.sleep(0)
    stopping = asyncio.create_task(world.meter.stop())
    await asyncio.sleep(0)
    world.gate.set()
    await stopping
    assert await asking is None
    assert len(world.steps) == 1
