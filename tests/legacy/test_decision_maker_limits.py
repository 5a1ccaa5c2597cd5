"""A Decision Maker's clients cannot send more than the agent can hold, and as much as that it does hold."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from agent_harness import FakeScanner, running, snapshot
from decision_maker_client import Client, intent

from gthulhu_agent.api.bodies import RECEIVED_LIMIT
from gthulhu_agent.legacy import decision_maker


async def test_a_body_over_the_limit_is_refused_and_what_holds_stays(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        await client.send(intent())
        root = await client.root()
        answer = await client.call("POST", "/api/v1/intents", b" " * (RECEIVED_LIMIT + 1))
        assert answer.status == 413
        assert answer.body["success"] is False
        assert (await client.call("DELETE", "/api/v1/intents", b" " * 70_000)).status == 413
        assert await client.root() == root


@pytest.mark.slow
async def test_a_hundred_thousand_intents_are_one_set(tmp_path: Path) -> None:
    rows = [intent(f"uid-{at % 1000}", commandRegex=f"app{at // 1000}", priority=at % 20) for at in range(100_000)]
    async with running(tmp_path, scanner=FakeScanner(snapshot("uid-1"))) as agent:
        client = Client(agent)
        assert (await client.call("POST", "/api/v1/intents", json.dumps({"intents": rows}).encode())).status == 200
        assert len(agent.service.agent.held.intents) == 100_000


async def test_more_intents_than_a_set_can_have_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decision_maker, "MAX_INTENTS", 3)
    async with running(tmp_path) as agent:
        answer = await Client(agent).send(*(intent(f"uid-{at}") for at in range(4)))
        assert (answer.status, answer.body["success"]) == (413, False)
        assert "4 intents" in answer.body["error"]
        assert agent.service.agent.held.generation == 0
        assert (await Client(agent).send(*(intent(f"uid-{at}") for at in range(3)))).status == 200


async def test_labels_of_many_pods_are_kept_once(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await Client(agent).send(*(intent(f"uid-{at}", podLabels={"b": "1", "a": "2"}) for at in range(3)))
        received = agent.service.agent.held.received
        assert received is not None
        assert {id(one.labels) for one in received.intents} == {id(received.intents[0].labels)}
        assert received.intents[0].labels == (("a", "2"), ("b", "1"))
