"""An assertion is good for one login, whatever clocks, restarts and disks do."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from login_world import (
    NODE,
    NOW,
    Time,
    assertion,
    ec_key,
    login,
    pair,
    refused,
)

from gthulhu_agent.clock import Clock
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.tokens import (
    Login,
    LoginFault,
    TokenRequest,
    Ways,
    usedfile,
)
from gthulhu_agent.tokens.replay import Used
from gthulhu_agent.tokens.usedfile import UsedFile
from gthulhu_wire.refusals import Refusal


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
