"""What agents hold and find, read from real ones: the head first, the set only where it is not known."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random

from agent_harness import Harness, desired, intent
from fleet import fleet
from hostile_agents import always, answer, misbehaving

from gthulhu_agent.discovery.snapshot import DiscoveredPod, Snapshot
from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.model.pods import Container, Node, Pod
from gthulhu_reconcile.observing.accepted import identify, read_accepted
from gthulhu_reconcile.observing.local import LocalSource
from gthulhu_reconcile.observing.pods import Relisted
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Deadlines
from gthulhu_wire.intents import EMPTY_DIGEST, PodRef, digest

QUICK = Backoff(tries=2, first=0.01)
HASTY = Deadlines(connect=1.0, request=0.3, node=1.0)


class Counting(AgentClient):
    """Remembers whose set it fetched."""

    fetched: tuple[str, ...] = ()

    async def desired(self, agent: Agent):  # type: ignore[no-untyped-def] # noqa: ANN201 - as the base's
        """As the base's."""
        self.fetched += (agent.node,)
        return await super().desired(agent)


async def test_only_a_set_that_is_not_known_is_fetched(tmp_path: Path) -> None:
    known, other = desired(3, intent("a")), desired(4, intent("b"))
    async with fleet(tmp_path, "n1", "n2", "n3") as (harnesses, agents), Counting() as client:
        await harnesses["n1"].put(known)
        await harnesses["n2"].put(other)
        seen: list[tuple[str, bool]] = []
        accepted, lost = await read_accepted(
            client,
            agents,
            {digest(known.intents): known.intents},
            rng=Random(1),
            report=lambda node, good: seen.append((node, good)),
        )
        assert lost == ()
        assert client.fetched == ("n2",)
        assert {node: (one.generation, one.intents) for node, one in accepted.items()} == {
            "n1": (3, known.intents),
            "n2": (4, other.intents),
            "n3": (0, ()),
        }
        assert sorted(seen) == [("n1", True), ("n2", True), ("n3", True)]


async def test_a_node_that_cannot_be_read_is_unknown_and_never_empty(tmp_path: Path) -> None:
    async with (
        fleet(tmp_path, "n1") as (_, agents),
        misbehaving(always(answer(b"<html>")), node="n2") as liar,
        AgentClient(deadlines=HASTY) as client,
    ):
        gone = Agent("n3", "http://127.0.0.1:1")
        accepted, lost = await read_accepted(client, (*agents, liar, gone), rng=Random(1), backoff=QUICK)
    assert set(accepted) == {"n1"}
    assert [one.node for one in lost] == ["n2", "n3"]
    assert "not JSON" in lost[0].reason


async def test_an_agent_given_by_address_says_which_node_it_is(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1", "n2") as (harnesses, _), AgentClient() as client:
        first, second = (Agent("", harness.url) for harness in harnesses.values())
        known = Agent("n9", "http://127.0.0.1:1")
        found = await identify(client, (first, known, second), rng=Random(1))
        assert found.agents == (Agent("n1", first.url), known, Agent("n2", second.url))
        assert found.unreachable == ()


async def test_two_addresses_of_one_node_are_told_apart_by_neither(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, _), AgentClient() as client:
        url = harnesses["n1"].url
        twin = Agent("", url.replace("127.0.0.1", "127.0.0.2"))
        async with misbehaving(always(answer({"node": "n1", "version": "1"}))) as imposter:
            found = await identify(client, (Agent("", url), Agent("", imposter.url)), rng=Random(1), backoff=QUICK)
        assert found.agents == (Agent("n1", url),)
        assert f"as is {url}" in found.unreachable[0].reason
        gone = await identify(client, (twin,), rng=Random(1), backoff=Backoff(tries=1))
        assert gone.agents == ()
        assert [one.node for one in gone.unreachable] == [twin.url]


def discover(harness: Harness, name: str, *incomplete: str) -> None:
    harness.scanner.snapshot = Snapshot(
        (),
        (
            DiscoveredPod(
                uid=f"u-{name}", namespace="shop", name=name, labels=(("app", "web"),), containers=(("m", "c1"),)
            ),
        ),
        incomplete,
    )


async def test_a_node_that_was_not_seen_whole_is_left_alone_and_says_so(tmp_path: Path) -> None:
    """Its missing pods were taken to be gone: one unreadable cgroup forgot the intents of all that were in it."""
    async with fleet(tmp_path, "n1") as (harnesses, agents), AgentClient() as client:
        discover(harnesses["n1"], "web-0", "/sys/fs/cgroup/x: Permission denied", "another")
        await harnesses["n1"].next_pass()
        observation = await LocalSource(client, agents, rng=Random(1)).list()
        assert len(observation.pods) == 1
        (left_alone,) = observation.unreachable
        assert left_alone.node == "n1"
        assert "Permission denied, and 1 more" in left_alone.reason


async def test_pods_are_what_the_agents_themselves_found(tmp_path: Path) -> None:
    async with fleet(tmp_path, "n1") as (harnesses, agents), AgentClient(deadlines=HASTY) as client:
        discover(harnesses["n1"], "web-0")
        await harnesses["n1"].next_pass()
        gone = Agent("n2", "http://127.0.0.1:1", {"pool": "rt"})
        source = LocalSource(client, (*agents, gone), rng=Random(1), backoff=Backoff(tries=1), poll_seconds=0.01)
        observation = await source.list()
        assert observation.complete
        assert observation.pods == (
            Pod(PodRef("shop", "web-0", "u-web-0"), "n1", {"app": "web"}, containers=(Container("m", "c1"),)),
        )
        assert observation.nodes == (Node("n1"), Node("n2", {"pool": "rt"}))
        assert [type(one) for one in observation.unreachable] == [Unreachable]

        events = source.events()
        coming = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.05)
        assert not coming.done()
        discover(harnesses["n1"], "web-1")
        await harnesses["n1"].next_pass()
        event = await coming
        assert isinstance(event, Relisted)
        assert [pod.ref.name for pod in event.observation.pods] == ["web-1"]
        await events.aclose()  # type: ignore[attr-defined] # it is a generator


async def test_what_an_agent_lost_is_never_taken_for_what_is_wanted(tmp_path: Path) -> None:
    older, newer = desired(3, intent("a")), desired(4, intent("b"))
    async with fleet(tmp_path, "n1", "n2") as (harnesses, _):
        for pushed in (older, newer):
            await harnesses["n1"].put(pushed)
        await harnesses["n2"].put(older)
    newest = max((tmp_path / "n1" / "state").glob("desired-*.jsonl"))
    newest.write_bytes(newest.read_bytes()[:-1])
    for copy in (tmp_path / "n2" / "state").glob("desired-*.jsonl"):
        copy.write_bytes(b"")
    async with fleet(tmp_path, "n1", "n2") as (_, agents), Counting() as client:
        for known in ({}, {digest(older.intents): older.intents}):
            accepted, _ = await read_accepted(client, agents, known, rng=Random(1))
            assert {node: (one.damaged, one.generation, one.intents) for node, one in accepted.items()} == {
                "n1": (True, 4, older.intents),
                "n2": (True, 0, ()),
            }
            assert {one.digest for one in accepted.values()}.isdisjoint({digest(older.intents), EMPTY_DIGEST})
