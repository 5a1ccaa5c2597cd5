"""The key that tokens are signed with: made once, kept whole, and never one that others have."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import threading
from pathlib import Path
from time import sleep
from typing import Any, NoReturn

import pytest
from login_world import (
    NODE,
    assertion,
    ec_key,
    pair,
    private_pem,
    public_pem,
    refused,
    rsa_key,
)

from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.tokens import (
    Login,
    LoginFault,
    TokenRequest,
    Ways,
    signingkey,
)
from gthulhu_agent.tokens import published as publishing
from gthulhu_agent.tokens.signingkey import KeyPair


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
