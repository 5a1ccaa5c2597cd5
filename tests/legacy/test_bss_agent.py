"""The older API on a whole agent: strategies follow labels, outlive restarts, and say what they cannot do."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from agent_harness import SECRET, FakeKernel, FakeScanner, Harness, desired, intent, running, snapshot
from api_server import ApiServer, pod, serving
from decision_maker_client import public_key

from gthulhu_agent.discovery.snapshot import DiscoveredPod, Snapshot
from gthulhu_agent.disk import Disk
from gthulhu_agent.legacy import reaching

LISTEN = "127.0.0.1:0,api=bss"
PATH = "/api/v1/scheduling/strategies"
WEB = [{"key": "app", "value": "web"}]
STRATEGY = {"priority": True, "execution_time": 20_000_000, "selectors": WEB}


def world(**labels: str) -> Snapshot:
    """Pods a and b; the pod file tells the label ``app`` of those named."""
    pods = tuple(DiscoveredPod(uid, "default", uid, (("app", value),)) for uid, value in labels.items())
    return replace(snapshot("a", "b"), pods=pods)


async def post(
    agent: Harness, *strategies: dict[str, Any], query: str = "", url: str = ""
) -> tuple[int, dict[str, Any]]:
    """``POST`` strategies."""
    body = {"strategies": list(strategies)}
    async with agent.session.post(f"{url or agent.url}{PATH}{query}", json=body) as answer:
        return answer.status, await answer.json()


async def listed(agent: Harness) -> dict[int, bool]:
    """The threads that are listed, with their priorities."""
    _, value = await agent.get(PATH)
    return {row["pid"]: row["priority"] for row in value["scheduling"]}


async def until_listed(agent: Harness, wanted: dict[int, bool]) -> None:
    """Wait until just these are listed; the test's own deadline ends it otherwise."""
    while await listed(agent) != wanted:  # noqa: ASYNC110 - what is waited for is another's answer
        await asyncio.sleep(0.01)


async def strategy_states(agent: Harness) -> list[dict[str, Any]]:
    """What ``GET /v1/state`` says of strategies."""
    _, value = await agent.get("/v1/state")
    found: list[dict[str, Any]] = value["strategies"]
    return found


async def conditions(agent: Harness) -> set[str]:
    """The conditions that stand."""
    _, value = await agent.get("/v1/state")
    return {one["type"] for one in value["conditions"]}


async def test_a_strategy_follows_labels_that_the_pod_file_changes(tmp_path: Path) -> None:
    scanner = FakeScanner(world(a="web"))
    async with running(tmp_path, scanner=scanner, listen=LISTEN) as agent:
        await agent.next_pass()
        assert (await post(agent, STRATEGY))[0] == 200
        await until_listed(agent, {1000: True})
        scanner.snapshot = world(a="api", b="web")
        await until_listed(agent, {1001: True})
        scanner.snapshot = world(a="web", b="web")
        await until_listed(agent, {1000: True, 1001: True})
        assert (await post(agent))[0] == 200
        await until_listed(agent, {})


async def test_labels_that_a_manager_sent_with_its_intents_are_known(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world()), listen=f"{LISTEN} 127.0.0.1:0") as agent:
        dm = f"http://{agent.service.edge.listeners[1].listener.address}/api/v1/intents"
        assert (await post(agent, STRATEGY))[0] == 200
        assert await listed(agent) == {}
        sent = {"podID": "b", "podName": "b", "commandRegex": "^no-such$", "podLabels": {"app": "web"}}
        async with agent.session.post(dm, json={"intents": [sent]}) as answer:
            assert answer.status == 200
        await until_listed(agent, {1001: True})
        async with agent.session.delete(dm, json={"all": True}) as answer:
            assert answer.status == 200
        await until_listed(agent, {})


async def test_a_strategy_follows_the_api_server(tmp_path: Path) -> None:
    server = ApiServer([pod("a", {"app": "api"}, uid="a")])
    (tmp_path / "token").write_text(server.token)
    async with (
        serving(server),
        running(
            tmp_path,
            scanner=FakeScanner(world()),
            listen=LISTEN,
            bss_kubernetes=server.url,
            bss_kubernetes_token_file=tmp_path / "token",
        ) as agent,
    ):
        assert (await post(agent, STRATEGY))[0] == 200
        server.tell("ADDED", pod("b", {"app": "web"}, uid="b"))
        await until_listed(agent, {1001: True})
        server.tell("MODIFIED", pod("a", {"app": "web"}, uid="a"))
        await until_listed(agent, {1000: True, 1001: True})
        server.tell("DELETED", pod("b", {"app": "web"}, uid="b"))
        await until_listed(agent, {1000: True})
        assert server.lists[0]["fieldSelector"] == "spec.nodeName=node-1"


async def test_a_node_that_has_another_name_in_the_cluster_is_told(tmp_path: Path) -> None:
    server = ApiServer()
    (tmp_path / "token").write_text(server.token)
    told: dict[str, Any] = {"listen": LISTEN, "bss_kubernetes_token_file": tmp_path / "token"}
    async with (
        serving(server),
        running(tmp_path, scanner=FakeScanner(world()), bss_kubernetes=server.url, **told) as agent,
    ):
        await post(agent, STRATEGY)
        while "no pods on a node 'node-1'" not in (await strategy_states(agent))[0]["refused"][0]["why"]:
            await agent.next_pass()


async def test_pods_stay_reached_while_their_labels_are_not_known_yet_after_a_restart(tmp_path: Path) -> None:
    server = ApiServer([pod("a", {"app": "web"}, uid="a")])
    (tmp_path / "token").write_text(server.token)
    told: dict[str, Any] = {"listen": f"{LISTEN} 127.0.0.1:0", "bss_kubernetes_token_file": tmp_path / "token"}
    async with (
        serving(server),
        running(tmp_path, scanner=FakeScanner(world()), bss_kubernetes=server.url, **told) as agent,
    ):
        assert (await post(agent, STRATEGY))[0] == 200
        await until_listed(agent, {1000: True})
    async with running(tmp_path, scanner=FakeScanner(world()), bss_kubernetes="http://127.0.0.1:1", **told) as agent:
        await agent.next_pass()
        assert await listed(agent) == {1000: True}
        dm = f"http://{agent.service.edge.listeners[1].listener.address}/api/v1/intents"
        async with agent.session.post(dm, json={"intents": [{"podID": "b"}]}) as answer:
            assert answer.status == 200
        await until_listed(agent, {1000: True, 1001: False})
        while not (why := (await strategy_states(agent))[0]["refused"]):
            await agent.next_pass()
        assert "http://127.0.0.1:1" in why[0]["why"]


async def test_strategies_outlive_the_agent(tmp_path: Path) -> None:
    for _ in range(2):
        async with running(tmp_path, scanner=FakeScanner(world(a="web")), listen=LISTEN) as agent:
            await agent.next_pass()
            if not await strategy_states(agent):
                await post(agent, STRATEGY, {"pid": 4711})
            await until_listed(agent, {1000: True, 4711: False})


async def test_without_labels_nothing_is_made_up_and_the_state_says_so(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world()), listen=LISTEN) as agent:
        assert (await post(agent, STRATEGY))[0] == 200
        await agent.next_pass()
        assert await listed(agent) == {}
        (state,) = await strategy_states(agent)
        assert (state["pods"], state["selectors"], state["refused"][0]["what"]) == (0, WEB, "labels")
        assert "LabelsUnknown" in await conditions(agent)
        assert (await agent.get("/v1/ready"))[0] == 200
        agent.scanner.snapshot = world(a="web", b="api")
        await until_listed(agent, {1000: True})
        (state,) = await strategy_states(agent)
        assert (state["pods"], state["refused"]) == (1, [])
        await agent.next_pass()
        assert "LabelsUnknown" not in await conditions(agent)


async def test_a_strategy_for_one_process_is_listed_and_not_enforced_and_says_so(tmp_path: Path) -> None:
    kernel = FakeKernel()
    async with running(tmp_path, scanner=FakeScanner(world()), kernel=kernel, listen=LISTEN) as agent:
        await post(agent, {"priority": True, "pid": 1000}, {"pid": 1000, "command_regex": "x"}, {"priority": True})
        await agent.next_pass()
        _, value = await agent.get(PATH)
        assert value["scheduling"] == [{"priority": False, "execution_time": 0, "pid": 1000, "command_regex": "x"}]
        assert kernel.enforced == set()
        assert [one["refused"][0]["what"] for one in await strategy_states(agent)] == ["pid", "pid", "selectors"]


async def test_of_very_many_strategies_the_first_are_told(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world(a="web")), listen=LISTEN) as agent:
        await agent.next_pass()
        await post(agent, *({**STRATEGY, "execution_time": 1_000_000 + number} for number in range(reaching.TOLD + 5)))
        assert len(await strategy_states(agent)) == reaching.TOLD
        assert (await agent.get("/v1/state"))[1]["received"]["strategies"] == reaching.TOLD + 5
        _, value = await agent.get(PATH)
        assert [row["execution_time"] for row in value["scheduling"]] == [1_000_000 + reaching.TOLD + 4]


async def test_the_last_strategy_wins_a_thread_and_is_listed_once(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world(a="web")), listen=LISTEN) as agent:
        await agent.next_pass()
        await post(agent, STRATEGY, {**STRATEGY, "priority": False}, {"priority": True, "pid": 1000})
        await agent.next_pass()
        _, value = await agent.get(PATH)
        assert value["scheduling"] == [{"priority": False, "execution_time": 20_000_000, "pid": 1000, "selectors": WEB}]


async def test_a_listing_that_was_made_before_is_a_hit(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world(a="web")), listen=LISTEN, scan_interval=3600) as agent:
        await agent.next_pass()
        await post(agent, STRATEGY)
        found = []
        for _ in range(2):
            async with agent.session.get(f"{agent.url}{PATH}") as answer:
                found.append((answer.headers["X-Cache-Hit"], answer.headers["X-Cache-Stats"], await answer.json()))
        assert found[0][:2] == ("false", "hits=0,misses=1,hit_rate=0.00%")
        assert found[1][:2] == ("true", "hits=1,misses=1,hit_rate=50.00%")
        assert found[1][2]["message"] == "Scheduling strategies retrieved from cache"


async def test_a_node_of_another_owner_refuses_strategies_unless_they_adopt_it(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(world(a="web")), listen=LISTEN) as agent:
        await agent.put(desired(1, intent("ours", pod="a", priority=10)))
        await agent.next_pass()
        assert await listed(agent) == {1000: True}
        status, value = await post(agent, STRATEGY)
        assert (status, value["success"]) == (409, False)
        assert "'main'" in value["error"]
        assert (await post(agent, STRATEGY, query="?adopt=true"))[0] == 200
        assert (await agent.get("/v1/digest"))[1]["owner"] == "legacy"
        assert len(await strategy_states(agent)) == 1
        assert (await agent.put(desired(9), query="?adopt=true"))[0] == 200
        assert await strategy_states(agent) == []
        assert await listed(agent) == {}


async def test_x02_a_login_that_proves_nothing_adopts_no_node_by_strategies(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET, compat_public_key_login=True, listen=LISTEN) as agent:
        await agent.put(desired(1, intent("ours", pod="a")))
        login = {"public_key": await public_key(agent)}
        async with agent.session.post(f"{agent.url}/api/v1/auth/token", json=login) as answer:
            bearer = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        async with agent.session.post(
            f"{agent.url}{PATH}?adopt=true", json={"strategies": []}, headers=bearer
        ) as answer:
            assert answer.status == 403
            assert (await answer.json())["success"] is False
        assert agent.service.agent.held.owner == "main"


class FailingDisk(Disk):
    """Takes nothing while ``full``."""

    full = False

    def rename(self, source: Path, target: Path) -> None:
        """Rename, or not."""
        if self.full:
            raise OSError(28, "No space left on device")
        super().rename(source, target)


async def test_strategies_that_could_not_be_stored_are_counted_as_refused(tmp_path: Path) -> None:
    """They were told apart from pushes of the control plane, which always were."""
    disk = FailingDisk()
    async with running(tmp_path, disk=disk, listen=LISTEN) as agent:
        disk.full = True
        assert (await post(agent, STRATEGY))[0] == 507
        assert agent.service.agent.pushes.refused == {"not-stored": 1}


async def test_pods_that_could_not_be_stored_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "_RETRY", 0.01)
    disk = FailingDisk()
    async with running(tmp_path, scanner=FakeScanner(world(a="web")), disk=disk, listen=LISTEN) as agent:
        await agent.next_pass()
        await post(agent, STRATEGY)
        await until_listed(agent, {1000: True})
        disk.full = True
        agent.scanner.snapshot = world(a="web", b="web")
        while "StoreUnwritable" not in await conditions(agent):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.01)
        assert await listed(agent) == {1000: True}
        disk.full = False
        await until_listed(agent, {1000: True, 1001: True})


@pytest.mark.parametrize(("origins", "allowed"), [((), False), (("https://ui.example",), True), (("*",), True)])
async def test_web_pages_may_call_only_where_it_is_configured(
    tmp_path: Path, origins: tuple[str, ...], allowed: bool
) -> None:
    async with running(tmp_path, listen=LISTEN, bss_cors_origins=origins) as agent:
        page = {"Origin": "https://ui.example"}
        async with agent.session.get(f"{agent.url}/health", headers=page) as answer:
            assert answer.status == (200 if allowed else 403)
            assert ("Access-Control-Allow-Origin" in answer.headers) is allowed
        async with agent.session.options(f"{agent.url}{PATH}", headers=page) as answer:
            assert (answer.status == 200) is allowed
        async with agent.session.get(f"{agent.url}/health", headers={"Origin": "https://evil.example"}) as answer:
            assert (answer.status == 200) is ("*" in origins)


async def test_a_body_over_the_limit_is_refused_in_the_envelope(tmp_path: Path) -> None:
    async with running(tmp_path, listen=LISTEN) as agent:
        headers = {"Content-Length": str(33 * 1024 * 1024)}
        request = agent.session.post(f"{agent.url}{PATH}", headers=headers, data=b"{")
        async with request as answer:
            assert answer.status == 413
            assert (await answer.json())["success"] is False


async def test_our_own_api_is_there_beside_it(tmp_path: Path) -> None:
    async with running(tmp_path, listen=LISTEN) as agent:
        assert (await agent.get("/v1/health"))[0] == 200
        async with agent.session.get(f"{agent.url}/metrics") as answer:
            assert answer.status == 200
        with pytest.raises(aiohttp.ContentTypeError):
            await agent.get("/api/v1/intents/merkle")  # the Decision Maker's: 404 in plain text here
