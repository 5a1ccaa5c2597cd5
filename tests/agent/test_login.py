"""Who gets a token, who does not and why; and the tokens themselves."""

from __future__ import annotations

import base64
import errno
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from login_world import (
    AUDIENCE,
    NODE,
    NOW,
    PrivateKey,
    Time,
    admit,
    assertion,
    ec_key,
    login,
    pair,
    private_pem,
    public_pem,
    refused,
    rsa_key,
    spki_pem,
)

from gthulhu_agent.callers import Access, Caller, NoLogin
from gthulhu_agent.errors import UsageError
from gthulhu_agent.tokens import (
    Login,
    LoginFault,
    TokenRequest,
    Ways,
    assertions,
    issuing,
)
from gthulhu_agent.tokens.limits import Limits, Rate
from gthulhu_wire.refusals import Refusal


@pytest.mark.parametrize(("client", "key"), [("manager", ec_key()), ("rsa-client", rsa_key())])
async def test_who_signs_an_assertion_gets_a_token_for_everything(
    manager_login: Login, client: str, key: PrivateKey
) -> None:
    token = await manager_login.token(TokenRequest(assertion=assertion(key, client)))
    assert await manager_login.verify(token.text) == Caller(client, Access.FULL, "token")
    assert token.expires_at == NOW + 3600


async def test_a_token_has_the_claims_that_are_told(manager_login: Login) -> None:
    token = await manager_login.token(TokenRequest(assertion=assertion(ec_key())))
    claims = jwt.decode(token.text, options={"verify_signature": False})
    assert jwt.get_unverified_header(token.text)["alg"] == "RS256"
    number = claims.pop("jti")
    assert len(number) > 16
    assert claims == {
        "client_id": "manager",
        "sub": "manager",
        "iss": "decision-maker-service",
        "aud": AUDIENCE,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 3600,
        "scope": "dm agent",
    }


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"aud": "gthulhu-agent/another"}, "aud has to be 'gthulhu-agent/node-1'"),
        ({"aud": [AUDIENCE, "gthulhu-agent/another"]}, "aud is not one audience"),
        ({"aud": None}, "aud is missing"),
        ({"exp": None}, "exp is missing"),
        ({"exp": NOW - 31}, "exp is in the past"),
        ({"exp": NOW + 331}, "exp is more than 300 seconds ahead"),
        ({"exp": "soon"}, "exp is not a time"),
        ({"exp": True}, "exp is not a time"),
        ({"exp": 1e400}, "exp is not a time"),
        ({"iat": None}, "iat is missing"),
        ({"iat": NOW + 31}, "iat is in the future"),
        ({"iat": NOW - 1}, "before this agent started"),
        ({"nbf": NOW + 31}, "nbf is in the future"),
        ({"jti": None}, "jti is missing"),
        ({"jti": ""}, "jti is not a text"),
        ({"jti": "x" * 257}, "jti is not a text"),
        ({"sub": "another"}, "sub and iss"),
        ({"iss": None}, "iss is not a text"),
        ({"iss": "nobody"}, "not signed by the key of a known client"),
        ({"iss": "../manager"}, "not signed by the key of a known client"),
        ({"iss": "rsa-client", "sub": "rsa-client"}, "signature is invalid"),
    ],
)
async def test_an_assertion_that_is_not_for_here_and_now_is_refused(
    manager_login: Login, claims: dict[str, Any], told: str
) -> None:
    answer = await refused(manager_login, TokenRequest(assertion=assertion(ec_key(), **claims)))
    assert (answer.why, answer.code) == (LoginFault.BAD_ASSERTION, Refusal.UNAUTHENTICATED)
    assert told in str(answer)
    assert manager_login.tally.refused == {"bad-assertion": 1}


async def test_an_assertion_of_another_key_is_refused(manager_login: Login) -> None:
    stranger = ec.generate_private_key(ec.SECP256R1())
    answer = await refused(manager_login, TokenRequest(assertion=assertion(stranger)))
    assert "signature is invalid" in str(answer)


@pytest.mark.parametrize("algorithm", ["none", "HS256", "RS512", "PS256"])
async def test_only_the_algorithm_of_the_key_is_taken(clients: Path, algorithm: str) -> None:
    """An RSA key that is taken as the secret of an HMAC is known to everybody."""
    one = login(Ways(clients=clients))
    content = {"iss": "rsa-client", "sub": "rsa-client", "aud": AUDIENCE, "iat": NOW, "exp": NOW + 60, "jti": "1"}
    if algorithm == "HS256":
        text = hmac_signed(content, public_pem(rsa_key()))
    else:
        text = jwt.encode(content, None if algorithm == "none" else rsa_key(), algorithm=algorithm)  # type: ignore[arg-type] # none has no key
    assert (await refused(one, TokenRequest(assertion=text))).why is LoginFault.BAD_ASSERTION
    one.close()


def hmac_signed(content: dict[str, Any], secret: str) -> str:
    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    header = {"alg": "HS256", "typ": "JWT"}
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(content).encode())}"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), hashlib.sha256))}"


@pytest.mark.parametrize(
    "text", ["", "x", "a.b.c", "é" * 10, "a" * 9000, "eyJhbGciOiJFUzI1NiJ9.W10.AA", "..", "\0.\0.\0"]
)
async def test_what_is_no_assertion_is_refused(manager_login: Login, text: str) -> None:
    answer = await refused(manager_login, TokenRequest(assertion=text))
    assert answer.why is LoginFault.BAD_ASSERTION


async def test_a_client_id_that_is_another_than_the_assertions_is_refused(manager_login: Login) -> None:
    request = TokenRequest(assertion=assertion(ec_key()), client_id="rsa-client")
    assert "client_id is another" in str(await refused(manager_login, request))


async def test_a_client_whose_key_is_taken_away_logs_in_no_longer(manager_login: Login, clients: Path) -> None:
    await manager_login.token(TokenRequest(assertion=assertion(ec_key())))
    (clients / "manager.pem").unlink()
    answer = await refused(manager_login, TokenRequest(assertion=assertion(ec_key(), number="2")))
    assert "not signed by the key of a known client" in str(answer)


async def test_a_key_that_others_may_replace_is_not_used_and_the_caller_learns_no_path(
    manager_login: Login, clients: Path
) -> None:
    (clients / "manager.pem").chmod(0o666)
    answer = await refused(manager_login, TokenRequest(assertion=assertion(ec_key())))
    assert answer.why is LoginFault.BAD_ASSERTION
    assert str(clients) not in str(answer) + answer.cure


async def test_a_folder_of_clients_that_cannot_be_entered_is_told_to_the_operator(
    manager_login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was a fault of the agent, with a traceback for each login."""

    def refuse(path: Path) -> NoReturn:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_file", refuse)
    answer = await refused(manager_login, TokenRequest(assertion=assertion(ec_key())))
    assert "the agent's log has the reason" in str(answer)


async def test_a_key_of_a_client_on_an_unusual_curve_is_not_used(manager_login: Login, clients: Path) -> None:
    key = ec.generate_private_key(ec.SECP384R1())
    admit(clients, "manager", key)
    text = assertion(key, algorithm="ES384")
    assert (await refused(manager_login, TokenRequest(assertion=text))).why is LoginFault.BAD_ASSERTION


@pytest.mark.parametrize(
    ("text", "told"),
    [(public_pem(rsa_key(1024)), "2048 bits or more"), (private_pem(ec_key()), "no public key"), ("", "no public key")],
)
def test_what_is_no_key_of_a_client_is_told_to_the_operator(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told):
        assertions.public_key(text, "manager.pem")


async def test_x03_the_public_key_is_no_login_until_the_operator_says_so(clients: Path) -> None:
    one = login(Ways(clients=clients))
    pem = spki_pem(await one.public_key())
    answer = await refused(one, TokenRequest(public_key=pem, client_id="scheduler"))
    assert (answer.why, answer.code) == (LoginFault.OFF, Refusal.UNAUTHENTICATED)
    one.close()


async def test_x03_a_token_for_the_public_key_gives_the_decision_makers_api_alone() -> None:
    one = login(Ways(public_key=True))
    pem = spki_pem(await one.public_key())
    token = await one.token(TokenRequest(public_key=pem))
    assert await one.verify(token.text) == Caller("unnamed", Access.LEGACY, "token")
    named = await one.token(TokenRequest(public_key=f"\r\n{pem}", client_id="manager\n-client"))
    assert await one.verify(named.text) == Caller("manager-client", Access.LEGACY, "token")
    one.close()


@pytest.mark.parametrize("offered", ["", "x", public_pem(ec_key()), private_pem(rsa_key()), "é" * 100_000])
async def test_another_public_key_is_refused(offered: str) -> None:
    one = login(Ways(public_key=True))
    assert (await refused(one, TokenRequest(public_key=offered))).why is LoginFault.KEY_MISMATCH
    one.close()


async def test_a_certificate_that_is_a_login_gives_a_token_for_everything_whatever_key_is_sent() -> None:
    one = login(Ways(is_client=lambda name: name == "gthulhu-manager"))
    token = await one.token(TokenRequest(public_key="whatever", certificate="gthulhu-manager"))
    assert await one.verify(token.text) == Caller("gthulhu-manager", Access.FULL, "token")
    assert (await refused(one, TokenRequest(public_key="whatever", certificate="kubelet"))).why is LoginFault.OFF
    assert (await refused(one, TokenRequest(certificate="kubelet"))).why is LoginFault.NO_PROOF
    one.close()


async def test_without_tokens_nothing_is_given_or_taken() -> None:
    one, other = login(Ways(public_key=True)), login(Ways(public_key=True, enabled=False))
    token = await one.token(TokenRequest(public_key=spki_pem(await one.public_key())))
    assert (await refused(other, TokenRequest(public_key="x"))).why is LoginFault.OFF
    assert isinstance(await other.verify(token.text), NoLogin)
    one.close()
    other.close()


def forged(content: dict[str, Any], algorithm: str = "RS256", key: PrivateKey | None = None) -> str:
    whole = {
        "client_id": "x",
        "iss": "decision-maker-service",
        "sub": "x",
        "aud": AUDIENCE,
        "iat": NOW,
        "nbf": NOW,
        "exp": NOW + 60,
        "jti": "1",
        "scope": "dm agent",
    } | content
    return jwt.encode({name: value for name, value in whole.items() if value is not None}, key or rsa_key(), algorithm)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"exp": NOW}, "token is expired"),
        ({"exp": None}, "exp is missing"),
        ({"exp": "never"}, "exp is not a time"),
        ({"aud": None}, "aud is missing"),
        ({"aud": "gthulhu-agent/another"}, "invalid audience"),
        ({"iss": None}, "iss is missing"),
        ({"iss": "bss-api-server"}, "invalid issuer"),
        ({"jti": None}, "jti is missing"),
        ({"scope": None}, "scope is missing"),
        ({"scope": "agent"}, "no scope"),
        ({"nbf": NOW + 61}, "not valid yet"),
        ({"sub": ""}, "sub is not a text"),
    ],
)
async def test_x02_another_token_by_the_same_key_is_none_of_ours(content: dict[str, Any], told: str) -> None:
    """A user's token of Gthulhu's Manager, which has the same key by default, is a login at its Decision Makers."""
    one = login(Ways())
    found = await one.verify(forged(content))
    assert isinstance(found, NoLogin)
    assert (found.why, told in found.reason) == ("invalid", True)
    assert await one.verify(forged({})) == Caller("x", Access.FULL, "token")
    assert one.tally.invalid == 1
    one.close()


async def test_a_token_by_another_algorithm_or_key_is_invalid() -> None:
    one = login(Ways())
    for text in (forged({}, "RS512"), forged({}, "PS256"), forged({}, "ES256", ec_key())):
        found = await one.verify(text)
        assert isinstance(found, NoLogin)
        assert "signature is invalid" in found.reason
    assert isinstance(await one.verify(hmac_signed({"exp": NOW + 60}, spki_pem(pair().spki))), NoLogin)
    one.close()


@given(st.text(max_size=200))
def test_no_text_makes_reading_a_token_fail(text: str) -> None:
    assert isinstance(issuing.verify(text, pair(), node=NODE, now=NOW), NoLogin)


async def test_x11_too_many_logins_are_not_looked_at(clients: Path) -> None:
    time = Time()
    one = login(Ways(clients=clients), time=time, limits=Limits(by_peer=Rate(3, 1), in_all=Rate(5, 2)))
    request = TokenRequest(assertion="x", peer="192.0.2.1")
    for _ in range(3):
        assert (await refused(one, request)).why is LoginFault.BAD_ASSERTION
    answer = await refused(one, request)
    assert (answer.why, answer.code) == (LoginFault.TOO_MANY, Refusal.TOO_MANY)
    assert (await refused(one, TokenRequest(assertion="x", peer="192.0.2.2"))).why is LoginFault.BAD_ASSERTION
    time.now += 1
    assert (await refused(one, request)).why is LoginFault.BAD_ASSERTION
    one.close()


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "::1", "::2"]), st.floats(0, 3)), max_size=200))
def test_no_peer_ever_gets_more_than_its_rate_and_all_no_more_than_theirs(tries: list[tuple[str, float]]) -> None:
    limits, now = Limits(by_peer=Rate(5, 2), in_all=Rate(8, 3)), 0.0
    taken: dict[str, int] = {}
    for peer, later in tries:
        now += later
        if limits.allows(peer, now):
            name = "one network" if ":" in peer else peer
            taken[name] = taken.get(name, 0) + 1
    assert all(count <= 5 + 2 * now + 1e-6 for count in taken.values())
    assert sum(taken.values()) <= 8 + 3 * now + 1e-6


def test_one_network_of_ipv6_is_one_peer_and_memory_does_not_grow_with_peers() -> None:
    limits = Limits(by_peer=Rate(1, 0), in_all=Rate(1e9, 0))
    assert limits.allows("2001:db8::1", 0)
    assert not limits.allows("2001:db8::ffff%eth0", 0)
    assert limits.allows("2001:db8:0:1::1", 0)
    for number in range(10_000):
        assert limits.allows(f"10.0.{number // 256}.{number % 256}", 0)
    assert len(limits._peers) <= 4096
