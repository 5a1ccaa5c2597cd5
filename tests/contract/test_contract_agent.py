"""Our agent answers as the tables say, over real sockets: with and without a login."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from agent_harness import FakeScanner, Harness, running, snapshot
from decision_maker_client import public_key
from tls_world import Authority, write

from contract.__main__ import main
from contract.calling import target
from contract.running import Outcome, Verdict, run
from contract.table import load
from gthulhu_agent.discovery.snapshot import DiscoveredPod, Snapshot

TABLES = Path(__file__).parents[2] / "contract"
POD = "11111111-2222-3333-4444-666666666666"
WORLD = {"pod_uid": POD, "pid": 1000, "command": "app", "label_key": "app", "label_value": "web"}


def world() -> Snapshot:
    """One pod with one process, whose label the pod file tells."""
    return replace(snapshot(POD), pods=(DiscoveredPod(POD, "default", "web", (("app", "web"),)),))


async def outcomes(agent: Harness, name: str, variables: Mapping[str, Any], token: str | None = None) -> list[Outcome]:
    """Everything that came of the table ``name``, run in a thread beside the agent's loop."""
    table = load(TABLES / name)
    return await asyncio.to_thread(lambda: list(run(table, target(agent.url), {**WORLD, **variables}, token=token)))


def broken(found: list[Outcome]) -> list[tuple[str, tuple[str, ...]]]:
    """The steps that did not hold."""
    return [(one.step.name, one.details) for one in found if one.verdict is Verdict.BROKEN]


def left_out(found: list[Outcome]) -> set[str]:
    """What steps were left out for."""
    return {name for one in found if one.verdict is Verdict.LEFT_OUT for name in one.step.needs}


@pytest.mark.parametrize(
    ("table", "api"), [("decision-maker.json", "dm"), ("bss.json", "bss")], ids=["decision-maker", "bss"]
)
async def test_it_answers_as_the_table_says_where_no_login_is_asked_for(tmp_path: Path, table: str, api: str) -> None:
    async with running(
        tmp_path,
        scanner=FakeScanner(world()),
        listen=f"127.0.0.1:0,api={api}",
        bss_cors_origins=("https://ui.example",),
    ) as agent:
        found = await outcomes(agent, table, {"runtime_config": 1, "fresh": 1, "origin": "https://ui.example"})
        assert broken(found) == []
        assert left_out(found) <= {"login", "public_key"}


@pytest.mark.parametrize(
    ("table", "api"), [("decision-maker.json", "dm"), ("bss.json", "bss")], ids=["decision-maker", "bss"]
)
async def test_it_answers_as_the_table_says_after_a_login_by_public_key(tmp_path: Path, table: str, api: str) -> None:
    async with running(
        tmp_path,
        scanner=FakeScanner(world()),
        listen=f"127.0.0.1:0,api={api}",
        bss_cors_origins=("*",),
        compat_public_key_login=True,
    ) as agent:
        variables = {
            "public_key": await public_key(agent),
            "runtime_config": 1,
            "fresh": 1,
            "origin": "https://ui.example",
        }
        found = await outcomes(agent, table, variables)
        assert broken(found) == []
        assert left_out(found) == set()


async def test_a_table_runs_over_tls_with_a_client_certificate_too(tmp_path: Path) -> None:
    authority = Authority.make(tmp_path / "tls")
    client = authority.ca.issue_cert("manager.example")
    write(tmp_path / "client.pem", client.private_key_and_cert_chain_pem.bytes())
    async with running(tmp_path, **authority.mutual("manager.example")) as agent:
        arguments = [f"https://127.0.0.1:{agent.port}", "--ca", str(authority.authorities)]
        with_certificate = [*arguments, "--certificate", str(tmp_path / "client.pem"), "--variable", "runtime_config=1"]
        assert await asyncio.to_thread(main, with_certificate) == 0
        assert await asyncio.to_thread(main, arguments) == 1  # without one there is no handshake
