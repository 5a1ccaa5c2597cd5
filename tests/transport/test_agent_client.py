"""The client against the real agent."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from agent_harness import SECRET, Harness, desired, intent, running

from gthulhu_reconcile.errors import AgentRefused, BadAnswer
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_reconcile.transport.client import AgentClient, encode
from gthulhu_reconcile.transport.reports import Discovered
from gthulhu_wire.documents import read_desired
from gthulhu_wire.intents import EMPTY_DIGEST, PolicyRef, digest


def at(harness: Harness, node: str = "node-1", **more: str) -> Agent:
    return Agent(node, harness.url, **more)  # type: ignore[arg-type] # only secret_file is passed


async def test_a_fresh_agent_holds_an_empty_set_of_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, AgentClient() as client:
        assert await client.digest(at(harness)) == Holding("node-1", "", 0, 0, EMPTY_DIGEST, 0)
        assert await client.desired(at(harness)) == Accepted("node-1")


async def test_what_is_put_is_acknowledged_and_read_back(tmp_path: Path) -> None:
    pushed = desired(4, intent("web"), intent("db", pod="uid-2"), token=2)
    expected = digest(pushed.intents)
    async with running(tmp_path) as harness, AgentClient() as client:
        assert await client.put(at(harness), pushed) == Holding("node-1", "main", 2, 4, expected, 2)
        assert await client.desired(at(harness)) == Accepted("node-1", "main", 2, 4, expected, pushed.intents)
        assert await client.put(at(harness), pushed) == await client.digest(at(harness))


@pytest.mark.slow
async def test_100000_different_patterns_are_pushed_and_read_back(tmp_path: Path) -> None:
    """They are more than the 32 MiB that either side took."""
    one, count = intent("web"), 100_000
    pushed = desired(
        1,
        *(
            replace(
                one,
                rank=number,
                terms=replace(
                    one.terms, policy=PolicyRef("default", f"p{number}", ""), command=f"^prog{number}x[0-9]$"
                ),
            )
            for number in range(count)
        ),
    )
    assert len(encode(pushed)[0]) > 32 << 20
    async with running(tmp_path) as harness, AgentClient() as client:
        held = await client.put(at(harness), pushed)
        assert held.count == count
        assert (await client.desired(at(harness))).digest == held.digest


async def test_a_stale_push_is_refused_with_what_holds(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, AgentClient() as client:
        await client.put(at(harness), desired(4, intent()))
        with pytest.raises(AgentRefused, match=r"generation 4 \(token 0\) of 'main'") as caught:
            await client.put(at(harness), desired(3, intent("other")))
        assert caught.value.code == "stale-generation"


async def test_a_foreign_owner_is_refused_unless_the_push_adopts(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, AgentClient() as client:
        await client.put(at(harness), desired(1, intent()))
        theirs = desired(2, intent(), owner="other")
        with pytest.raises(AgentRefused) as caught:
            await client.put(at(harness), theirs)
        assert caught.value.code == "foreign-owner"
        assert (await client.put(at(harness), theirs, adopt=True)).owner == "other"


async def test_another_node_than_meant_is_never_written_to(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, AgentClient() as client:
        with pytest.raises(BadAnswer, match="gthulhu_node_name"):
            await client.digest(at(harness, "node-2"))


async def test_state_pods_version_and_processes_are_values(tmp_path: Path) -> None:
    async with running(tmp_path) as harness, AgentClient() as client:
        await client.put(at(harness), desired(1, intent("web")))
        await harness.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"] is not None)
        state = await client.state(at(harness))
        assert (state.generation, state.enforcer, len(state.intents)) == (1, "fake", 1)
        only = state.intents[0]
        assert (only.policy.name, only.threads, only.effective["priority"], only.expired) == ("web", 1, 5, False)
        assert (await client.version(at(harness))).node == "node-1"
        assert await client.pods(at(harness)) == Discovered(())
        process = await client.process(at(harness), 1000)
        assert (process.comm, process.pod and process.pod.uid) == ("app", "uid-1")
        assert process.threads[0].winner == ("default", "web")
        with pytest.raises(AgentRefused) as caught:
            await client.process(at(harness), 4_000_000)
        assert caught.value.code == "not-found"


async def test_a_secret_file_proves_us_and_a_wrong_one_does_not(tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_bytes(SECRET + b"\n")
    wrong.write_text("another-secret-of-enough-bytes")
    async with running(tmp_path, secret=SECRET) as harness, AgentClient(secret_file=str(wrong)) as client:
        assert (await client.digest(at(harness, secret_file=str(right)))).generation == 0
        with pytest.raises(AgentRefused) as caught:
            await client.digest(at(harness))
        assert caught.value.code == "unauthenticated"


@pytest.mark.parametrize("content", [None, "", "two words", "a\x01b", "x" * 5000], ids=repr)
async def test_an_unusable_secret_file_is_said_and_nothing_is_asked_without_it(
    tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_text(content)
    async with running(tmp_path) as harness, AgentClient(secret_file=str(file)) as client:
        with pytest.raises(AgentRefused, match="cannot be used") as caught:
            await client.digest(at(harness))
        assert "words" not in str(caught.value)


async def test_an_agent_on_a_unix_socket_is_reached(tmp_path: Path) -> None:
    path = tmp_path / "agent.sock"
    async with running(tmp_path, listen=f"unix:{path}"), AgentClient() as client:
        assert (await client.digest(Agent("node-1", f"unix:{path}"))).generation == 0


async def test_connections_are_kept_only_for_as_many_agents_as_there_are_places(tmp_path: Path) -> None:
    async with running(tmp_path) as harness:
        for idle, expected in ((1, 1), (0, 0)):
            async with AgentClient(idle_connections=idle) as client:
                await client.digest(at(harness))
                await client.digest(at(harness))
                (session,) = client._sessions.values()
                connector = session.connector
                assert connector is not None
                assert sum(map(len, connector._conns.values())) == expected


def test_the_body_is_what_the_wire_reads_and_its_digest_is_in_it() -> None:
    pushed = desired(7, intent("a"), intent("ü", pod="x"), token=3)
    body, named = encode(pushed)

    decoded = json.loads(body)
    assert read_desired(decoded) == pushed
    assert decoded["digest"] == named == digest(pushed.intents)


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_a_secret_file_that_no_file_can_be_called_costs_its_own_node_only(name: str) -> None:
    """It was a ValueError, which no visit expects: nobody was visited."""
    agent = Agent("n1", "http://127.0.0.1:1", secret_file=name)
    async with AgentClient() as client:
        with pytest.raises(AgentRefused, match=r"secret file .* cannot be used") as caught:
            await client.digest(agent)
    assert caught.value.reason.isprintable()


@pytest.mark.parametrize("host", ["a..b", "a" * 64])
async def test_a_host_that_the_resolver_cannot_encode_costs_its_own_node_only(host: str) -> None:
    """It was a UnicodeError out of getaddrinfo, which no visit expects: nobody was visited."""
    async with AgentClient() as client:
        with pytest.raises(BadAnswer, match="cannot be asked"):
            await client.digest(Agent("n1", f"http://{host}:18080"))
