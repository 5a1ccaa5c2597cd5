"""The fan-out on a virtual clock: no node waits for another one's silence."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.fanout import FanOut


def fleet(count: int) -> list[Agent]:
    return [Agent(f"n{number}", f"http://n{number}") for number in range(count)]


class Calls:
    """Takes as long as ``seconds`` says of each node; remembers when each began and ended, and how many at once."""

    def __init__(self, seconds: dict[str, float], default: float = 0.01) -> None:
        self._seconds = seconds
        self._default = default
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.flying = 0
        self.most = 0

    async def __call__(self, agent: Agent) -> str:
        """One node's answer."""
        loop = asyncio.get_running_loop()
        self.began[agent.node] = loop.time()
        self.flying += 1
        self.most = max(self.most, self.flying)
        await asyncio.sleep(self._seconds.get(agent.node, self._default))
        self.flying -= 1
        self.ended[agent.node] = loop.time()
        return agent.node.upper()


@pytest.mark.looptime
async def test_results_come_in_the_order_of_the_agents() -> None:
    agents = fleet(200)
    calls = Calls({agent.node: 0.001 * (200 - number) for number, agent in enumerate(agents)})
    assert await FanOut(start=8, most=16).visit(agents, calls) == tuple(agent.node.upper() for agent in agents)
    assert await FanOut().visit([], calls) == ()


@pytest.mark.looptime
async def test_silent_nodes_do_not_delay_the_others() -> None:
    agents = fleet(1000)
    silent = {agent.node: 15.0 for agent in agents[:100]}
    calls = Calls(silent)
    await FanOut(start=16, most=128, slow_after=0.25).visit(agents, calls)
    healthy = [calls.ended[agent.node] for agent in agents[100:]]
    # The 100 silent ones come first; each takes one of 16 places for a quarter of a second.
    assert max(healthy) < 100 / 16 * 0.25 + 900 / 16 * 0.01 + 0.3
    assert max(calls.ended.values()) < 17.0


@pytest.mark.looptime
async def test_while_this_thread_is_busy_healthy_nodes_are_asked_no_more_than_start_at_once() -> None:
    calls = Calls({})
    clock = asyncio.get_running_loop().time
    await FanOut(start=64, most=512, busy_clock=clock).visit(fleet(1000), calls)
    assert calls.most == 64


@pytest.mark.looptime
async def test_while_this_thread_has_time_to_spare_the_fast_lane_widens_to_its_bound() -> None:
    calls = Calls({})
    await FanOut(start=64, most=512, busy_clock=lambda: 0.0).visit(fleet(4000), calls)
    assert calls.most == 512


@pytest.mark.looptime
async def test_a_thread_that_gets_busy_narrows_the_fast_lane_again() -> None:
    loop = asyncio.get_running_loop()
    busy_from = 0.05
    calls = Calls({})
    lanes = FanOut(start=64, most=512, busy_clock=lambda: max(0.0, loop.time() - busy_from))
    seen: list[int] = []

    async def call(agent: Agent) -> str:
        seen.append(calls.flying)
        return await calls(agent)

    await lanes.visit(fleet(8000), call)
    assert max(seen) > 128
    assert max(seen[-500:]) < 64 + 1


@pytest.mark.looptime
async def test_where_everything_is_slow_nothing_is_and_parallelism_stays_where_this_thread_is_busy() -> None:
    """On a crowded machine every call is late; more of them at once would only make all of them later."""
    loop = asyncio.get_running_loop()
    calls = Calls({}, default=0.4)
    lanes = FanOut(start=64, most=512, slow_after=0.25, busy_clock=loop.time)
    seen: list[int] = []

    async def call(agent: Agent) -> str:
        seen.append(calls.flying)
        return await calls(agent)

    await lanes.visit(fleet(2000), call)
    assert max(seen[-1000:]) < 64 + 1
    assert len(lanes.slow) < 2


@pytest.mark.looptime
async def test_far_nodes_let_parallelism_grow_to_its_bound_and_not_beyond() -> None:
    calls = Calls({}, default=2.0)
    await FanOut(start=64, most=512, slow_after=0.25).visit(fleet(2000), calls)
    assert calls.most == 512


@pytest.mark.looptime
async def test_more_silent_nodes_than_the_slow_lane_holds_leave_the_fast_lane_open() -> None:
    agents = fleet(400)
    silent = {agent.node: 10.0 for agent in agents[:60]}
    calls = Calls(silent)
    lanes = FanOut(start=8, most=68, slow_after=0.25)
    await lanes.visit(agents, calls)
    assert max(calls.ended[agent.node] for agent in agents[60:]) < 4.0


@pytest.mark.looptime
async def test_nodes_that_were_slow_begin_at_once_the_next_time_and_in_their_own_lane() -> None:
    agents = fleet(1000)
    silent = {agent.node: 15.0 for agent in agents[-50:]}
    lanes = FanOut(start=16, most=128)
    await lanes.visit(agents, Calls(silent))
    assert lanes.slow == {agent.url for agent in agents[-50:]}
    again = Calls(silent)
    start = asyncio.get_running_loop().time()
    await lanes.visit(agents, again)
    assert {again.began[node] - start for node in silent} == {0.0}
    assert asyncio.get_running_loop().time() - start == pytest.approx(15.0)


@pytest.mark.looptime
async def test_a_node_that_answers_again_loses_its_name_of_being_slow() -> None:
    agents = fleet(3)
    lanes = FanOut(start=2, most=4)
    await lanes.visit(agents, Calls({"n1": 1.0}))
    await lanes.visit(agents, Calls({}))
    assert lanes.slow == frozenset()


@pytest.mark.looptime
async def test_without_a_slow_lane_every_node_is_still_visited() -> None:
    agents = fleet(20)
    lanes = FanOut(start=4, most=4, slow_after=0.1)
    await lanes.visit(agents, Calls({}, default=0.5))
    assert len(await lanes.visit(agents, Calls({}))) == 20


@pytest.mark.looptime
async def test_cancelling_ends_all_calls_and_starts_no_other() -> None:
    calls = Calls({}, default=5.0)
    visit = asyncio.create_task(FanOut(start=4, most=8, slow_after=0.1).visit(fleet(100), calls))
    await asyncio.sleep(1.0)
    began = len(calls.began)
    visit.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit
    await asyncio.sleep(10.0)
    assert len(calls.began) == began
    assert calls.ended == {}


@pytest.mark.looptime
async def test_a_fault_of_the_program_ends_the_visit() -> None:
    async def call(agent: Agent) -> str:
        if agent.node == "n5":
            raise LookupError(agent.node)
        await asyncio.sleep(1.0)
        return ""

    with pytest.RaisesGroup(LookupError):
        await FanOut(start=4, most=8).visit(fleet(50), call)


@given(
    seconds=st.lists(st.floats(0, 30), max_size=60),
    slow=st.sets(st.integers(0, 59)),
    start=st.integers(1, 8),
    more=st.integers(0, 8),
)
def test_every_node_is_visited_once_within_the_bounds(
    seconds: Sequence[float], slow: set[int], start: int, more: int
) -> None:
    import looptime  # noqa: PLC0415 - this test makes a loop of its own for each example

    agents = fleet(len(seconds))
    calls = Calls({agent.node: took for agent, took in zip(agents, seconds, strict=True)})
    lanes = FanOut(start=start, most=start + more)
    for number in slow:
        lanes.remember(f"http://n{number}", slow=True)
    loop = looptime.new_event_loop()
    try:
        results = loop.run_until_complete(lanes.visit(agents, calls))
    finally:
        loop.close()
    assert results == tuple(agent.node.upper() for agent in agents)
    assert calls.most <= start + more
    assert len(calls.began) == len(agents)
