"""Executing plans against real agents, with faults on the way."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from agent_harness import desired, intent, running
from fleet import OWNER, fleet, planned
from hostile_agents import always, answer, holding, misbehaving

from gthulhu_agent.disk import Disk
from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome, PushResult, PushStatus
from gthulhu_reconcile.applying.pusher import push
from gthulhu_reconcile.cli.rendering import push as drawing
from gthulhu_reconcile.errors import Held
from gthulhu_reconcile.model.plan import Guard, Hold, Plan
from gthulhu_reconcile.observing.accepted import read_accepted
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Deadlines

HASTY = Deadlines(connect=1.0, request=0.3, node=1.0)
QUICK = Backoff(tries=3, first=0.01)


async def pushed(plan: Plan, agents: tuple[Agent, ...], *, owner: str = OWNER, token: int = 0) -> PushResult:
    async with AgentClient(deadlines=HASTY) as client:
        return await push(plan, agents, client, owner=owner, token=token, rng=Random(1), backoff=QUICK)


def outcomes(result: PushResult) -> dict[str, Outcome]:
    return {one.node: one.outcome for one in result.nodes}


async def test_every_changed_node_holds_what_was_planned_and_planning_again_gives_nothing(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1", "n2") as (_, agents), AgentClient() as client:
        plan = planned(["n1", "n2"])
        result = await push(plan, agents, client, owner=OWNER, token=3, rng=Random(1))
        assert (result.status, outcomes(result)) == (
            PushStatus.SUCCESS,
            {"n1": Outcome.ACKNOWLEDGED, "n2": Outcome.ACKNOWLEDGED},
        )
        assert [(one.generation, one.digest) for one in result.nodes] == [(1, plan.digests[n]) for n in ("n1", "n2")]
        accepted, lost = await read_accepted(client, agents, rng=Random(1))
        assert lost == ()
        assert {node: (one.owner, one.token, one.intents) for node, one in accepted.items()} == {
            node: (OWNER, 3, plan.desired[node]) for node in ("n1", "n2")
        }
        assert planned(accepted).changed_nodes == ()


async def test_a_node_that_is_as_wanted_is_not_asked(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1", "n2") as (_, agents), AgentClient() as client:
        await push(planned(["n1"]), agents, client, owner=OWNER, rng=Random(1))
        accepted, _ = await read_accepted(client, agents, rng=Random(1))
        result = await push(planned(accepted), agents, client, owner=OWNER, rng=Random(1))
        assert outcomes(result) == {"n2": Outcome.ACKNOWLEDGED}


async def test_a_node_that_moved_since_is_stale_and_the_others_are_not(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1", "n2") as (harnesses, agents):
        plan = planned(["n1", "n2"])
        await harnesses["n1"].put(desired(1, intent()))
        result = await pushed(plan, agents)
        assert (outcomes(result), result.status) == (
            {"n1": Outcome.STALE, "n2": Outcome.ACKNOWLEDGED},
            PushStatus.PARTIAL,
        )
        assert "generation 1 of 'main'" in result.failed[0].reason


async def test_a_node_that_lost_its_state_since_is_stale_too(tmp_path: Path) -> None:
    """Its generation went backwards, which no comparison of generations at the agent would notice."""
    async with fleet(tmp_path, "n1") as (_, agents), AgentClient() as client:
        await push(planned(["n1"]), agents, client, owner=OWNER, rng=Random(1))
        accepted, _ = await read_accepted(client, agents, rng=Random(1))
    (tmp_path / "new").mkdir()
    async with fleet(tmp_path / "new", "n1") as (_, agents):
        result = await pushed(planned(accepted, priority=7), agents)
        assert (outcomes(result), result.status) == ({"n1": Outcome.STALE}, PushStatus.ERROR)


async def test_two_installations_never_fight_in_silence(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, agents):
        plan = planned(["n1"])
        await harnesses["n1"].put(desired(1, intent(), owner="other"))
        result = await pushed(plan, agents)
        assert outcomes(result) == {"n1": Outcome.FOREIGN}
        assert "'other'" in result.failed[0].reason
        assert "--adopt" in result.failed[0].reason
        assert (await harnesses["n1"].get("/v1/digest"))[1]["owner"] == "other"


async def test_a_plan_that_adopts_takes_the_node_over(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, agents), AgentClient() as client:
        await harnesses["n1"].put(desired(4, intent(), owner="other"))
        accepted, _ = await read_accepted(client, agents, rng=Random(1))
        result = await pushed(planned(accepted, adopt=True), agents)
        assert (result.status, result.nodes[0].generation) == (PushStatus.SUCCESS, 5)
        assert (await harnesses["n1"].get("/v1/digest"))[1]["owner"] == OWNER


async def test_an_older_leader_is_refused_by_its_token(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (_, agents), AgentClient() as client:
        await push(planned(["n1"]), agents, client, owner=OWNER, token=8, rng=Random(1))
        accepted, _ = await read_accepted(client, agents, rng=Random(1))
        result = await pushed(planned(accepted, priority=9), agents, token=7)
        assert outcomes(result) == {"n1": Outcome.STALE}
        assert "token 8" in result.failed[0].reason


Relay = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Proxy:
    """Between us and an agent; swallows the answers to the first ``lost`` requests that begin with ``method``."""

    def __init__(self, agent: Agent, method: bytes, lost: int) -> None:
        self._port = int(agent.url.rpartition(":")[2])
        self._method = method
        self._lost = lost
        self.requests: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                body = await reader.readexactly(int(length[0].split(b":")[1])) if length else b""
                self.requests.append(head.split(b" ", 1)[0])
                back.write(head + body)
                answered = await there.readuntil(b"\r\n\r\n")
                size = next(line for line in answered.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                content = await there.readexactly(int(size.split(b":")[1]))
                if head.startswith(self._method) and self._lost:
                    self._lost -= 1
                    await asyncio.sleep(1000)
                writer.write(answered + content)
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            pass
        finally:
            back.close()
            writer.close()


@pytest.mark.parametrize(("method", "expected"), [(b"PUT", Outcome.ALREADY), (b"GET", Outcome.ACKNOWLEDGED)])
async def test_a_lost_answer_is_asked_for_again_and_the_set_is_applied_once(
    tmp_path: Path, method: bytes, expected: Outcome
) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, (agent,)):
        proxy = Proxy(agent, method, 1)
        tasks: list[asyncio.Task[None]] = []

        def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            tasks.append(asyncio.create_task(proxy.serve(reader, writer)))

        server = await asyncio.start_server(connected, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        result = await pushed(planned(["n1"]), (Agent("n1", f"http://127.0.0.1:{port}"),))
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert outcomes(result) == {"n1": expected}
        assert (result.nodes[0].generation, result.nodes[0].tries) == (1, 2)
        assert proxy.requests.count(b"PUT") == 1
        assert (await harnesses["n1"].get("/v1/digest"))[1]["generation"] == 1


async def test_a_full_disk_is_a_refusal_that_was_tried_again_and_not_a_missing_answer(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, fd: int, data: bytes) -> None:  # noqa: ARG002 - the base's parameters
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with running(tmp_path, node="n1", disk=Full()) as harness:
        result = await pushed(planned(["n1"]), (Agent("n1", harness.url),))
    (node,) = result.nodes
    assert (node.outcome, node.tries) == (Outcome.REFUSED, QUICK.tries)
    assert "No space left on device" in node.reason
    assert "did not answer" not in drawing.pushed(result).plain


async def test_a_silent_node_and_a_lying_one_fail_alone(tmp_path: Path) -> None:
    async def silence(_head: bytes, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    done: list[NodeOutcome] = []
    async with (
        fleet(tmp_path, "n3") as (_, good),
        misbehaving(silence, node="n1") as mute,
        misbehaving(always(answer(holding(node="n2", digest="?"))), node="n2") as liar,
        AgentClient(deadlines=HASTY) as client,
    ):
        plan = planned(["n1", "n2", "n3", "n4"])
        result = await push(
            plan, (mute, liar, *good), client, owner=OWNER, rng=Random(1), backoff=QUICK, report=done.append
        )
    assert outcomes(result) == {
        "n1": Outcome.UNREACHABLE,
        "n2": Outcome.FAULTY,
        "n3": Outcome.ACKNOWLEDGED,
        "n4": Outcome.UNREACHABLE,
    }
    assert result.status is PushStatus.PARTIAL
    assert {one.node: one.reason for one in result.failed}["n4"] == "the inventory has no agent for it"
    assert sorted(one.node for one in done) == ["n1", "n2", "n3", "n4"]
    assert done[-1].node == "n1"


async def test_a_held_plan_is_sent_to_nobody(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, agents):
        held = replace(planned(["n1"]), held=Hold(Guard.MASS_CHANGE, "too much"))
        with pytest.raises(Held, match="too much"):
            await pushed(held, agents)
        assert (await harnesses["n1"].get("/v1/digest"))[1]["generation"] == 0


def test_the_status_of_a_push() -> None:
    good, bad = NodeOutcome("a", Outcome.ALREADY), NodeOutcome("b", Outcome.REFUSED)
    assert PushResult(()).status is PushStatus.SUCCESS
    assert PushResult((good,)).status is PushStatus.SUCCESS
    assert PushResult((good, bad)).status is PushStatus.PARTIAL
    assert PushResult((bad,)).status is PushStatus.ERROR
