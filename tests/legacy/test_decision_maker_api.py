"""A Decision Maker's endpoints, as its clients know them; the contract's table has the rest of the wire."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
from agent_harness import SECRET, FakeScanner, desired, running
from agent_harness import intent as ours
from decision_maker_client import Client, host, intent, node, pod, pods_of, process, public_key

from gthulhu_agent.discovery.snapshot import DiscoveredPod, Snapshot
from gthulhu_agent.settings import Listen
from gthulhu_wire.dialects import Dialect

NODE = node(
    pod("uid-1", process(10, "nginx", (11, "worker"), (12, "log")), process(20, "sh")),
    pod("uid-1", process(30, "pause"), container="c1"),
    pod("uid-2", process(40, "redis")),
    host("ssh.service", process(50, "sshd")),
    host("web.service", process(60, "caddy", (61, "http"))),
)
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


async def test_the_envelope_has_its_keys_in_order_and_a_newline_at_its_end(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        sent = await client.send(intent())
        root = await client.call("GET", "/api/v1/intents/merkle")
    assert list(sent.body) == ["success", "timestamp"]
    assert list(root.body) == ["success", "data", "timestamp"]
    assert INSTANT.fullmatch(sent.body["timestamp"])
    assert sent.raw.endswith(b"}\n")
    assert sent.headers["Content-Type"] == "application/json"


async def test_an_error_has_two_keys_and_no_more(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        client = Client(agent)
        for method, path, text in (
            ("POST", "intents", "Invalid request payload"),
            ("DELETE", "intents", "Invalid request payload"),
            ("POST", "node-intents", "Invalid request payload"),
            ("POST", "metrics", "Invalid request payload"),
            ("POST", "runtime-config", "Invalid request payload"),
        ):
            answer = await client.call(method, f"/api/v1/{path}", b"{")
            assert (answer.status, answer.body) == (400, {"success": False, "error": text})
            assert list(answer.body) == ["success", "error"]


async def test_a_wrong_method_is_404_below_api_and_405_outside(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent:
        client = Client(agent)
        for method, path in (("PUT", "intents"), ("OPTIONS", "intents"), ("GET", "nothing"), ("POST", "pods/pids")):
            answer = await client.call(method, f"/api/v1/{path}")
            assert (answer.status, answer.body) == (404, {"message": "Not Found"})
        assert (await client.call("HEAD", "/api/v1/pods/pids")).status == 404
        assert (await client.call("HEAD", "/health")).status == 405
        answer = await client.call("POST", "/version")
        assert (answer.status, answer.body) == (405, {"message": "Method Not Allowed"})


@pytest.mark.parametrize("path", ["/", "/nothing", "/apis", "/v1x", "/metricsx", "/health/x"])
async def test_what_nobody_has_is_404_in_the_words_of_the_listeners_api(tmp_path: Path, path: str) -> None:
    """It asked for a login first, and then answered as our own API does."""
    listen = (Listen("127.0.0.1:0", "dm", Dialect.KERNEL), Listen("127.0.0.1:0", "bss", Dialect.BOOL))
    async with running(tmp_path, secret=SECRET, listen=listen) as agent:
        answer = await Client(agent).call("GET", path, Authorization="")
        assert (answer.status, answer.body) == (404, {"message": "Not Found"})
        bss = f"http://{agent.service.edge.listeners[1].listener.address}"
        async with aiohttp.ClientSession() as nobody:
            async with nobody.delete(f"{bss}{path}") as told:
                assert (told.status, await told.text()) in {(404, "404 page not found\n"), (405, "")}
                assert (told.status == 405) == (path == "/")
            for own in ("/v1", "/v1/nothing"):
                async with nobody.get(f"{bss}{own}") as told:
                    assert (told.status, (await told.json())["code"]) == (401, "unauthenticated")
        assert (await agent.get("/v1/nothing"))[1]["code"] == "not-found"


async def test_a_listener_that_speaks_none_of_them_has_no_such_path(tmp_path: Path) -> None:
    async with running(tmp_path, listen=(Listen("127.0.0.1:0", "none", Dialect.KERNEL),)) as agent:
        assert (await agent.get("/health"))[0] == 404
        assert (await agent.get("/api/v1/intents/merkle"))[1]["code"] == "not-found"


async def test_texts_are_escaped_as_go_escapes_them(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(commandRegex="<&>|ngin", podLabels={"a": "<é>"}))
        raw = (await client.call("GET", "/api/v1/scheduling/strategies")).raw
    assert b'"command_regex":"\\u003c\\u0026\\u003e|ngin"' in raw
    assert '{"key":"a","value":"\\u003cé\\u003e"}'.encode() in raw


async def test_an_entry_has_its_keys_in_order_and_leaves_empty_ones_out(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(
            intent(), intent("uid-2", priority=3, executionTime=5_000_000, podLabels={"b": "2"}, commandRegex="r")
        )
        rows = await client.listed()
    assert list(rows[0]) == ["priority", "execution_time", "pid", "selectors", "command_regex"]
    assert rows[0] == {
        "priority": 3,
        "execution_time": 5_000_000,
        "pid": 40,
        "selectors": [{"key": "b", "value": "2"}],
        "command_regex": "r",
    }
    assert list(rows[1]) == ["priority", "execution_time", "pid"]


async def test_nothing_is_an_empty_list_and_never_null(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(node())) as agent:
        client = Client(agent)
        assert b'"scheduling":[]' in (await client.call("GET", "/api/v1/scheduling/strategies")).raw
        assert b'"pods":[]' in (await client.call("GET", "/api/v1/pods/pids")).raw


async def test_a_set_replaces_the_former_one_as_a_whole(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(priority=5))
        await client.send(intent("uid-2", priority=6))
        assert await client.pids() == {40: 6}
        await client.call("POST", "/api/v1/intents", b"null")
        assert await client.pids() == {}


async def test_w09_a_restart_loses_nothing(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(priority=5, podLabels={"app": "web"}))
        await client.send_node({"policyID": "p", "commandRegex": "caddy", "priority": 20})
        before = (await client.listed(), await client.root(), await client.root("node-intents"), await client.state())
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        after = (await client.listed(), await client.root(), await client.root("node-intents"), await client.state())
    for key in ("enforcedSince", "acceptedSince"):
        for row in (*before[3], *after[3]):
            row.pop(key)
    assert before == after


async def test_w09_what_is_not_known_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        await Client(agent).send(intent(priority=5))
    for stored in (tmp_path / "state").glob("desired-*"):
        stored.write_bytes(b"damaged")
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        answer = await client.call("GET", "/api/v1/scheduling/strategies")
        assert (answer.status, answer.body) == (
            500,
            {"success": False, "error": "Failed to list scheduling intents"},
        )
        assert (await client.call("GET", "/api/v1/pods/pids")).status == 200
        await client.send(intent(priority=6))
        assert set((await client.pids()).values()) == {6}


async def test_an_older_copy_of_a_damaged_set_is_not_made_the_newest(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        await Client(agent).send(intent(priority=5))
        await Client(agent).send(intent(priority=6))
    newest = max((tmp_path / "state").glob("desired-*"))
    newest.write_bytes(b"damaged")
    scanner = FakeScanner(replace(NODE, pods=(DiscoveredPod("uid-1", "kube-system", "dns"),)))
    async with running(tmp_path, scanner=scanner) as agent:
        await agent.service.decisions.reach_again()
        assert agent.service.agent.damaged
        assert (await agent.get("/v1/digest"))[1]["damaged"] is True


async def test_w11_a_deletion_can_name_one_intent_of_a_pod(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(commandRegex="nginx", priority=5), intent(commandRegex="sh", priority=6))
        await client.drop(podId="uid-1", commandRegex="sh", priority=6)
        assert await client.pids() == {10: 5, 11: 5, 12: 5}
        await client.drop(podId="uid-1")
        assert await client.pids() == {}


async def test_w14_a_process_of_several_intents_is_listed_once_with_the_last(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(priority=3), intent(priority=9, commandRegex="ngin"), intent("uid-2", priority=4))
        rows = await client.listed()
        assert len({row["pid"] for row in rows}) == len(rows)
        assert await client.pids() == {10: 9, 11: 9, 12: 9, 20: 3, 40: 4}
        assert await client.listed() == rows


async def test_w16_one_process_is_listed_once(tmp_path: Path) -> None:
    twice = node(*NODE.groups, *NODE.groups[:1])
    async with running(tmp_path, scanner=FakeScanner(twice)) as agent:
        client = Client(agent)
        await client.send(intent())
        pids = [row["pid"] for row in await client.listed()]
        pods = (await client.call("GET", "/api/v1/pods/pids")).body["data"]["pods"]
    assert sorted(pids) == [10, 11, 12, 20]
    assert [one["pid"] for one in pods[0]["processes"]] == [10, 20, 30]


@pytest.mark.parametrize(
    ("said", "time", "wanted"),
    [
        (99, 10**18, (20, 100_000_000)),
        (-3, -1, (0, 0)),
        (20, 1, (20, 100_000)),
        (19, 20_000_000, (19, 20_000_000)),
        (-(2**63), 2**63 - 1, (0, 100_000_000)),
    ],
)
async def test_w19_what_is_out_of_range_is_listed_as_it_is_enforced_and_digested_as_it_came(
    tmp_path: Path, said: int, time: int, wanted: tuple[int, int]
) -> None:
    """Gthulhu's scheduler read what had come, whatever the state said of its having been clamped."""
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client, sent = Client(agent), intent("uid-2", priority=said, executionTime=time)
        await client.send(sent)
        assert [(row["priority"], row["execution_time"]) for row in await client.listed()] == [wanted]
        came = await client.root()
        await client.send({**sent, "priority": wanted[0], "executionTime": wanted[1]})
        assert (await client.root() == came) == ((said, time) == wanted)


async def test_w17_worker_threads_are_listed_too(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(commandRegex="^nginx$", priority=5))
        assert await client.pids() == {10: 5, 11: 5, 12: 5}


@pytest.mark.parametrize(
    ("on", "regex", "wanted"), [("thread", "^worker$", {11}), ("argv0", "^/bin/sh", {20}), ("comm", "worker", set())]
)
async def test_w18_thread_names_and_argv0_can_be_matched_on(
    tmp_path: Path, on: str, regex: str, wanted: set[int]
) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(commandRegex=regex, commandOn=on))
        assert set(await client.pids()) == wanted


async def test_w19_a_negative_time_is_none_and_not_a_huge_one(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent("uid-2", executionTime=-1, priority=99))
        assert [row["execution_time"] for row in await client.listed()] == [0]
        (state,) = await client.state()
        assert [note["what"] for note in state["refused"]] == ["priority", "slice"]


async def test_w19_a_pod_of_a_protected_namespace_is_held_and_not_touched(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(k8sNamespace="kube-system", priority=1))
        empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        assert await client.root() not in ("", empty)
        assert await client.pids() == {}
        assert agent.kernel.enforced == set()
        (state,) = await client.state()
        assert [note["what"] for note in state["refused"]] == ["namespace"]


async def test_w19_a_pod_that_turns_out_to_be_protected_is_let_go(tmp_path: Path) -> None:
    scanner = FakeScanner(NODE)
    async with running(tmp_path, scanner=scanner) as agent:
        client = Client(agent)
        await client.send(intent("uid-2", priority=1))
        await agent.until("/v1/state", lambda state: state["intents"][0]["threads"])
        root = await client.root()
        scanner.snapshot = replace(NODE, pods=(DiscoveredPod("uid-2", "kube-system", "dns"),))
        await agent.until("/v1/state", lambda state: state["intents"][0]["refused"])
        assert await client.pids() == {}
        assert await client.root() == root


async def test_pause_is_among_a_pods_processes_and_never_in_a_strategy(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(), intent(commandRegex="pau"))
        assert set(await client.pids()) == {10, 11, 12, 20}
        pods = (await client.call("GET", "/api/v1/pods/pids")).body["data"]["pods"]
    assert {"pid": 30, "command": "pause", "container_id": "c1"} in pods[0]["processes"]


async def test_w22_a_deletion_by_pid_drops_the_intents_that_take_the_process(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(commandRegex="nginx", priority=5), intent(commandRegex="sh", priority=6))
        await client.listed()
        assert (await client.drop(podId="uid-1", pid=20)).status == 200
        assert await client.pids() == {10: 5, 11: 5, 12: 5}
        assert (await client.drop(podId="uid-1", pid=4711)).status == 200
        assert await client.pids() == {10: 5, 11: 5, 12: 5}
        await client.send(intent(commandRegex="^log$", commandOn="thread"), intent(commandRegex="(", priority=5))
        await client.drop(podId="uid-1", pid=10)
        received = agent.service.agent.held.received
        assert received is not None
        assert [one.command_regex for one in received.intents] == ["("]


async def test_w23_what_changed_is_told_by_the_values_and_not_by_the_root(tmp_path: Path) -> None:
    once, other = intent(priority=5), intent("uid-2", priority=6)
    third = intent("uid-3", priority=7)
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(once, other, third)
        root, generation = await client.root(), agent.service.agent.held.generation
        await client.send(once, other, third, third)
        assert await client.root() == root
        assert agent.service.agent.held.generation == generation + 1
        received = agent.service.agent.held.received
        assert received is not None
        assert len(received.intents) == 4


async def test_what_changes_nothing_is_no_new_generation(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        for _ in range(3):
            await client.send(intent(priority=5))
        assert agent.service.agent.held.generation == 1


async def test_y06_a_node_that_is_as_it_was_is_not_matched_anew(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE), scan_interval=60.0) as agent:
        client = Client(agent)
        await client.send(intent())
        await client.listed()
        scans = agent.scanner.scans
        first = await agent.service.decisions.strategies(Dialect.KERNEL)
        assert await agent.service.decisions.strategies(Dialect.KERNEL) is first
        assert agent.scanner.scans == scans


async def test_y11_the_strongest_come_first_where_a_map_has_too_little_room(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent(priority=20), intent(priority=2, commandRegex="sh"), intent("uid-2", priority=12))
        assert [row["priority"] for row in await client.listed()] == [2, 12, 20, 20, 20]


async def test_y11_more_threads_than_the_schedulers_map_takes_are_told(tmp_path: Path) -> None:
    scanner = FakeScanner(node(*pods_of(1, 4097)))
    async with running(tmp_path, scanner=scanner) as agent:
        client = Client(agent)
        await client.send(intent("uid-0"))
        assert len(await client.listed()) == 4097
        conditions = (await agent.get("/v1/state"))[1]["conditions"]
        assert "SchedulerMapFull" in {condition["type"] for condition in conditions}
        assert (await agent.get("/v1/ready"))[0] == 200
        await client.drop(all=True)
        await client.listed()
        conditions = (await agent.get("/v1/state"))[1]["conditions"]
        assert "SchedulerMapFull" not in {condition["type"] for condition in conditions}


async def test_node_intents_never_take_pods_kernel_threads_or_protected_units(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send_node({"policyID": "p", "nodeID": "node-1", "commandRegex": ".", "priority": 15})
        assert await client.pids() == {60: 15, 61: 15}


async def test_the_root_of_node_intents_is_empty_until_some_were_sent(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        assert await client.root("node-intents") == ""
        await client.call("DELETE", "/api/v1/node-intents", {"all": True})
        assert (await client.root("node-intents")).startswith("e3b0c442")
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        assert (await Client(agent).root("node-intents")).startswith("e3b0c442")


async def test_a_node_of_another_owner_is_not_taken_and_its_intents_are_listed(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await agent.put(desired(4, ours("db", pod="uid-2", priority=15)))
        for refused in (await client.send(intent()), await client.drop(all=True), await client.send_node()):
            assert refused.status == 409
            assert refused.body["holds"]["owner"] == "main"
            assert "'main'" in refused.body["error"]
        assert await client.pids() == {40: 10}
        assert (await client.root()).startswith("e3b0c442")


async def test_adopting_takes_the_node_over_and_back_again(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await agent.put(desired(4, ours("db", pod="uid-2")))
        assert (await client.send(intent(priority=5), query="?adopt=true")).status == 200
        assert agent.service.agent.held.generation == 5
        root = await client.root()
        assert (await agent.put(desired(6, ours("db"))))[0] == 409
        assert (await agent.put(desired(6, ours("db")), query="?adopt=true"))[0] == 200
        assert agent.service.agent.held.received is None
        assert await client.root() != root


async def test_x02_a_login_that_proves_nothing_adopts_no_node(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET, compat_public_key_login=True, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        token = await legacy_token(client)
        bearer = {"Authorization": f"Bearer {token}"}
        await agent.put(desired(4, ours("db", pod="uid-2")))
        answer = await client.call("POST", "/api/v1/intents?adopt=true", {"intents": []}, **bearer)
        assert answer.status == 403
        config = {"configVersion": "1", "mode": "none"}
        assert (await client.call("POST", "/api/v1/runtime-config", config, **bearer)).status == 409
        assert (await client.call("GET", "/api/v1/scheduling/strategies", **bearer)).status == 200


async def legacy_token(client: Client) -> str:
    """A token for the agent's public key, as Gthulhu's clients get theirs."""
    answer = await client.call("POST", "/api/v1/auth/token", {"public_key": await public_key(client.agent)})
    assert answer.status == 200, answer.raw
    return str(answer.body["data"]["token"])


class Halting(FakeScanner):
    """Looks, and then waits until it is let go, once it was told to."""

    def __init__(self, snapshot: Snapshot) -> None:
        super().__init__(snapshot)
        self.halts = False
        self.halted = threading.Event()
        self.go = threading.Semaphore(0)

    def scan(self) -> Snapshot:
        """What there was before it waited."""
        found = super().scan()
        if self.halts:
            self.halted.set()
            self.go.acquire()
        return found


async def test_what_was_sent_is_listed_though_a_look_of_before_is_under_way(tmp_path: Path) -> None:
    """Who asked after the sending shared that look, and got the list of the set before."""
    scanner = Halting(NODE)
    async with running(tmp_path, scanner=scanner, scan_interval=3600.0) as agent:
        client = Client(agent)
        for _ in range(2):  # the loop's own first pass comes between
            await agent.next_pass()
        scanner.halts = True
        try:
            before = asyncio.create_task(agent.service.engine.look_again())
            await asyncio.to_thread(scanner.halted.wait)
            assert (await client.send(intent(priority=5))).status == 200
            listed = asyncio.create_task(client.pids())
            await asyncio.sleep(0.1)
            scanner.go.release()
            await before
            await asyncio.sleep(0.1)
        finally:
            scanner.halts = False
            scanner.go.release(100)
        assert 5 in (await listed).values()


async def test_two_clients_at_once_never_lose_a_part(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        sends = [client.send(intent(priority=5)), client.send_node({"policyID": "p", "commandRegex": "caddy"})]
        assert [answer.status for answer in await asyncio.gather(*sends)] == [200, 200]
        assert set(await client.pids()) == {10, 11, 12, 20, 60, 61}


async def test_each_listener_speaks_its_dialect(tmp_path: Path) -> None:
    listen = (Listen("127.0.0.1:0", "dm", Dialect.PRIORITY),)
    async with running(tmp_path, listen=listen, scanner=FakeScanner(NODE)) as agent:
        client = Client(agent)
        await client.send(intent("uid-2", priority=-7))
        assert await client.pids() == {40: -7}
        await agent.put(desired(9, ours("db", pod="uid-2", priority=15)), query="?adopt=true")
        assert await client.pids() == {40: 15}


async def test_a_reason_is_logged_where_clients_know_no_key_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with running(tmp_path) as agent:
        answer = await Client(agent).call("POST", "/api/v1/intents", b'{"intents":[{"priority":1.5}]}')
    assert json.loads(answer.raw) == {"success": False, "error": "Invalid request payload"}
    said = capsys.readouterr()
    assert "an integer is what has to be here" in said.out + said.err
