"""Logins as callers meet them: which listener asks whom, what each login reaches, and the ways to a token over HTTP."""

from __future__ import annotations

import asyncio
import json
import stat
import time
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from agent_harness import SECRET, Harness, desired, intent, running, settings
from agent_program import run
from login_world import admit, assertion, ec_key, private_pem, rsa_key, spki_pem

from gthulhu_agent.api.callers import Callers, Shown
from gthulhu_agent.api.edge import Edge
from gthulhu_agent.api.logins import ASSERTION_TYPE
from gthulhu_agent.callers import Access, Caller, NoLogin
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secret import Secret
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.state import ConditionKind
from gthulhu_agent.tokens import published as publishing

FORM = "application/x-www-form-urlencoded"


async def post(
    agent: Harness, path: str, body: object, *, headers: dict[str, str] | None = None
) -> tuple[int, dict[str, Any]]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with agent.session.post(f"{agent.url}{path}", data=data, headers=headers) as answer:
        return answer.status, await answer.json()


async def status(agent: Harness, path: str, token: str = "") -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else None
    async with agent.session.get(f"{agent.url}{path}", headers=headers) as answer:
        return answer.status


async def own_key(agent: Harness) -> str:
    return spki_pem(await agent.service.edge.admission.login.public_key())


def signed(number: str = "1") -> str:
    return assertion(ec_key(), number=number, now=time.time())


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    admit(tmp_path / "clients", "manager", ec_key())
    return tmp_path / "clients"


async def test_a_client_of_oauth_gets_a_token_and_reaches_everything_with_it(tmp_path: Path, clients: Path) -> None:
    async with running(tmp_path, token_clients=clients) as agent:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed(),
            "client_id": "manager",
        }
        code, told = await post(agent, "/v1/token", urlencode(form).encode(), headers={"Content-Type": f"{FORM}; a=b"})
        assert (code, told["token_type"]) == (200, "Bearer")
        assert 0 < told["expires_in"] <= 24 * 3600
        bearer = {"Authorization": f"Bearer {told['access_token']}"}
        assert (await agent.put(desired(1, intent("web")), headers=bearer))[0] == 200
        for path in ("/v1/state", "/metrics", "/api/v1/intents/merkle"):
            assert await status(agent, path, told["access_token"]) == 200


@pytest.mark.parametrize("path", ["/v1/token", "/api/v1/auth/token"])
async def test_json_and_forms_are_taken_at_both_paths(tmp_path: Path, clients: Path, path: str) -> None:
    async with running(tmp_path, token_clients=clients) as agent:
        assert (await post(agent, path, {"client_assertion": signed("1"), "client_id": "manager"}))[0] == 200
        form = urlencode({"client_assertion": signed("2")}).encode()
        assert (await post(agent, path, form, headers={"Content-Type": FORM}))[0] == 200
        assert (await post(agent, path, {"client_assertion": signed("2")}))[0] == 401


@pytest.mark.parametrize(
    ("kind", "body", "told"),
    [
        ("", b"", "not JSON"),
        ("", b"[]", "must be an object"),
        ("", b'{"client_assertion": 7}', "client_assertion must be a text"),
        ("", b'{"grant_type": "password"}', "grant_type must be client_credentials"),
        ("", b'{"client_assertion_type": "saml"}', "client_assertion_type must be"),
        (FORM, b"a", "is no form"),
        (FORM, b"client_id=a&client_id=b", "has a field twice"),
        (FORM, b"&".join(b"a%d=1" % number for number in range(30)), "is no form"),
        (FORM, b"client_id=%ff", "is no form"),
        (FORM, b"\xff=1", "is no form"),
    ],
)
async def test_a_body_that_asks_for_no_token_is_refused(tmp_path: Path, kind: str, body: bytes, told: str) -> None:
    async with running(tmp_path) as agent:
        code, answer = await post(agent, "/v1/token", body, headers={"Content-Type": kind or "application/json"})
        assert (code, answer["code"]) == (400, "bad-request")
        assert told in answer["message"]


async def test_a_body_over_the_limit_is_not_read(tmp_path: Path) -> None:
    async with running(tmp_path) as agent:
        assert (await post(agent, "/v1/token", b"x" * 70_000))[0] == 413


async def test_refused_logins_say_why_and_too_many_when_to_come_again(tmp_path: Path, clients: Path) -> None:
    async with running(tmp_path, token_clients=clients) as agent:
        code, told = await post(agent, "/v1/token", {})
        assert (code, told["code"], told["why"]) == (401, "unauthenticated", "no-proof")
        answers = await asyncio.gather(*(post(agent, "/v1/token", {}) for _ in range(70)))
        assert {code for code, _ in answers} == {401, 429}
        async with agent.session.post(f"{agent.url}/v1/token", data=b"{}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
            assert (await answer.json())["why"] == "too-many"
        async with agent.session.post(f"{agent.url}/api/v1/auth/token", data=b"{}") as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (429, "1")


async def test_x03_the_public_key_opens_nothing_by_default(tmp_path: Path, clients: Path) -> None:
    async with running(tmp_path, token_clients=clients) as agent:
        code, told = await post(agent, "/api/v1/auth/token", {"public_key": await own_key(agent)})
        assert (code, told["success"]) == (401, False)
        assert ConditionKind.LOGIN_PROVES_NOTHING not in agent.service.agent.conditions


async def test_x03_where_it_is_allowed_it_opens_the_decision_makers_api_alone_and_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, compat_public_key_login=True) as agent:
        code, told = await post(agent, "/api/v1/auth/token", {"public_key": await own_key(agent)})
        assert (code, sorted(told["data"])) == (200, ["expired_at", "token"])
        token = told["data"]["token"]
        for path in ("/api/v1/intents/merkle", "/api/v1/scheduling/strategies", "/metrics"):
            assert (await status(agent, path), await status(agent, path, token)) == (401, 200), path
        for path in ("/v1/state", "/v1/desired", "/v1/openapi.json", "/v1/nothing"):
            assert (await status(agent, path), await status(agent, path, token)) == (401, 403), path
        code, refused = await agent.put(desired(1), headers={"Authorization": f"Bearer {token}"})
        assert (code, refused["code"]) == (403, "forbidden")
        assert ConditionKind.LOGIN_PROVES_NOTHING in agent.service.agent.conditions
        assert await status(agent, "/v1/ready") in (200, 503)
        assert ConditionKind.LOGIN_PROVES_NOTHING not in {one.kind for one in agent.service.agent.conditions.blocking}


async def test_tokens_hold_over_a_restart_and_not_at_another_node(tmp_path: Path) -> None:
    async with running(tmp_path, compat_public_key_login=True) as agent:
        _, told = await post(agent, "/api/v1/auth/token", {"public_key": await own_key(agent)})
    token = told["data"]["token"]
    async with running(tmp_path, compat_public_key_login=True) as agent:
        assert await status(agent, "/api/v1/intents/merkle", token) == 200
    async with running(tmp_path, compat_public_key_login=True, node="node-2") as agent:
        assert await status(agent, "/api/v1/intents/merkle", token) == 401


async def test_the_secret_goes_on_to_open_everything_beside_tokens(tmp_path: Path, clients: Path) -> None:
    async with running(tmp_path, secret=SECRET, token_clients=clients) as agent:
        for path in ("/v1/state", "/metrics", "/api/v1/intents/merkle"):
            assert (await status(agent, path), await status(agent, path, "wrong")) == (200, 401), path
        assert not (tmp_path / "state/agent.sock").exists()


async def test_with_a_secret_alone_no_key_is_made_for_those_who_try_tokens(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent:
        assert await status(agent, "/v1/state", "eyJhbGciOiJSUzI1NiJ9.e30.AA") == 401
        assert not (tmp_path / "state/token-key.pem").exists()


async def test_metrics_are_open_where_the_operator_says_so(tmp_path: Path) -> None:
    for open_metrics, told in ((False, 401), (True, 200)):
        async with running(tmp_path, compat_public_key_login=True, compat_open_metrics=open_metrics) as agent:
            assert await status(agent, "/metrics") == told


async def test_each_listener_speaks_its_own_api(tmp_path: Path) -> None:
    listen = f"127.0.0.1:0 127.0.0.1:0,api=bss unix:{tmp_path}/own.sock,api=none"
    async with running(tmp_path, listen=listen) as agent:
        first, second, third = (one.listener.address for one in agent.service.edge.listeners)
        for address, told in ((first, (200, 200, 404)), (second, (200, 404, 200))):
            found = []
            for path in ("/v1/health", "/api/v1/intents/merkle", "/"):
                async with agent.session.get(f"http://{address}{path}") as answer:
                    found.append(answer.status)
            assert tuple(found) == told, address
        connector = aiohttp.UnixConnector(third.removeprefix("unix:"))
        async with aiohttp.ClientSession(connector=connector) as opened:
            async with opened.get("http://localhost/v1/health") as answer:
                assert answer.status == 200
            async with opened.get("http://localhost/api/v1/intents/merkle") as answer:
                assert (answer.status, (await answer.json())["code"]) == (404, "not-found")


async def test_without_a_secret_the_agents_own_commands_have_a_socket_that_needs_no_token(tmp_path: Path) -> None:
    async with running(tmp_path, compat_public_key_login=True) as agent:
        path = tmp_path / "state/agent.sock"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert agent.service.edge.announced.listener.address == f"unix:{path}"
        async with (
            aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as opened,
            opened.post("http://localhost/v1/revert") as answer,
        ):
            assert answer.status == 200


def test_a_network_address_where_nobody_can_log_in_is_a_usage_error(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--state-dir", str(tmp_path / "s"), "--enforcer", "none", "--server-host", ":0")
    assert done.returncode == 64
    assert "no way to log in" in done.stderr
    assert "--token-clients" in done.stderr


@pytest.mark.parametrize(
    ("listen", "ways"),
    [
        ("127.0.0.1:0 0.0.0.0:0", {}),
        ("0.0.0.0:0", {"token_enable": False, "compat_public_key_login": True}),
        ("0.0.0.0:0", {"mtls_clients": ("manager",)}),
    ],
)
def test_a_way_to_log_in_that_is_switched_off_is_none(tmp_path: Path, listen: str, ways: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="no way to log in"):
        Edge.open(settings(tmp_path, listen=listen, **ways))


def test_any_way_to_log_in_lets_it_listen_on_a_network_address(tmp_path: Path, clients: Path) -> None:
    for ways in ({"token_clients": clients}, {"compat_public_key_login": True}):
        chosen = settings(tmp_path, listen="0.0.0.0:0", **ways)
        chosen.state_dir.mkdir(exist_ok=True)
        edge = Edge.open(chosen)
        assert not edge.open_to_all
        edge.close()


def test_x01_the_agent_does_not_start_with_a_key_that_everybody_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = sha256(publishing.spki(rsa_key().public_key())).hexdigest()
    monkeypatch.setitem(publishing._PUBLISHED, digest, "the token key of a test")
    key = SecretText("token.rsa_private_key_pem", text=private_pem(rsa_key()))
    with pytest.raises(UsageError, match="the token key of a test"):
        Edge.open(settings(tmp_path, token_rsa_private_key_pem=key))
    Edge.open(settings(tmp_path, token_rsa_private_key_pem=key, token_enable=False)).close()


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (Shown(), "missing"),
        (Shown([""]), "missing"),
        (Shown(["Basic dTpw"]), "not-bearer"),
        (Shown(["Bearer"]), "not-bearer"),
        (Shown(["Bearer a", "Bearer b"]), "not-bearer"),
        (Shown(["Bearer wrong"]), "invalid"),
        (Shown(["Bearer \udcff"]), "invalid"),
        (Shown(["Bearer wrong"], "node-2"), "invalid"),
    ],
)
async def test_what_is_wrong_with_a_login_is_one_of_three(shown: Shown, told: str) -> None:
    found = await Callers(secret=Secret(SECRET), clients=("manager",)).identify(shown)
    assert isinstance(found, NoLogin)
    assert found.why == told


async def test_the_strongest_of_what_is_shown_counts() -> None:
    legacy = Caller("scheduler", Access.LEGACY, "token")

    async def verify(_text: str) -> Caller:
        return legacy

    callers = Callers(secret=Secret(SECRET), verify=verify, clients=("manager",))
    assert await callers.identify(Shown(["Bearer x"], "manager")) == Caller("manager", Access.FULL, "certificate")
    assert await callers.identify(Shown([f"bearer  {SECRET.decode()} "])) == Caller("", Access.FULL, "secret")
    assert await callers.identify(Shown(["Bearer x"], "node-2")) == legacy
    assert await Callers(open_as="socket").identify(Shown(["Bearer x"])) == Caller("", Access.FULL, "socket")
