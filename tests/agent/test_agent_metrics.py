"""What is counted: base units, counters that never go down, labels that nobody outside can make grow."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from agent_harness import Harness, desired, intent, running
from prometheus_client.openmetrics.parser import text_string_to_metric_families
from prometheus_client.parser import text_string_to_metric_families as read_classic

from gthulhu_agent.state import ConditionKind

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scrape(agent: Harness) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    async with agent.session.get(f"{agent.url}/metrics", headers={"Accept": OPENMETRICS}) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        families = text_string_to_metric_families(await answer.text())  # type: ignore[no-untyped-call] # not annotated
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in families
            for sample in family.samples
        }


async def test_prometheus_reads_both_forms(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await scrape(agent)
        async with agent.session.get(f"{agent.url}/metrics") as answer:
            assert answer.headers["Content-Type"].startswith("text/plain")
            assert list(read_classic(await answer.text()))


async def test_every_name_is_ours_and_in_base_units(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        await agent.get("/v1/usage")
        ours = [name for name, _ in await scrape(agent) if not name.startswith("gthulhu_pod_")]
        for name in ours:
            assert name.startswith("gthulhu_agent_")
            assert not re.search(r"_(ms|us|ns|kb|mb|percent|minutes)(_|$)", name)


async def test_pushes_are_counted_by_what_became_of_them(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(2, intent("web")))
        await agent.put(desired(2, intent("web")))
        await agent.put(desired(1))
        await agent.put(desired(3, owner="other"))
        found = await scrape(agent)
        for result in ("taken", "repeated", "stale-generation", "foreign-owner"):
            assert found["gthulhu_agent_pushes_total", (("result", result),)] == 1
        assert found["gthulhu_agent_generation", ()] == 2
        assert found["gthulhu_agent_intents", ()] == 1


async def test_counters_never_go_down(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        await agent.next_pass()
        before = await scrape(agent)
        await agent.put(desired(2))
        await agent.post("/v1/revert")
        await agent.post("/v1/resume")
        await agent.next_pass()
        after = await scrape(agent)
        counters = [key for key in before if key[0].endswith(("_total", "_count", "_sum", "_bucket"))]
        assert counters
        assert [key for key in counters if after.get(key, -1) < before[key]] == []


async def test_a_scanner_cannot_grow_them(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.get("/v1/processes/1")
        await agent.get("/nothing/0")
        async with agent.session.request("M0", f"{agent.url}/v1/digest"):
            pass
        before = (await scrape(agent)).keys() | (await scrape(agent)).keys()
        for number in range(1, 20):
            await agent.get(f"/nothing/{number}")
            await agent.get(f"/v1/processes/{number}")
            async with agent.session.request(f"M{number}", f"{agent.url}/v1/digest"):
                pass
        assert (await scrape(agent)).keys() == before


async def test_calls_are_counted_under_the_methods_that_routes_have(tmp_path: Path) -> None:
    """Deleting a Decision Maker's intents was counted as ``other``, beside what no route takes."""
    async with running(tmp_path) as agent:
        async with agent.session.delete(f"{agent.url}/api/v1/intents", json={"all": True}) as answer:
            status = str(answer.status)
        labels = (("method", "DELETE"), ("route", "/api/v1/intents"), ("status", status))
        assert (await scrape(agent))["gthulhu_agent_api_requests_total", labels] == 1


async def test_every_condition_is_there_before_it_stands(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.next_pass()
        found = await scrape(agent)
        standing = {kind: found["gthulhu_agent_condition", (("type", kind.value),)] for kind in ConditionKind}
        assert {kind for kind, value in standing.items() if value} == {ConditionKind.OPEN_ON_LOOPBACK}
        assert found["gthulhu_agent_ready", ()] == 1


@pytest.mark.parametrize("accept", ["application/openmetrics-text; version=garbage", ";;,=", "text/plain; version=1.x"])
async def test_an_accept_that_means_nothing_gets_the_classic_form(tmp_path: Path, accept: str) -> None:
    async with (
        running(tmp_path) as agent,
        agent.session.get(f"{agent.url}/metrics", headers={"Accept": accept}) as answer,
    ):
        assert (answer.status, answer.headers["Content-Type"].split(";")[0]) == (200, "text/plain")
