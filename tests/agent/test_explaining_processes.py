"""Why an intent does not take a thread, from the answer to what people read."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_harness import FakeScanner, Harness, desired, intent, running
from usage_world import pods, process

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Snapshot
from gthulhu_agent.errors import AgentError
from gthulhu_agent.explained import as_text
from gthulhu_agent.explaining import MOST_LOSERS, Lost
from gthulhu_wire.intents import CommandOn, Intent

NOBODY = 4_190_000
"""No thread has this number: they are given out from below."""
POD = pods(**{"uid-1": (process(NOBODY, NOBODY + 1),)})


def ranked(*intents: Intent) -> list[Intent]:
    return [replace(one, rank=rank) for rank, one in enumerate(intents)]


def named(name: str, *, ends_at: int | None = None, containers: tuple[str, ...] | None = None, **terms: Any) -> Intent:  # noqa: ANN401 - of Terms
    one = intent(name, ends_at=ends_at)
    return replace(one, terms=replace(one.terms, **terms), containers=containers)


async def explain(agent: Harness, *intents: Intent) -> dict[str, Any]:
    await agent.put(desired(agent.service.agent.held.generation + 1, *ranked(*intents)))
    await agent.next_pass()
    status, value = await agent.get(f"/v1/processes/{NOBODY}")
    assert status == 200
    return value


async def test_each_way_to_lose_has_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(POD)) as agent:
        value = await explain(
            agent,
            named("other-command", command="^db$"),
            named("no-pattern", command="(", command_on=CommandOn.ARGV0),
            named("other-container", containers=("c2",)),
            named("over", ends_at=1),
            named("winner", command="^app$"),
            named("weaker"),
        )
        for thread in value["threads"]:
            assert thread["winner"] == {"namespace": "default", "name": "winner"}
            assert thread["class"] == "normal"
            assert {one["name"]: one["reason"] for one in thread["losers"]} == {
                "other-command": Lost.COMMAND,
                "no-pattern": Lost.PATTERN,
                "other-container": Lost.SCOPE,
                "over": Lost.ENDED,
                "weaker": Lost.OUTRANKED,
            }
            assert [one["name"] for one in thread["losers"]][:2] == ["other-command", "no-pattern"]
            assert thread["losersLeftOut"] == 0
        text = as_text(value)
        assert f"2 threads {NOBODY}, {NOBODY + 1}: app" in text
        assert "winner   default/winner: normal, priority 5" in text
        assert "lost     default/over: it ended at 1970-01-01T00:00:01Z" in text
        assert "lost     default/other-command: '^db$' is not found in the comm" in text
        assert "kernel   it has ended" in text


async def test_many_losers_are_counted_and_not_all_told(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(POD)) as agent:
        value = await explain(agent, *(named(f"p{number}") for number in range(MOST_LOSERS + 4)))
        assert [len(thread["losers"]) for thread in value["threads"]] == [MOST_LOSERS] * 2
        assert [thread["losersLeftOut"] for thread in value["threads"]] == [3, 3]
        assert "… and 3 more" in as_text(value)


async def test_what_no_intent_reaches_is_left_as_it_is(tmp_path: Path) -> None:
    host = Group(GroupKind.HOST, "/system.slice/sshd.service", unit="sshd.service", processes=(process(NOBODY),))
    async with running(tmp_path, scanner=FakeScanner(Snapshot((host,)))) as agent:
        node = replace(named("everything", units=("*.service",)), pod=None)
        value = await explain(agent, node, named("of-a-pod"))
        (thread,) = value["threads"]
        assert thread["winner"] is None
        assert [(one["name"], one["reason"]) for one in thread["losers"]] == [("everything", Lost.SCOPE)]
        text = as_text(value)
        assert "winner   none: no intent takes it" in text
        assert "unit     sshd.service" in text
        assert "or this one is protected" in text


@pytest.mark.parametrize("value", [{}, {"group": None, "pod": None}])
def test_what_is_no_answer_is_an_error(value: dict[str, Any]) -> None:
    with pytest.raises(AgentError, match="not understood"):
        as_text(value)
