"""The service as a process, against real agents: what operators do to it, and what happens to it."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from service_world import World, policy, probe

pytestmark = pytest.mark.slow

TWO = [("web-1", 5), ("web-2", 5)]


async def test_it_converges_says_so_and_stops_on_sigterm_with_what_is_enforced_in_place(world: World) -> None:
    agent = await world.agent()
    service = await world.service()
    ended = await service.logged("pass ended", result="success")
    assert (ended["add"], ended["nodes_told"], ended["causes"]) == (2, 1, ["start"])
    assert await world.held() == TWO
    assert (await probe(service, "/readyz"))[0] == 200
    assert (await probe(service, "/livez"))[0] == 200
    _, metrics = await probe(service, "/metrics")
    assert 'gthulhu_agents{state="converged"} 1.0' in metrics
    assert 'gthulhu_policy_ready{policy="default/web"} 1.0' in metrics
    assert "web-1" not in metrics

    service.signal(signal.SIGTERM)
    assert await service.ended() == 0
    assert agent.process.poll() is None
    assert await world.held() == TWO


async def test_edits_reach_the_agents_without_the_clock_and_bad_ones_do_not(world: World) -> None:
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")

    world.write("policies/web.yaml", policy(priority=7))
    ended = await service.logged("pass ended", result="success")
    assert ended["causes"] == ["files"]
    assert await world.held() == [("web-1", 7), ("web-2", 7)]
    _, metrics = await probe(service, "/metrics")
    assert "gthulhu_reconcile_commit_to_converged_seconds_count 1.0" in metrics

    world.write("policies/web.yaml", policy(priority=9).replace("priority:", "priorty:"))
    wrong = await service.logged("input is wrong", code="unknown-key")
    assert wrong["where"].startswith("policies/web.yaml:6:")
    failed = await service.logged("pass ended", result="error")
    assert "policies/web.yaml:6:" in failed["problem"]
    await service.logged("pass ended", causes=["retry"])
    assert await world.held() == [("web-1", 7), ("web-2", 7)]
    status, body = await probe(service, "/readyz")
    assert status == 200
    assert "failed: " in json.loads(body)["notes"][0]
    assert sum(line.get("event") == "input is wrong" for line in service.lines()) == 1

    world.write("policies/web.yaml", policy(priority=9))
    await service.logged("pass ended", result="success")
    assert await world.held() == [("web-1", 9), ("web-2", 9)]

    world.pods("web-1", "web-2", "web-3")
    await service.logged("pass ended", result="success")
    assert len(await world.held()) == 3


async def test_a_git_checkout_that_replaces_the_directory_is_followed(world: World) -> None:
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")
    for priority in (3, 4):
        other = world.root / "checkout"
        other.mkdir()
        (other / "web.yaml").write_text(policy(priority=priority), encoding="utf-8")
        shutil.rmtree(world.policies)
        other.rename(world.policies)
        await service.logged("pass ended", result="success")
        assert await world.held() == [("web-1", priority), ("web-2", priority)]


async def test_an_agent_that_is_down_is_tried_again_and_reached_when_it_is_up(world: World) -> None:
    service = await world.service()
    failed = await service.logged("pass ended", result="error")
    assert "1 of 1 nodes failed" in failed["problem"]
    await service.logged("pass ended", causes=["retry"])
    status, body = await probe(service, "/readyz")
    assert status == 503
    assert json.loads(body)["reasons"][0] == "no pass has gone through yet"

    agent = await world.agent()
    await service.logged("pass ended", result="success")
    assert (await probe(service, "/readyz"))[0] == 200
    assert await world.held() == TWO

    await agent.stop()
    world.write("policies/web.yaml", policy(priority=8))
    await service.logged("node is failing")
    await service.logged("pass ended", result="error")
    await world.agent()
    await service.logged("node is well again")
    assert await world.held() == [("web-1", 8), ("web-2", 8)]


async def test_what_would_delete_too_much_is_held_and_nothing_unreadable_deletes(world: World) -> None:
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")

    (world.policies / "web.yaml").unlink()
    held = await service.logged("plan is held")
    assert held["guard"] == "empty-desired"
    await service.logged("pass ended", result="held")
    assert await world.held() == TWO
    assert "held: plan" in (await probe(service, "/readyz"))[1]
    assert 'gthulhu_guard_held{guard="empty-desired"} 1.0' in (await probe(service, "/metrics"))[1]

    world.write("policies/web.yaml", policy())
    await service.logged("no plan is held any more")

    world.write("pods.yaml", "pods:\n- {name: web-1, uid: 00000000-0000-4000-")
    await service.logged("input is wrong")
    assert (await service.logged("pass ended"))["result"] in ("error", "held")
    (world.root / "pods.yaml").unlink()
    await service.logged("input is wrong")
    assert (await service.logged("pass ended"))["result"] in ("error", "held")
    assert await world.held() == TWO
    world.pods("web-1", "web-2")
    await service.logged("pass ended", result="noop")


async def test_settings_are_reloaded_by_signal_and_by_edit_and_bad_ones_keep_the_old(world: World) -> None:
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")

    (world.root / "more").mkdir()
    world.write("more/high.yaml", policy("high", priority=12, more="  precedence: 10\n"))
    world.settings(more="policies: [policies/, more/]\n")
    await service.logged("settings reloaded")
    await service.logged("pass ended", result="success")
    assert await world.held() == [("web-1", 12), ("web-2", 12)]

    world.settings(more="polices: [nothing/]\n")
    wrong = await service.logged("settings not reloaded; the former ones stay in force")
    assert "'polices' is not allowed here" in wrong["problem"]
    service.signal(signal.SIGHUP)
    await service.logged("settings not reloaded; the former ones stay in force")
    await service.logged("pass ended", result="noop")
    assert "the former settings are in force" in (await probe(service, "/readyz"))[1]
    assert 'gthulhu_settings_reloads_total{result="error"} 2.0' in (await probe(service, "/metrics"))[1]
    assert await world.held() == [("web-1", 12), ("web-2", 12)]

    world.settings(interval="200ms")
    await service.logged("settings reloaded")
    await service.logged("pass ended", causes=["clock"])
    assert "former settings" not in (await probe(service, "/readyz"))[1]


async def test_a_suspension_that_ends_wakes_the_service(world: World) -> None:
    def suspend(until: datetime) -> None:
        text = f"  suspend: {{reason: freeze, until: '{until.isoformat(timespec='seconds')}'}}\n"
        world.write("policies/web.yaml", policy(more=text))

    world.write("policies/base.yaml", policy("base", priority=1, more="  precedence: -1\n"))
    suspend(datetime(2100, 1, 1, tzinfo=UTC))
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")
    assert await world.held() == [("web-1", 1), ("web-2", 1)]
    assert "gthulhu_policy_suspended_timestamp_seconds" in (await probe(service, "/metrics"))[1]
    for seconds in (3, 15, 45):
        suspend(datetime.now(UTC) + timedelta(seconds=seconds))
        seen = await service.logged("pass ended")
        if seen["result"] == "noop":
            break
        # A machine so busy that the suspension was over before it was read: once more, with more time.
        suspend(datetime(2100, 1, 1, tzinfo=UTC))
        await service.logged("pass ended")
    ended = await service.logged("pass ended", result="success")
    assert ended["causes"] == ["window"]
    assert await world.held() == TWO


async def test_two_installations_never_fight_in_silence(world: World) -> None:
    await world.agent()
    service = await world.service()
    await service.logged("pass ended", result="success")
    other = world.start("gthulhu-reconcile", "serve", "--owner", "elsewhere", "--listen", "off")
    failing = await other.logged("node is failing")
    assert "here" in failing["reason"]
    assert "--adopt" in failing["reason"]
    assert await world.held() == TWO
    await other.stop()

    (world.root / "other").mkdir()
    (world.root / "other" / "web.yaml").write_text(policy(priority=-3), encoding="utf-8")
    same = world.start("gthulhu-reconcile", "serve", "--once", "--policies", "other", "--log-format", "json")
    assert await same.ended() == 0
    assert await world.held() == [("web-1", -3), ("web-2", -3)]
    service.signal(signal.SIGHUP)
    drift = await service.logged("agent was changed by somebody else")
    assert (drift["node"], drift["intents"]) == ("n1", 2)
    await service.logged("pass ended", result="success")
    assert await world.held() == TWO


@asynccontextmanager
async def mute_agent(world: World) -> AsyncIterator[None]:
    """Something that takes connections and never answers."""
    closing = asyncio.Event()

    async def mute(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await closing.wait()
        writer.close()

    server = await asyncio.start_unix_server(mute, str(world.root / "n1.sock"))
    try:
        yield
    finally:
        server.close()
        closing.set()
        await asyncio.sleep(0.1)


async def test_a_pass_that_waits_for_a_mute_agent_is_cut_short_when_the_time_to_drain_is_over(world: World) -> None:
    world.settings(serve=", drain: 300ms", deadlines="request: 10m, node: 10m")
    async with mute_agent(world):
        service = await world.service()
        await asyncio.sleep(0.5)
        assert (await probe(service, "/livez"))[0] == 200
        service.signal(signal.SIGTERM)
        await service.logged("stopping after the running pass")
        await service.logged("the running pass took too long and was cut short")
        assert await service.ended() == 0


async def test_a_clock_that_ticks_during_a_pass_is_said(world: World) -> None:
    world.settings(interval="300ms")
    async with mute_agent(world):
        service = await world.service()
        missed = await service.logged("pass missed")
        assert missed["reason"] == "the former pass still runs"
        assert "gthulhu_reconcile_missed_total 0.0" not in (await probe(service, "/metrics"))[1]
        await service.stop()


async def test_once_ends_with_the_status_of_its_pass(world: World) -> None:
    for status in (1, 0, 4):
        if status == 0:
            await world.agent()
        elif status == 4:
            (world.policies / "web.yaml").unlink()
        once = world.start("gthulhu-reconcile", "serve", "--once")
        assert await once.ended() == status
    assert await world.held() == TWO
