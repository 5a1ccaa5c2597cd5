"""The agent's API as callers see it: a real server on loopback and on a Unix socket, a real store."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from agent_harness import SECRET, FakeScanner, desired, intent, running, snapshot

from gthulhu_wire.documents import read_desired
from gthulhu_wire.intents import EMPTY_DIGEST, digest


async def test_a_fresh_agent_holds_generation_0_of_nobody(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        assert await agent.get("/v1/digest") == (
            200,
            {
                "node": "node-1",
                "owner": "",
                "token": 0,
                "generation": 0,
                "digest": EMPTY_DIGEST,
                "count": 0,
                "damaged": False,
            },
        )


async def test_what_was_put_is_what_is_held_and_read_back(tmp_path: Path) -> None:
    pushed = desired(3, intent("web"), intent("db", pod="uid-2"), token=2)
    async with running(tmp_path) as agent:
        status, acknowledged = await agent.put(pushed)
        assert (status, acknowledged["generation"], acknowledged["count"]) == (200, 3, 2)
        assert acknowledged["digest"] == digest(pushed.intents)
        assert (await agent.get("/v1/digest"))[1] == acknowledged
        _, body = await agent.get("/v1/desired")
        assert read_desired(body) == pushed
        assert body["digest"] == acknowledged["digest"]


async def test_a_restart_answers_and_enforces_what_was_held(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        before = await agent.get("/v1/desired")
        since = (await agent.get("/v1/state"))[1]["intents"][0]["acceptedSince"]
    async with running(tmp_path) as agent:
        assert await agent.get("/v1/desired") == before
        await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"] is not None)
        assert agent.kernel.enforced == {"web"}
        assert (await agent.get("/v1/state"))[1]["intents"][0]["acceptedSince"] == since


async def test_a_repeated_push_is_acknowledged_again(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        first = await agent.put(desired(1, intent("web")))
        assert await agent.put(desired(1, intent("web"))) == first


@pytest.mark.parametrize(("token", "generation"), [(1, 5), (1, 4), (0, 9)])
async def test_an_older_generation_is_refused_with_what_holds(tmp_path: Path, token: int, generation: int) -> None:
    async with running(tmp_path) as agent:
        _, held = await agent.put(desired(5, intent("web"), token=1))
        status, refusal = await agent.put(desired(generation, intent("other"), token=token))
        assert (status, refusal["code"]) == (409, "stale-generation")
        assert refusal["holds"] == {key: held[key] for key in ("owner", "token", "generation", "digest", "count")}
        assert (await agent.get("/v1/digest"))[1] == held


async def test_a_foreign_owner_is_refused_until_it_adopts(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        status, refusal = await agent.put(desired(2, owner="other"))
        assert (status, refusal["code"], refusal["holds"]["owner"]) == (409, "foreign-owner", "main")
        status, taken = await agent.put(desired(2, owner="other"), query="?adopt=true")
        assert (status, taken["owner"], taken["count"]) == (200, "other", 0)
        assert (await agent.put(desired(3, intent("web"))))[1]["code"] == "foreign-owner"


async def test_a_late_adoption_does_not_take_the_node_back(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1))
        await agent.put(desired(2, owner="second"), query="?adopt=true")
        await agent.put(desired(3, owner="third"), query="?adopt=true")
        status, refusal = await agent.put(desired(2, owner="second"), query="?adopt=true")
        assert (status, refusal["code"], refusal["holds"]["owner"]) == (409, "stale-generation", "third")


async def test_a_set_with_another_digest_than_it_names_is_refused(tmp_path: Path) -> None:
    body = desired(1, intent("web")).as_json() | {"digest": EMPTY_DIGEST}
    async with running(tmp_path) as agent:
        status, refusal = await agent.put(json.dumps(body).encode())
        assert (status, refusal["code"]) == (400, "bad-request")
        assert refusal["message"].startswith("digest:")
        assert (await agent.get("/v1/digest"))[1]["generation"] == 0


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not UTF-8 at byte 0"),
        ("{}".encode("utf-16"), "not UTF-8"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000, "nested too deeply"),
        (b'{"owner":"a","owner":"b"}', "the key 'owner' twice"),
        (b'{"owner":"a","token":NaN}', "NaN"),
        (b'{"owner":"a","token":-Infinity}', "-Infinity"),
        (b'{"owner":"a","token":' + b"9" * 5000 + b"}", "number that is too long"),
        (b'{"owner":"a","token":1e999,"generation":1,"intents":[]}', "token: must be an integer"),
        (b'{"owner":"a","token":true,"generation":1,"intents":[]}', "token: must be an integer"),
        (b'{"owner":"a","token":0,"generation":1,"intents":[],"more":1}', "more: is not known"),
        (b'{"owner":"a","token":0,"generation":1,"intents":[],"\\ud800":1}', "is not known"),
        (b'{"owner":"\\ud800","token":0,"generation":1,"intents":[]}', "surrogate"),
        (b'{"owner":"a","token":0,"generation":1,"intents":[],"digest":7}', "digest:"),
        (b'{"owner":"","token":0,"generation":1,"intents":[]}', "owner: must not be empty"),
        (b"[]", "body: must be an object"),
        (b"null", "body: must be an object"),
    ],
)
async def test_a_body_that_is_no_set_is_refused_by_path(tmp_path: Path, body: bytes, told: str) -> None:
    async with running(tmp_path) as agent:
        status, refusal = await agent.put(body)
        assert (status, refusal["code"]) == (400, "bad-request")
        assert told in refusal["message"]
        assert (await agent.get("/v1/health"))[0] == 200


async def test_an_end_beyond_all_calendars_is_refused_not_a_fault(tmp_path: Path) -> None:
    body = desired(1, intent("web")).as_json()
    intents: Any = body["intents"]
    for instant in ("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"):
        intents[0]["terms"]["endsAt"] = instant
        body["digest"] = EMPTY_DIGEST
        async with running(tmp_path) as agent:
            status, refusal = await agent.put(json.dumps(body).encode())
            assert (status, refusal["code"]) == (400, "bad-request")


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?adopt=yes", "adopt: must be true or false"),
        ("?adopt=true&adopt=false", "is there twice"),
        ("?force=true", "'force' is not known"),
    ],
)
async def test_a_query_that_means_nothing_is_refused(tmp_path: Path, query: str, told: str) -> None:
    async with running(tmp_path) as agent:
        status, refusal = await agent.put(desired(1), query=query)
        assert (status, refusal["code"]) == (400, "bad-request")
        assert told in refusal["message"]


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/desired/", "/v2/desired", "/v1/processes/-1", "/v1/../etc"])
async def test_what_is_not_in_the_table_does_not_exist(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, listen="127.0.0.1:0,api=none") as agent:
        assert (await agent.get(path))[1]["code"] == "not-found"


async def test_a_wrong_method_names_the_right_ones(tmp_path: Path) -> None:
    async with running(tmp_path) as agent, agent.session.delete(f"{agent.url}/v1/desired") as answer:
        assert answer.status == 405
        assert set(answer.headers["Allow"].split(", ")) == {"GET", "PUT"}
        assert (await answer.json())["code"] == "method-not-allowed"


OPEN = {"/v1/health", "/v1/ready"}
PATHS = ["/v1/desired", "/v1/digest", "/v1/state", "/v1/pods", "/v1/processes/1", "/v1/version", "/metrics"]


@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic YTpi", SECRET.decode(), "Bearer ", "Bearer \xe4"])
async def test_without_the_secret_only_health_and_ready_answer(tmp_path: Path, header: str | None) -> None:
    headers = {"Authorization": header or ""}
    async with running(tmp_path, secret=SECRET) as agent:
        for path in [*PATHS, "/v1/openapi.json", "/v1/no/such/path"]:
            async with agent.session.get(f"{agent.url}{path}", headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (401, "unauthenticated"), path
                assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        for path in OPEN:
            assert (await agent.get(path, headers=headers))[0] in (200, 503)
        for path in ("/v1/revert", "/v1/resume"):
            async with agent.session.post(f"{agent.url}{path}", headers=headers) as answer:
                assert answer.status == 401
        assert (await agent.put(desired(1), headers=headers))[0] == 401
        assert (await agent.put(desired(1)))[0] == 200
        assert agent.kernel.reverts == 0


async def test_reasons_in_full_are_for_callers_with_the_secret(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent:
        await agent.post("/v1/revert")
        _, anonymous = await agent.get("/v1/ready", headers={"Authorization": ""})
        assert anonymous["reasons"] == [{"type": "Reverted"}]
        status, known = await agent.get("/v1/ready")
        assert status == 503
        assert known["reasons"][0]["cure"] == "gthulhu-agent resume"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:18080", "10.0.0.1", "", "127.0.0.1.evil.example"])
async def test_a_name_that_is_pointed_at_loopback_is_not_loopback(tmp_path: Path, host: str) -> None:
    async with running(tmp_path) as agent:
        status, refusal = await agent.get("/v1/digest", headers={"Host": host})
        assert (status, refusal["code"]) == (403, "forbidden")


@pytest.mark.parametrize("host", ["localhost", "localhost:18080", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:18080"])
async def test_loopback_by_any_of_its_names_is_served(tmp_path: Path, host: str) -> None:
    async with running(tmp_path) as agent:
        assert (await agent.get("/v1/digest", headers={"Host": host}))[0] == 200


async def test_a_web_page_cannot_revert_the_node(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        async with agent.session.post(f"{agent.url}/v1/revert", headers={"Origin": "https://evil.example"}) as answer:
            assert answer.status == 403
        assert agent.kernel.reverts == 0


async def test_a_unix_socket_serves_the_same(tmp_path: Path) -> None:
    async with running(tmp_path, listen=f"unix:{tmp_path}/api.sock") as agent:
        assert (await agent.put(desired(1, intent("web"))))[0] == 200
        assert (tmp_path / "api.sock").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "api.sock").exists()


async def test_state_tells_of_every_intent_what_has_become_of_it(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(4, intent("web"), intent("gone", pod="uid-9")))
        state = await agent.until("/v1/state", lambda state: state["intents"][0]["enforcedSince"])
        web, gone = state["intents"]
        assert (state["node"], state["generation"], state["enforcer"]) == ("node-1", 4, "fake")
        assert web["effective"] == {"priority": 5, "timeSlice": None, "preempt": False}
        assert (web["threads"], web["expired"], web["policy"]["name"]) == (1, False, "web")
        assert (gone["threads"], gone["enforcedSince"], gone["effective"]) == (0, None, None)


async def test_pods_are_those_that_run_here(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(snapshot("uid-1"))) as agent:
        pods = await agent.until("/v1/pods", lambda value: "pods" in value)
        assert (pods["node"], pods["incomplete"]) == ("node-1", [])


async def test_a_process_is_told_with_its_winner(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        await agent.next_pass()
        status, process = await agent.get("/v1/processes/1000")
        assert (status, process["comm"], process["group"]["containerId"]) == (200, "app", "c0")
        assert process["threads"][0]["winner"] == {"namespace": "default", "name": "web"}
        status, refusal = await agent.get("/v1/processes/4000000")
        assert (status, refusal["code"]) == (404, "not-found")


async def test_a_process_younger_than_the_last_pass_is_found(tmp_path: Path) -> None:
    scanner = FakeScanner(snapshot())
    async with running(tmp_path, scanner=scanner, scan_interval=3600.0) as agent:
        await agent.until("/v1/pods", lambda value: "pods" in value)
        scanner.snapshot = snapshot("uid-1")
        assert (await agent.get("/v1/processes/1000"))[0] == 200
