"""Who gets a token, who does not and why; the tokens themselves; what is remembered and for how long."""

from __future__ import annotations

import asyncio
import base64
import errno
import hashlib
import hmac
import json
import os
import tempfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from time import sleep
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
    rsa_key,
    spki_pem,
)

from gthulhu_agent.callers import Access, Caller, NoLogin
from gthulhu_agent.clock import Clock
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored, UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.tokens import (
    Login,
    LoginFault,
    LoginRefused,
    TokenRequest,
    Ways,
    assertions,
    issuing,
    signingkey,
    usedfile,
)
from gthulhu_agent.tokens import published as publishing
from gthulhu_agent.tokens.limits import Limits, Rate
from gthulhu_agent.tokens.replay import Used
from gthulhu_agent.tokens.signingkey import KeyPair
from gthulhu_agent.tokens.usedfile import UsedFile
from gthulhu_wire.refusals import Refusal


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    admit(tmp_path / "clients", "manager", ec_key())
    admit(tmp_path / "clients", "rsa-client", rsa_key())
    return tmp_path / "clients"


@pytest.fixture
async def manager_login(clients: Path) -> AsyncIterator[Login]:
    one = login(Ways(clients=clients))
    yield one
    one.close()


async def refused(one: Login, request: TokenRequest) -> LoginRefused:
    with pytest.raises(LoginRefused) as told:
        await one.token(request)
    return told.value


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


async def test_an_assertion_is_good_for_one_login(manager_login: Login) -> None:
    text = assertion(ec_key())
    await manager_login.token(TokenRequest(assertion=text))
    assert (await refused(manager_login, TokenRequest(assertion=text))).why is LoginFault.REPLAYED
    await manager_login.token(TokenRequest(assertion=assertion(ec_key(), number="2")))


async def test_of_two_logins_at_once_by_one_assertion_one_succeeds(manager_login: Login) -> None:
    text = assertion(ec_key())
    done = await asyncio.gather(
        *(manager_login.token(TokenRequest(assertion=text)) for _ in range(8)), return_exceptions=True
    )
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert manager_login.tally.refused == {"replayed": 7}


async def test_an_assertion_that_was_used_before_a_restart_is_refused_after_it(clients: Path) -> None:
    text, time = assertion(ec_key()), Time()
    first = login(Ways(clients=clients), time=time)
    await first.token(TokenRequest(assertion=text))
    first.close()
    time.now += 5
    second = login(Ways(clients=clients), time=time)
    answer = await refused(second, TokenRequest(assertion=text))
    assert "before this agent started" in str(answer)
    second.close()


@pytest.mark.parametrize(
    ("wrong", "signed", "taken"), [(3600, 0, True), (3600, -10, False), (-1e9, 0, True), (-1e9, -10, False)]
)
async def test_a_clock_that_is_set_right_after_the_start_changes_nothing(
    clients: Path, wrong: float, signed: float, taken: bool
) -> None:
    """It had been ahead: all logins were refused for as long. It had been behind: those before the start were taken."""
    wall, up = NOW - 5 + wrong, 0.0
    one = Login(node=NODE, ways=Ways(clients=clients), key=pair, lifetime=60, clock=Clock(lambda: wall, lambda: up))
    wall, up = NOW, 5.0
    request = TokenRequest(assertion=assertion(ec_key(), now=NOW + signed))
    if taken:
        assert (await one.token(request)).expires_at == NOW + 60
    else:
        assert "before this agent started" in str(await refused(one, request))
    one.close()


async def test_an_assertion_is_remembered_as_long_as_it_would_be_taken(clients: Path) -> None:
    time = Time()
    one = login(Ways(clients=clients), time=time)
    text = assertion(ec_key())
    await one.token(TokenRequest(assertion=text))
    for passed in (59.0, 89.9, 90.0, 91.0):
        time.now = NOW + passed
        assert (await refused(one, TokenRequest(assertion=text))).why in (LoginFault.REPLAYED, LoginFault.BAD_ASSERTION)
    one.close()


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


async def test_one_key_is_made_whoever_asks_for_it_and_the_event_loop_goes_on_meanwhile() -> None:
    """A token that was shown while the first login made the key had another made, in the event loop's own thread."""
    makers: list[threading.Thread] = []

    def make() -> KeyPair:
        makers.append(threading.current_thread())
        sleep(0.05)
        return pair()

    one = Login(node=NODE, ways=Ways(public_key=True), key=make, lifetime=60)
    await asyncio.gather(one.public_key(), one.verify("x"), one.verify("y"), one.public_key())
    one.close()
    assert len(makers) == 1
    assert makers[0] is not threading.current_thread()


def test_tokens_outlive_a_restart_because_their_key_is_kept(tmp_path: Path) -> None:
    first = signingkey.own(tmp_path)
    assert (tmp_path / signingkey.NAME).stat().st_mode & 0o777 == 0o600
    assert signingkey.own(tmp_path).spki == first.spki
    assert repr(first) == f"KeyPair({first.kid})"


def test_a_key_that_was_cut_off_is_made_anew_and_kept(tmp_path: Path) -> None:
    first = signingkey.own(tmp_path)
    path = tmp_path / signingkey.NAME
    path.write_bytes(path.read_bytes()[:500])
    second = signingkey.own(tmp_path)
    assert second.spki != first.spki
    assert signingkey.own(tmp_path).spki == second.spki


def test_a_key_that_cannot_be_read_for_a_moment_is_not_written_over(tmp_path: Path) -> None:
    """With all descriptors in use a new key took the place of the one that every client's token was signed with."""

    class Busy(Disk):
        def reading(self, path: Path) -> NoReturn:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    first = signingkey.own(tmp_path)
    assert signingkey.own(tmp_path, Busy()).spki != first.spki
    assert signingkey.own(tmp_path).spki == first.spki


class _Killed(BaseException):
    """The process ends here."""


class _Deadly(Disk):
    """Ends the process at the nth thing that is asked of it."""

    def __init__(self, steps: int) -> None:
        self._left = steps

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401 - whatever a Disk has
        found = super().__getattribute__(name)
        if callable(found) and not name.startswith("_"):
            if self._left == 0:
                raise _Killed
            self._left -= 1
        return found


def test_a_process_that_is_killed_while_it_makes_the_key_leaves_none_or_a_whole_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signingkey, "BITS", 1024)  # it takes a tenth of the time
    survived = 0
    for steps in range(20):
        folder = tmp_path / str(steps)
        folder.mkdir()
        try:
            given = signingkey.own(folder, _Deadly(steps)).spki
        except _Killed:
            path = folder / signingkey.NAME
            before = path.read_bytes() if path.exists() else None
            again = signingkey.own(folder).spki
            assert before in (None, path.read_bytes())
            assert signingkey.own(folder).spki == again
        else:
            survived += 1
            assert signingkey.own(folder).spki == given
    assert 0 < survived < 20


def test_a_key_that_cannot_be_stored_works_until_the_process_ends(tmp_path: Path) -> None:
    class Full(Disk):
        def write(self, _fd: int, _data: bytes) -> None:
            raise OSError(28, "No space left on device")

    assert signingkey.own(tmp_path, Full()).private.key_size == signingkey.BITS
    assert not (tmp_path / signingkey.NAME).exists()
    assert signingkey.own(tmp_path).spki == signingkey.own(tmp_path).spki  # what the full disk left is no hindrance


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no unencrypted RSA private key"),
        ("YOUR_PRIVATE_KEY_HERE", "no unencrypted RSA private key"),
        (private_pem(ec_key()), "no unencrypted RSA private key"),
        (public_pem(rsa_key()), "no unencrypted RSA private key"),
        (private_pem(rsa_key(1024)), "1024 bits"),
    ],
)
def test_a_configured_key_that_is_none_is_a_usage_error_that_does_not_show_it(text: str, told: str) -> None:
    with pytest.raises(UsageError, match=told) as refusal:
        signingkey.configured(SecretText("token.rsa_private_key_pem", text=text))
    secret = text[40:80]
    assert not secret or secret not in str(refusal.value) + refusal.value.cure


def test_x01_a_key_that_is_in_gthulhus_repositories_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only digests of those keys are here, so a key of the test's own stands for one of them."""
    digest = next(iter(publishing._PUBLISHED))
    assert len(digest) == 64
    with monkeypatch.context() as patched:
        patched.setitem(publishing._PUBLISHED, _fingerprint(), "the token key of a test")
        with pytest.raises(UsageError, match="the token key of a test, which is public"):
            signingkey.configured(SecretText("token.rsa_private_key_pem", text=private_pem(rsa_key())))
    signingkey.configured(SecretText("token.rsa_private_key_pem", text=private_pem(rsa_key())))


async def test_x01_a_client_with_such_a_key_is_refused(manager_login: Login, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(publishing._PUBLISHED, _fingerprint(), "the token key of a test")
    answer = await refused(manager_login, TokenRequest(assertion=assertion(rsa_key(), "rsa-client")))
    assert answer.why is LoginFault.BAD_ASSERTION


def _fingerprint() -> str:
    return hashlib.sha256(publishing.spki(rsa_key().public_key())).hexdigest()


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


def test_numbers_are_forgotten_when_they_end_and_never_to_make_room() -> None:
    used = Used(most=2)
    assert used.take("a", "1", 10.0)
    assert used.take("b", "1", 20.0)
    assert used.full(9.0)
    assert not used.take("a", "1", 10.0)
    assert not used.full(10.0)
    assert used.take("a", "1", 30.0)


async def test_a_clock_that_is_set_back_makes_no_used_assertion_good_again(clients: Path) -> None:
    time = Time()
    one = login(Ways(clients=clients), time=time)
    text = assertion(ec_key())
    await one.token(TokenRequest(assertion=text))
    time.now += 100
    await one.token(TokenRequest(assertion=assertion(ec_key(), number="2", now=time.now)))
    time.now -= 50
    assert (await refused(one, TokenRequest(assertion=text))).why is LoginFault.REPLAYED
    one.close()


@pytest.mark.parametrize("ahead", [0, 5, 30])
async def test_an_assertion_of_a_clock_that_is_ahead_is_good_for_one_login_also_after_a_restart(
    clients: Path, tmp_path: Path, ahead: float
) -> None:
    """It was signed, by its clock, after the restart, and the new process knew nothing of its use."""
    time, text = Time(), assertion(ec_key(), now=NOW + ahead)
    first = login(Ways(clients=clients), time=time, used=UsedFile(tmp_path))
    await first.token(TokenRequest(assertion=text))
    for passed in (0, 1, 29):
        time.now = NOW + passed
        again = login(Ways(clients=clients), time=time, used=UsedFile(tmp_path))
        answer = await refused(again, TokenRequest(assertion=text))
        assert answer.why is (LoginFault.BAD_ASSERTION if passed > ahead else LoginFault.REPLAYED)
        await again.token(TokenRequest(assertion=assertion(ec_key(), number=f"2{passed}", now=time.now)))
        again.close()
    first.close()


async def test_which_assertions_were_used_is_lost_and_none_that_may_have_been_is_taken(
    clients: Path, tmp_path: Path
) -> None:
    time, text = Time(), assertion(ec_key(), now=NOW + 30)
    first = login(Ways(clients=clients), time=time, used=UsedFile(tmp_path))
    await first.token(TokenRequest(assertion=text))
    first.close()
    data = bytearray((tmp_path / usedfile.NAME).read_bytes())
    data[20] ^= 1
    (tmp_path / usedfile.NAME).write_bytes(data)
    time.now += 1
    again = login(Ways(clients=clients), time=time, used=UsedFile(tmp_path))
    assert (await refused(again, TokenRequest(assertion=text))).why is LoginFault.BAD_ASSERTION
    time.now += 31
    await again.token(TokenRequest(assertion=assertion(ec_key(), number="2", now=time.now)))
    again.close()


async def test_no_token_is_given_where_it_cannot_be_kept_that_the_assertion_was_used(
    clients: Path, tmp_path: Path
) -> None:
    class Full(Disk):
        def sync(self, fd: int) -> None:
            if full:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            super().sync(fd)

    full = True
    one = login(Ways(clients=clients), used=UsedFile(tmp_path, Full()))
    answer = await refused(one, TokenRequest(assertion=assertion(ec_key())))
    assert (answer.why, answer.code) == (LoginFault.NOT_STORED, Refusal.NOT_STORED)
    assert (await refused(one, TokenRequest(assertion=assertion(ec_key())))).why is LoginFault.REPLAYED
    full = False
    await one.token(TokenRequest(assertion=assertion(ec_key(), number="2")))
    one.close()
    again = login(Ways(clients=clients), used=UsedFile(tmp_path))
    for number in ("1", "2"):
        answer = await refused(again, TokenRequest(assertion=assertion(ec_key(), number=number)))
        assert answer.why is LoginFault.REPLAYED
    again.close()


class _Dying(Disk):
    """Ends at a call, in the middle of it where it writes."""

    def __init__(self, calls: int) -> None:
        self.calls = calls

    def _one(self) -> None:
        self.calls -= 1
        if self.calls < 0:
            raise OSError(errno.EIO, "killed")

    def create(self, path: Path) -> int:
        self._one()
        return super().create(path)

    def append(self, path: Path) -> int:
        self._one()
        return super().append(path)

    def write(self, fd: int, data: bytes) -> None:
        try:
            self._one()
        except OSError:
            super().write(fd, data[: len(data) // 2])
            raise
        super().write(fd, data)

    def sync(self, fd: int) -> None:
        self._one()
        super().sync(fd)

    def rename(self, source: Path, target: Path) -> None:
        self._one()
        super().rename(source, target)


@given(st.lists(st.integers(0, 12), min_size=1, max_size=6), st.integers(1, 5))
def test_whatever_ends_the_process_what_was_kept_is_known(calls: list[int], ends_after: int) -> None:
    """Processes that die one after the other, each in its n-th call: what one of them kept, all later ones know."""
    with tempfile.TemporaryDirectory() as folder:
        kept: set[str] = set()
        for process, alive in enumerate(calls):
            file = UsedFile(Path(folder), _Dying(alive))
            used = Used(known=file.load())
            assert kept <= {entry.digest for entry in used.entries()}
            for number in range(10):
                entry = used.take("manager", f"{process}-{number}", 10.0 + ends_after)
                assert entry is not None
                try:
                    file.add(entry, used.entries())
                except NotStored:
                    break
                kept.add(entry.digest)
        assert kept <= {entry.digest for entry in UsedFile(Path(folder)).load()}


def test_what_has_ended_does_not_fill_the_disk_and_is_not_forgotten_for_a_clock_that_is_set_back(
    tmp_path: Path,
) -> None:
    file, used = UsedFile(tmp_path), Used()
    for number in range(2000):
        assert not used.full(float(number))
        entry = used.take("manager", str(number), number + 90.0)
        assert entry is not None
        file.add(entry, used.entries())
    assert len((tmp_path / usedfile.NAME).read_bytes().splitlines()) < 600
    again = Used(known=UsedFile(tmp_path).load())
    assert again.take("manager", "7", 97.0) is None
    assert again.take("manager", "1999", 2089.0) is None
    assert again.take("manager", "2000", 2090.0) is not None


async def test_when_no_more_numbers_can_be_remembered_no_more_assertions_are_taken(
    manager_login: Login, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manager_login, "_used", Used(most=1))
    await manager_login.token(TokenRequest(assertion=assertion(ec_key())))
    answer = await refused(manager_login, TokenRequest(assertion=assertion(ec_key(), number="2")))
    assert answer.why is LoginFault.TOO_MANY
