"""docs/login.md says what logins are: each reason of a refusal has its line, and its examples work."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import time
from pathlib import Path

import jwt
from login_world import NODE, Time, login

from gthulhu_agent.callers import Access, Caller
from gthulhu_agent.settings import load
from gthulhu_agent.tokens import LoginFault, TokenRequest, Ways, signingkey
from gthulhu_agent.tokens.assertions import LONGEST
from gthulhu_agent.tokens.limits import BY_PEER, IN_ALL
from gthulhu_agent.tokens.replay import MOST

PAGE = (Path(__file__).parents[2] / "docs/login.md").read_text(encoding="utf-8")


def block(kind: str, containing: str) -> str:
    found: list[str] = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return next(text for text in found if containing in text)


def test_every_reason_of_a_refusal_has_its_line() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", PAGE.partition("| why | means |")[2], re.MULTILINE)
    assert told == [fault.value for fault in LoginFault]


def test_the_numbers_are_those_of_the_code() -> None:
    assert f"more than {BY_PEER.burst} logins at once, and then {BY_PEER.per_second} a second" in PAGE
    assert f"more than {IN_ALL.burst} and {IN_ALL.per_second} from all" in PAGE
    assert f"more than {MOST:,} assertions" in PAGE
    assert f"at most {LONGEST // 60} minutes ahead" in PAGE
    assert f"a key of {signingkey.BITS} bits" in PAGE


async def test_the_keys_and_the_assertion_of_the_example_are_a_login(tmp_path: Path) -> None:
    """Openssl makes the keys and a process of its own signs, as the page has it."""
    clients = tmp_path / "clients"
    clients.mkdir(mode=0o755)
    keys = block("sh", "genpkey").replace("/etc/gthulhu-agent/clients", str(clients))
    program = f"{block('python', 'jwt.encode').replace('NODE', NODE)}\nprint(assertion)"
    one = login(Ways(clients=clients), time=Time(time.time()))
    signed = await asyncio.to_thread(in_folder, tmp_path, keys, program)
    token = await one.token(TokenRequest(assertion=signed))
    assert await one.verify(token.text) == Caller("manager", Access.FULL, "token")
    told = re.findall(r"`([a-z_]+)`", PAGE.partition("Claims are")[2].partition("(`dm agent`")[0])
    assert sorted(told) == sorted(jwt.decode(token.text, options={"verify_signature": False}))
    one.close()


def in_folder(folder: Path, shell: str, python: str) -> str:
    subprocess.run(["/bin/sh", "-ec", shell], cwd=folder, check=True, capture_output=True)
    done = subprocess.run([sys.executable, "-c", python], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_the_settings_of_the_example_are_taken(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(block("toml", "[mtls]"))
    (tmp_path / "tls.key").write_text("")
    chosen = load(file=file, environ={"HOME": "/", "CREDENTIALS_DIRECTORY": str(tmp_path)}, options={})
    assert (chosen.mtls_enable, len(chosen.mtls_clients)) == (True, 2)
