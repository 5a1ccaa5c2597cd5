"""Pushing to 10,000 virtual agents, 5 % of which never answer, beside a bare loop over the same client library.

Both make the same two requests per node (the head of what it holds, then a set of some 2 KiB), with at most 512 nodes
in flight and the same deadline for a node. The bare loop is ``asyncio.gather`` with a semaphore: it verifies nothing,
tries nothing again, and remembers nothing. ``ours, again`` is the second push of one client (its CPU is of both), which
knows the silent nodes and begins with them. Each run has a process of its own and fresh agents; the two take turns, so
that a neighbour's load meets both.

    python benchmarks/fanout.py [--write] [--nodes 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random

import aiohttp
from fanout_agents import address, allow_files, node, silent
from report import Section, facts, finish, options, spread, table

from gthulhu_reconcile.applying.outcomes import NodeOutcome, PushResult
from gthulhu_reconcile.applying.pusher import push
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Plan, Summary
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient, encode
from gthulhu_reconcile.transport.fanout import FanOut
from gthulhu_reconcile.transport.retrying import Deadlines
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, digest

OURS, BARE, AGAIN = "ours", "bare", "ours, again"
IN_FLIGHT = 512
NODE_DEADLINE = 5.0
PODS_PER_NODE = 4
RATIO_AIM = 1.2
MEMORY_AIM_MIB = 512
TERMS = [
    Terms(PolicyRef("team", f"policy-{number}", "policies/bench.yaml"), Schedule(number, 5_000_000, preempt=True))
    for number in range(PODS_PER_NODE)
]


def intents(number: int, generation: int) -> tuple[Intent, ...]:
    """What node ``number`` shall hold; another set for each generation."""
    return tuple(
        Intent(terms, generation, PodRef("team", f"pod-{number}-{place}", f"{number:08x}-{place:04}"), ("c" * 64,))
        for place, terms in enumerate(TERMS)
    )


def plan_of(nodes: int, base: dict[str, Accepted]) -> Plan:
    """A plan that changes every node."""
    bases = {node(number): base.get(node(number), Accepted(node(number))) for number in range(nodes)}
    desired = {node(number): intents(number, bases[node(number)].generation) for number in range(nodes)}
    return Plan("bench", Summary(), (), bases, desired, {name: digest(wanted) for name, wanted in desired.items()})


async def ours(port: int, nodes: int, pushes: int) -> dict[str, float]:
    """So many pushes with one client, of which the last one counts: the client remembers which nodes are slow."""
    agents = [Agent(node(number), f"http://{address(number)}:{port}") for number in range(nodes)]
    deadlines = Deadlines(connect=2.0, request=NODE_DEADLINE, node=NODE_DEADLINE)
    held: dict[str, Accepted] = {}
    result = PushResult()
    began = last = 0.0

    def finished(outcome: NodeOutcome) -> None:
        nonlocal last
        if outcome.outcome.good:
            last = time.perf_counter()

    async with AgentClient(deadlines=deadlines, fanout=FanOut(most=IN_FLIGHT)) as client:
        for _ in range(pushes):
            plan = plan_of(nodes, held)
            began = time.perf_counter()
            result = await push(plan, agents, client, owner="bench", rng=Random(1), report=finished)
            for outcome in result.nodes:
                if outcome.outcome.good:
                    held[outcome.node] = Accepted(outcome.node, "bench", 0, outcome.generation, outcome.digest)
    return row(time.perf_counter() - began, last - began, seconds(result), len(result.failed))


def seconds(result: PushResult) -> list[float]:
    """How long each healthy node took."""
    return [outcome.seconds for outcome in result.nodes if outcome.outcome.good]


async def bare(port: int, nodes: int) -> dict[str, float]:
    """The loop that one would write first."""
    plan = plan_of(nodes, {})
    took: list[float] = []
    lost = 0
    last = 0.0
    limit = asyncio.Semaphore(IN_FLIGHT)

    async def one(session: aiohttp.ClientSession, number: int) -> None:
        nonlocal lost, last
        url = f"http://{address(number)}:{port}"
        async with limit:
            began = time.perf_counter()
            try:
                async with asyncio.timeout(NODE_DEADLINE):
                    async with session.get(f"{url}/v1/digest") as answer:
                        held = await answer.json()
                    desired = DesiredSet("bench", 0, held["generation"] + 1, plan.desired[node(number)])
                    async with session.put(f"{url}/v1/desired", data=encode(desired)[0]) as answer:
                        await answer.json()
            except (TimeoutError, aiohttp.ClientError):
                lost += 1
            else:
                last = time.perf_counter()
                took.append(last - began)

    began = time.perf_counter()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=IN_FLIGHT)) as session:
        await asyncio.gather(*(one(session, number) for number in range(nodes)))
    return row(time.perf_counter() - began, last - began, took, lost)


def row(wall: float, healthy: float, took: Sequence[float], failed: int) -> dict[str, float]:
    """What one run came to. The wall ends when all connections are closed; CPU and memory are the process's own."""
    hundredths = statistics.quantiles(took, n=100)
    return {
        "wall": wall,
        "healthy": healthy,
        "p50": hundredths[49],
        "p99": hundredths[98],
        "failed": failed,
        "cpu": time.process_time(),
        "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def measured(who: str, nodes: int) -> dict[str, float]:
    """One run, in processes of its own."""
    here = Path(__file__)
    with subprocess.Popen(
        [sys.executable, here.with_name("fanout_agents.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as agents:
        assert agents.stdout is not None  # noqa: S101 - it is a pipe
        assert agents.stdin is not None  # noqa: S101 - it is a pipe
        try:
            port = agents.stdout.readline().strip()
            command = [sys.executable, str(here), "--run", who, "--port", port, "--nodes", str(nodes)]
            done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        finally:
            agents.stdin.close()
    found: dict[str, float] = json.loads(done.stdout)
    return found


def run(who: str, port: int, nodes: int) -> None:
    """A run's own process."""
    allow_files()
    found = asyncio.run(bare(port, nodes) if who == BARE else ours(port, nodes, 1 if who == OURS else 2))
    print(json.dumps(found))


def compare(asked: argparse.Namespace) -> int:
    """Print the table; the exit code says whether the aims were met."""
    nodes, rounds, known = asked.nodes, asked.rounds, facts(asked)
    dead = sum(silent(number) for number in range(nodes))
    print(
        f"{nodes} virtual agents, {dead} of them silent; {IN_FLIGHT} in flight, {NODE_DEADLINE:g} s for a node, "
        "2 requests each\n"
    )
    print(f"{'':16}{'wall':>9}{'last healthy':>14}{'p50':>9}{'p99':>9}{'failed':>8}{'CPU':>8}{'RSS':>10}")
    found: dict[str, list[dict[str, float]]] = {OURS: [], BARE: [], AGAIN: []}
    for number in range(rounds):
        order = (OURS, BARE) if number % 2 == 0 else (BARE, OURS)
        for who in (*order, AGAIN) if number == 0 else order:
            one = measured(who, nodes)
            found[who].append(one)
            print(
                f"{who:16}{one['wall']:8.2f}s{one['healthy']:13.2f}s{one['p50']:8.3f}s{one['p99']:8.3f}s"
                f"{one['failed']:8.0f}{one['cpu']:7.1f}s{one['mib']:6.0f} MiB",
                flush=True,
            )
    ratio = statistics.median(a["wall"] / b["wall"] for a, b in zip(found[OURS], found[BARE], strict=True))
    memory = max(one["mib"] for one in (*found[OURS], *found[AGAIN]))
    print(
        f"\nratio of walls, median of {rounds}: {ratio:.2f} (aim: at most {RATIO_AIM})"
        f"\npeak memory: {memory:.0f} MiB (aim: at most {MEMORY_AIM_MIB})"
    )
    finish(asked, section(nodes, dead, ratio, found), known)
    return 0 if ratio <= RATIO_AIM and memory <= MEMORY_AIM_MIB else 1


def section(nodes: int, dead: int, ratio: float, found: dict[str, list[dict[str, float]]]) -> Section:
    """The page's."""
    names = {OURS: "`push`", BARE: "bare loop", AGAIN: "`push` again, warm connections"}
    digits = {"wall": 1, "p50": 2, "p99": 2, "mib": 0}
    rows = [
        (names[who], *(spread([one[key] for one in found[who]], places) for key, places in digits.items()))
        for who in (OURS, BARE, AGAIN)
    ]
    return Section(
        "bench-fanout",
        "Pushing",
        (
            f"""
            {nodes:,} virtual agents in a process of their own, {dead:,} of which accept and never answer; {IN_FLIGHT}
            in flight, {NODE_DEADLINE:g} s for a node, two requests each; rounds alternate with a bare loop of the same
            client. Medians of the rounds, lowest and highest behind them.
            """,
            table(("", "wall, s", "p50 of a node, s", "p99, s", "memory, MiB"), rows),
            f"Ratio of the walls, ours to the bare loop's, median: **{ratio:.2f}**.",
        ),
    )


def main() -> int:
    """Compare, or be one of the compared."""
    parser = options(__doc__)
    parser.add_argument("--nodes", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--run", choices=(OURS, BARE, AGAIN), help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run:
        run(given.run, given.port, given.nodes)
        return 0
    return compare(given)


if __name__ == "__main__":
    sys.exit(main())
