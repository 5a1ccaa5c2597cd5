"""Retries on a virtual clock."""

from __future__ import annotations

import asyncio
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable
from gthulhu_reconcile.transport.retrying import Backoff, persist

pytestmark = pytest.mark.looptime


class Agent:
    """Fails with ``failures`` one after the other, then answers; ``asked`` are the loop's times."""

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)
        self.asked: list[float] = []

    async def __call__(self) -> str:
        """Fail, or answer."""
        self.asked.append(asyncio.get_running_loop().time())
        if self._failures:
            raise self._failures.pop(0)
        return "done"


def gone(retry_after: float = 0.0) -> AgentUnreachable:
    return AgentUnreachable("node", "gone", retry_after=retry_after)


class Highest:
    """The worst that jitter can be."""

    def uniform(self, _a: float, b: float, /) -> float:
        """The upper bound."""
        return b


async def tried(agent: Agent, deadline: float = 60.0, backoff: Backoff | None = None) -> str:
    return await persist("node", agent, deadline=deadline, backoff=backoff or Backoff(), rng=Highest())


async def test_pauses_double_and_the_last_failure_is_the_error() -> None:
    agent = Agent(gone(), gone(), gone(), gone())
    with pytest.raises(AgentUnreachable, match="gone"):
        await tried(agent, backoff=Backoff(tries=4, first=0.5))
    assert agent.asked == pytest.approx([0.0, 0.5, 1.5, 3.5])


async def test_a_second_try_that_succeeds_is_a_success() -> None:
    assert await tried(Agent(gone())) == "done"


async def test_retry_after_is_a_floor_and_jitter_comes_on_top() -> None:
    agent = Agent(gone(retry_after=7.0))
    await tried(agent, backoff=Backoff(first=0.5))
    assert agent.asked == pytest.approx([0.0, 7.5])


async def test_a_pause_beyond_the_deadline_is_not_waited_for() -> None:
    agent = Agent(gone(retry_after=100.0))
    with pytest.raises(AgentUnreachable):
        await tried(agent, deadline=10.0)
    assert asyncio.get_running_loop().time() == 0.0


async def test_a_refusal_is_not_tried_again() -> None:
    agent = Agent(AgentRefused("node", "foreign-owner", "no"))
    with pytest.raises(AgentRefused):
        await tried(agent)
    assert len(agent.asked) == 1


async def test_the_deadline_is_over_all_tries() -> None:
    async def silent() -> str:
        await asyncio.sleep(1000)
        return ""

    with pytest.raises(AgentUnreachable, match="within 12 s"):
        await persist("node", silent, deadline=12.0, backoff=Backoff(), rng=Highest())
    assert asyncio.get_running_loop().time() == pytest.approx(12.0)


@given(failures=st.integers(1, 10_000), floor=st.floats(0, 100), seed=st.integers())
def test_a_pause_is_between_its_floor_and_its_bound(failures: int, floor: float, seed: int) -> None:
    backoff = Backoff(first=0.5, most=30.0)
    pause = backoff.pause(failures, Random(seed), floor)
    assert floor <= pause <= floor + min(30.0, 0.5 * 2 ** min(failures - 1, 30))


def test_jitter_is_full_so_that_agents_that_failed_together_are_not_asked_together() -> None:
    rng = Random(1)
    pauses = [Backoff(first=1.0).pause(1, rng) for _ in range(1000)]
    assert min(pauses) < 0.05
    assert max(pauses) > 0.95
