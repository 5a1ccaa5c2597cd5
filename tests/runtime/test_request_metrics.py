"""Every request to an agent is counted, whatever was asked and however it ended."""

from __future__ import annotations

import pytest
from agent_harness import desired, intent
from small_fleet import Fleet

from gthulhu_reconcile.errors import AgentRefused, BadAnswer
from gthulhu_reconcile.runtime.connecting import connect
from gthulhu_reconcile.runtime.metrics import Metrics
from gthulhu_reconcile.runtime.reconciling import one_pass
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.watched_calls import OPERATIONS


def _counted(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["op"], sample.labels["outcome"]): sample.value
        for family in metrics.agent_requests.collect()
        for sample in family.samples
        if sample.name.endswith("_total") and sample.value
    }


async def test_asking_agents_for_their_names_was_missing_from_the_requests(fleet: Fleet) -> None:
    metrics = Metrics()
    settings = fleet.settings(agents=tuple(agent.url for agent in fleet.agents.values()))
    async with connect(settings, observer=metrics.requested) as client:
        await one_pass(settings, client=client)
    counted = _counted(metrics)
    assert counted["version", "ok"] == 2
    assert counted["put", "ok"] == 2


async def test_every_operation_is_counted_once_with_its_outcome(fleet: Fleet) -> None:
    metrics = Metrics()
    agent = Agent("n1", fleet.agents["n1"].url)
    async with connect(fleet.settings(), observer=metrics.requested) as client:
        await client.put(agent, desired(1, intent()))
        await client.digest(agent)
        await client.desired(agent)
        await client.state(agent)
        await client.pods(agent)
        await client.version(agent)
        with pytest.raises(AgentRefused):
            await client.process(agent, 4_000_000)
        with pytest.raises(BadAnswer):
            await client.digest(Agent("another", agent.url))
    outcomes = {**{(operation, "ok"): 1.0 for operation in OPERATIONS}, ("digest", "faulty"): 1.0}
    del outcomes["process", "ok"]
    assert _counted(metrics) == {**outcomes, ("process", "refused"): 1.0}
