"""Passes one after the other: never two at once, failed ones again with back-off, and no fault ends the service."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from itertools import pairwise
from random import Random

import pytest
import structlog
from structlog.testing import capture_logs

from gthulhu_reconcile.errors import TerminalError, UserError
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.runtime.backoff import Backoff
from gthulhu_reconcile.runtime.causes import Cause, Causes
from gthulhu_reconcile.runtime.health import Health
from gthulhu_reconcile.runtime.metrics import Metrics
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.passing import Ended, Passing, Superseded

pytestmark = pytest.mark.looptime


class Bench:
    """A :class:`Passing` over a given attempt, with everything around it that it tells."""

    def __init__(self, attempt: Callable[[bool], Awaitable[Ended]], *, limit: float = 300) -> None:
        clock = asyncio.get_running_loop().time
        self.causes = Causes(clock)
        self.metrics = Metrics()
        self.health = Health(clock, stale_after=900, pass_limit=600)
        self.backoff = Backoff(0.5, 300, Random(1))
        self.passing = Passing(
            self.causes,
            attempt,
            limit=lambda: limit,
            backoff=self.backoff,
            health=self.health,
            metrics=self.metrics,
            log=structlog.get_logger(),
            rng=Random(1),
        )

    async def until(self, seconds: float) -> None:
        """Run until a time of the loop."""
        task = asyncio.create_task(self.passing.run())
        await asyncio.sleep(seconds - asyncio.get_running_loop().time())
        self.causes.close()
        await task

    def count(self, result: Result) -> float:
        """How many passes ended so."""
        value = self.metrics.registry.get_sample_value("gthulhu_reconcile_total", {"result": result.value})
        assert value is not None
        return value


async def test_passes_never_overlap_and_what_comes_meanwhile_is_one_pass_afterwards() -> None:
    running = 0
    spans: list[tuple[float, float]] = []
    clock = asyncio.get_running_loop().time

    async def attempt(_: bool) -> Ended:
        nonlocal running
        running += 1
        assert running == 1
        began = clock()
        await asyncio.sleep(10)
        running -= 1
        spans.append((began, clock()))
        return Ended(Result.NOOP)

    bench = Bench(attempt)
    for second in (1, 2, 3, 4):
        asyncio.get_running_loop().call_later(second, bench.causes.post, Cause.FILES)
        asyncio.get_running_loop().call_later(second, bench.causes.post, Cause.CLOCK)
    await bench.until(100)
    assert spans == [(1, 11), (11, 21)]


async def test_a_failed_pass_is_tried_again_with_growing_waits_until_it_goes_through() -> None:
    moments: list[float] = []

    async def attempt(_: bool) -> Ended:
        moments.append(asyncio.get_running_loop().time())
        return Ended(Result.PARTIAL, "one node") if len(moments) < 6 else Ended(Result.SUCCESS)

    bench = Bench(attempt)
    bench.causes.post(Cause.START)
    await bench.until(500)
    waits = [later - earlier for earlier, later in pairwise(moments)]
    assert len(waits) == 5
    for number, wait in enumerate(waits):
        assert 0.05 * 2**number <= wait <= 0.5 * 2**number
    assert bench.backoff.failures == 0
    assert bench.count(Result.PARTIAL) == 5
    assert bench.health.not_ready() == ()


async def test_waits_after_failures_are_bounded_for_ever() -> None:
    backoff = Backoff(0.5, 300, Random(7))
    waits = [backoff.failed() for _ in range(2000)]
    assert max(waits) <= 300
    assert min(waits[20:]) >= 30


async def test_a_cause_does_not_wait_for_the_back_off_and_takes_its_place() -> None:
    moments: list[float] = []

    async def attempt(_: bool) -> Ended:
        moments.append(asyncio.get_running_loop().time())
        return Ended(Result.ERROR, "broken") if len(moments) == 1 else Ended(Result.NOOP)

    bench = Bench(attempt)
    bench.backoff.first = 200
    bench.causes.post(Cause.START)
    asyncio.get_running_loop().call_later(1, bench.causes.post, Cause.FILES)
    await bench.until(1000)
    assert moments == [0, 1]


def _ticking(bench: Bench, every: float, until: float) -> None:
    for number in range(int(until / every)):
        asyncio.get_running_loop().call_later(number * every, bench.passing.tick)


async def test_the_clock_ran_passes_all_through_the_wait_that_was_announced() -> None:
    moments: list[float] = []

    async def attempt(_: bool) -> Ended:
        await asyncio.sleep(0.15)
        moments.append(asyncio.get_running_loop().time())
        return Ended(Result.ERROR, "broken") if len(moments) < 8 else Ended(Result.NOOP)

    with capture_logs() as logs:
        bench = Bench(attempt)
        bench.backoff.first = 1
        _ticking(bench, 0.1, 200)
        await bench.until(200)
    waits = [entry["seconds"] for entry in logs if entry["event"] == "pass will be tried again"]
    assert len(waits) == 7
    for wait, (earlier, later) in zip(waits, pairwise(moments), strict=False):
        assert later - earlier == pytest.approx(wait + 0.15, abs=0.001)
    assert len(moments) > 300


async def test_the_clock_goes_on_for_the_other_nodes_while_some_fail_and_no_wait_is_promised() -> None:
    moments: list[float] = []

    async def attempt(_: bool) -> Ended:
        moments.append(asyncio.get_running_loop().time())
        return Ended(Result.PARTIAL, "one node")

    with capture_logs() as logs:
        bench = Bench(attempt)
        bench.backoff.first = bench.backoff.most = 3000
        _ticking(bench, 10, 100)
        await bench.until(99)
    assert moments == [pytest.approx(10 * number) for number in range(10)]
    told = [entry for entry in logs if entry["event"] == "pass will be tried again"]
    assert all(entry["within"] >= 300 and "seconds" not in entry for entry in told)


async def test_a_change_that_came_during_a_failed_pass_does_not_wait_but_a_tick_does() -> None:
    moments: list[float] = []

    async def attempt(_: bool) -> Ended:
        moments.append(asyncio.get_running_loop().time())
        await asyncio.sleep(10)
        return Ended(Result.ERROR, "broken")

    bench = Bench(attempt)
    bench.backoff.first = bench.backoff.most = 300
    bench.causes.post(Cause.START)
    loop = asyncio.get_running_loop()
    loop.call_later(5, bench.causes.post, Cause.FILES)
    loop.call_later(15, bench.passing.tick)
    loop.call_later(21, bench.passing.tick)
    await bench.until(29)
    assert moments == [0, 10]


async def test_a_held_plan_is_not_tried_again_by_itself() -> None:
    count = 0

    async def attempt(_: bool) -> Ended:
        nonlocal count
        count += 1
        return Ended(Result.HELD, "plan abc: too many")

    bench = Bench(attempt)
    bench.causes.post(Cause.START)
    await bench.until(800)
    assert count == 1
    assert bench.health.not_ready() == ()
    assert bench.health.notes() == ("held: plan abc: too many",)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (TerminalError("a disk is full"), "a disk is full"),
        (ZeroDivisionError("ours"), "a fault of the program: ZeroDivisionError"),
        (
            UserError(
                "the policies have errors",
                [Diagnostic(Code.UNKNOWN_KEY, Severity.ERROR, Span("p/web.yaml", 14, 7, 9), "'x' is not allowed here")],
            ),
            "p/web.yaml:14:7: 'x' is not allowed here",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Remove `format_exc_info`")
async def test_no_fault_of_a_pass_ends_the_service(fault: Exception, words: str) -> None:
    count = 0

    async def attempt(_: bool) -> Ended:
        nonlocal count
        count += 1
        if count == 1:
            raise fault
        return Ended(Result.SUCCESS)

    bench = Bench(attempt)
    bench.causes.post(Cause.START)
    first = await bench.passing.once(await bench.causes.take())
    assert first.result is Result.ERROR
    assert words in first.problem
    assert any(words in reason for reason in bench.health.not_ready())
    await bench.until(100)
    assert count == 2
    assert bench.health.not_ready() == ()


async def test_a_pass_that_hangs_is_given_up_at_its_limit_and_tried_again() -> None:
    count = 0

    async def attempt(_: bool) -> Ended:
        nonlocal count
        count += 1
        if count == 1:
            await asyncio.sleep(10**6)
        return Ended(Result.SUCCESS)

    bench = Bench(attempt, limit=60)
    bench.causes.post(Cause.START)
    await bench.until(100)
    assert count == 2
    assert bench.count(Result.ERROR) == 1
    assert bench.count(Result.SUCCESS) == 1


async def test_a_superseded_plan_is_made_anew_at_once_but_not_for_ever() -> None:
    orders: list[bool] = []

    async def attempt(must_go_through: bool) -> Ended:
        orders.append(must_go_through)
        if not must_go_through:
            raise Superseded("changed")
        return Ended(Result.SUCCESS)

    bench = Bench(attempt)
    bench.causes.post(Cause.FILES)
    await bench.until(1)
    assert orders == [False] * 5 + [True]
    assert bench.metrics.registry.get_sample_value("gthulhu_reconcile_superseded_total") == 5
    assert bench.count(Result.ERROR) == 0


async def test_a_running_pass_is_finished_when_the_causes_are_closed() -> None:
    finished = False

    async def attempt(_: bool) -> Ended:
        nonlocal finished
        await asyncio.sleep(10)
        finished = True
        return Ended(Result.SUCCESS)

    bench = Bench(attempt)
    bench.causes.post(Cause.START)
    await bench.until(5)
    assert finished


async def test_a_service_whose_pass_outlives_its_limit_twice_is_not_alive() -> None:
    clock = asyncio.get_running_loop().time
    health = Health(clock, stale_after=900, pass_limit=600)
    health.began()
    await asyncio.sleep(599)
    assert health.not_alive() == ()
    await asyncio.sleep(2)
    assert "601 s" in health.not_alive()[0]


async def test_readiness_needs_a_first_good_pass_and_a_fresh_one() -> None:
    clock = asyncio.get_running_loop().time
    health = Health(clock, stale_after=900, pass_limit=600)
    assert health.not_ready() == ("no pass has gone through yet",)
    health.ended(Result.NOOP)
    assert health.not_ready() == ()
    await asyncio.sleep(890)
    health.ended(Result.ERROR, "no connection")
    assert health.not_ready() == ()
    assert health.notes() == ("the last pass failed: no connection",)
    await asyncio.sleep(20)
    assert health.not_ready() == (
        "the last pass that went through was 910 s ago",
        "the last pass failed: no connection",
    )
    health.ended(Result.SUCCESS)
    health.draining = True
    assert health.not_ready() == ("the service is stopping",)
