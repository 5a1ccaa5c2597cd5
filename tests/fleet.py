"""Several real agents at once, and plans for them made by the planner."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from agent_harness import Harness, running

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.model.policy import Candidate, Policy, PolicyKind, Selector
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.planner import plan
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_wire.intents import PodRef, PolicyRef, Schedule

OWNER = "main"


@asynccontextmanager
async def fleet(folder: Path, *nodes: str) -> AsyncIterator[tuple[dict[str, Harness], tuple[Agent, ...]]]:
    """A running agent for each of ``nodes``."""
    async with AsyncExitStack() as stack:
        harnesses = {}
        for node in nodes:
            (folder / node).mkdir(exist_ok=True)
            harnesses[node] = await stack.enter_async_context(running(folder / node, node=node))
        yield harnesses, tuple(Agent(node, harness.url) for node, harness in harnesses.items())


def planned(
    accepted: Mapping[str, Accepted] | Sequence[str],
    *,
    priority: int = 5,
    name: str = "web",
    owner: str = OWNER,
    adopt: bool = False,
    pods: int = 1,
) -> Plan:
    """A plan of one policy for ``pods`` pods on each node; of names alone, for fresh agents."""
    bases = accepted if isinstance(accepted, Mapping) else {node: Accepted(node) for node in accepted}
    policy = Policy(
        kind=PolicyKind.SCHEDULING,
        ref=PolicyRef("team", name, "policies/web.yaml"),
        line=3,
        precedence=0,
        selector=Selector(namespaces=("shop",)),
        schedule=Schedule(priority=priority),
    )
    observed = Observed.of(
        [Pod(PodRef("shop", f"web-{node}-{n}", f"u-{node}-{n}"), node=node) for node in bases for n in range(pods)],
        [Node(node) for node in bases],
    )
    return plan([Candidate(policy)], observed, bases, Options(owner=owner, adopt=adopt, mass_floor=10_000))
