"""The service grows neither in memory nor in open files, whatever happens around it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random

import pytest
from service_world import Program, World, policy, probe

KIB = 1024


@dataclass(frozen=True)
class Size:
    """What a process takes."""

    resident_kib: int
    descriptors: int
    threads: int


def size(program: Program) -> Size:
    process = Path("/proc") / str(program.process.pid)
    status = (process / "status").read_text()
    numbers = {name: int(value) for name, value in re.findall(r"^(VmRSS|Threads):\s+(\d+)", status, re.MULTILINE)}
    return Size(numbers["VmRSS"], len(list((process / "fd").iterdir())), numbers["Threads"])


async def passes(service: Program) -> int:
    _, metrics = await probe(service, "/metrics")
    return int(
        sum(float(value) for value in re.findall(r"^gthulhu_reconcile_total\{.*\} (.*)$", metrics, re.MULTILINE))
    )


async def disturb(world: World, service: Program, seconds: float, rng: Random) -> int:
    """Edit, break, mend, stop and start things for some time; how many passes there were."""
    loop = asyncio.get_running_loop()
    before = await passes(service)
    end = loop.time() + seconds
    agent = await world.agent()
    turn = 0
    while loop.time() < end:
        turn += 1
        world.write("policies/web.yaml", policy(priority=rng.randint(-9, 19)))
        if turn % 5 == 0:
            world.write("policies/web.yaml", "kind: [\n")
        if turn % 7 == 0:
            world.write("policies/other.yaml", policy(f"other-{turn}", app="none"))
        if turn % 11 == 0:
            world.pods(*(f"web-{number}" for number in range(rng.randint(1, 6))))
        if turn % 29 == 0:
            world.settings(interval="100ms", more=f"# turn {turn}\n")
        if turn % 37 == 0:
            await agent.stop()
            await asyncio.sleep(0.5)
            agent = await world.agent()
        await probe(service, "/readyz")
        await asyncio.sleep(0.1)
    await agent.stop()
    assert service.process.poll() is None, service.log.read_text()
    return await passes(service) - before


async def soak(world: World, *, warm_up: float, seconds: float, growth_kib: int) -> None:
    """Disturb the service until it is warm, then on, and compare what it takes.

    The warm-up has everything in it that comes later: allocators, caches and pools have their size after it.
    """
    rng = Random(20)
    world.settings(interval="100ms")
    service = await world.service()
    await disturb(world, service, warm_up, rng)
    warm = size(service)
    count = await disturb(world, service, seconds, rng)
    after = size(service)
    assert count > seconds, "the service did not keep passing"
    assert after.resident_kib - warm.resident_kib < growth_kib, (warm, after, count)
    assert after.descriptors <= warm.descriptors + 5, (warm, after, count)
    assert after.threads <= warm.threads + 4, (warm, after, count)
    await service.stop()
    assert service.process.returncode == 0


@pytest.mark.slow
async def test_hundreds_of_passes_with_edits_and_a_failing_agent_leave_no_trace(world: World) -> None:
    await soak(world, warm_up=20, seconds=30, growth_kib=6 * KIB)


@pytest.mark.nightly
@pytest.mark.timeout(0)
async def test_a_night_of_passes_leaves_no_trace(world: World) -> None:
    await soak(world, warm_up=180, seconds=3600, growth_kib=12 * KIB)
