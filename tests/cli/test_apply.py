"""Plan, apply, status and drift over a real agent."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import shlex
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from agent_harness import FakeScanner, running, snapshot
from service_world import World, policy
from structlog.testing import capture_logs

from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome, PushResult
from gthulhu_reconcile.cli.main import run

Run = Callable[..., "asyncio.Future[tuple[int, str, str]]"]


class _Terminal(io.TextIOWrapper):
    """A person at standard input, who says one thing."""

    def __init__(self, answer: str) -> None:
        super().__init__(io.BytesIO(answer.encode()))

    def isatty(self) -> bool:
        return True


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A node with an agent, two pods and a policy; the working directory of the commands."""
    for name in [name for name in os.environ if name.startswith("GTHULHU_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    world = World(tmp_path)
    folder = tmp_path / "agent"
    folder.mkdir()
    uids = [f"00000000-0000-4000-8000-{number:012d}" for number in range(2)]
    scanner = FakeScanner(snapshot(*uids))
    # The agent runs in this very process: what it logs must not get between what the commands print.
    with capture_logs():
        async with running(folder, node="n1", listen=f"unix:{tmp_path}/n1.sock", scanner=scanner):
            yield world


@pytest.fixture
def gthulhu(world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    """Run a command in the world and give its status, its output and what it said."""
    assert world.root == Path.cwd()

    async def call(*arguments: str, answer: str | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()) if answer is None else _Terminal(answer))
        status = await asyncio.to_thread(run, list(arguments))
        out, err = capfd.readouterr()
        return int(status), out, err

    return call


async def test_what_was_planned_is_applied_and_then_nothing_is_left(world: World, gthulhu: Run) -> None:
    status, out, _ = await gthulhu("plan", "--detailed-exitcode")
    assert status == 2
    assert "+ by web (policies/web.yaml:1): newly selected" in out
    assert out.endswith("Plan: 2 to add, 0 to update, 0 to delete, 0 to forget on 1 of 1 node.\n")
    assert await world.held() == []

    status, out, _ = await gthulhu("apply", "--yes", "--detailed-exitcode")
    assert status == 2
    assert out.endswith("Applied: 1 of 1 node hold their set.\n")
    assert await world.held() == [("web-1", 5), ("web-2", 5)]

    status, out, _ = await gthulhu("plan", "--detailed-exitcode")
    assert status == 0
    assert "No changes." in out
    assert (await gthulhu("apply", "--yes", "--detailed-exitcode"))[0] == 0


async def test_apply_asks_and_only_yes_goes_on(world: World, gthulhu: Run) -> None:
    for answer in ("no\n", "y\n", "\n", ""):
        status, _, err = await gthulhu("apply", answer=answer)
        assert status == 1
        assert "Push this to 1 node?" in err
        assert "Nothing was changed." in err
    assert await world.held() == []
    assert (await gthulhu("apply", answer="yes\n"))[0] == 0
    assert len(await world.held()) == 2


async def test_nobody_to_ask_is_a_usage_error_before_anything_is_read(world: World, gthulhu: Run) -> None:
    world.write("policies/web.yaml", "not: [a policy")
    for arguments in (("apply",), ("apply", "-o", "json")):
        status, out, err = await gthulhu(*arguments)
        assert status == 64
        assert out == ""
        assert "--yes" in err


async def test_json_is_one_document_and_applies_with_yes_only(gthulhu: Run) -> None:
    assert (await gthulhu("apply", "-o", "json", answer="yes\n"))[0] == 64
    status, out, err = await gthulhu("apply", "-o", "json", "--yes")
    document = json.loads(out)
    assert status == 0
    assert document["result"] == "success"
    assert [node["outcome"] for node in document["nodes"]] == ["acknowledged"]
    assert document["plan"]["summary"]["add"] == 2
    assert "Plan: 2 to add" in err


async def test_a_hold_is_released_by_its_own_plan_only(world: World, gthulhu: Run) -> None:
    await gthulhu("apply", "--yes")
    world.write("policies/web.yaml", policy(app="other"))
    status, out, _ = await gthulhu("apply", "--yes", "--detailed-exitcode")
    assert status == 4
    assert "Held:" in out
    command = next(line for line in out.splitlines() if "--approve" in line).split("--approve ")[1]
    assert len(await world.held()) == 2
    assert (await gthulhu("apply", "--yes", "--approve", "0" * 12))[0] == 4
    assert (await gthulhu("apply", "--yes", "--approve", command))[0] == 0
    assert await world.held() == []


async def test_a_saved_plan_is_applied_once(world: World, gthulhu: Run) -> None:
    status, _, err = await gthulhu("plan", "--out", "plan.json")
    assert status == 0
    assert "apply plan.json" in err
    status, out, _ = await gthulhu("show", "plan.json")
    assert "Plan: 2 to add" in out
    assert (await gthulhu("apply", "--yes", "plan.json"))[0] == 0
    assert len(await world.held()) == 2
    status, _, err = await gthulhu("apply", "--yes", "plan.json")
    assert status == 1
    assert "applied once" in err
    status, out, err = await gthulhu("show", "plan.json")
    assert status == 0
    assert "Plan: 2 to add" in out
    assert "warning:" in err


async def test_a_stale_plan_is_refused(world: World, gthulhu: Run) -> None:
    await gthulhu("plan", "--out", "plan.json")
    await gthulhu("apply", "--yes")
    world.write("policies/web.yaml", policy(priority=9))
    await gthulhu("plan", "--out", "late.json")
    status, _, err = await gthulhu("apply", "--yes", "plan.json")
    assert status == 1
    assert "stale" in err


async def test_a_pass_without_a_command_asks_nobody(world: World, gthulhu: Run) -> None:
    status, out, _ = await gthulhu("--dry-run", "--detailed-exitcode")
    assert status == 2
    assert "Plan: 2 to add" in out
    assert await world.held() == []
    assert (await gthulhu())[0] == 0
    assert len(await world.held()) == 2


async def test_another_owners_node_is_left_alone(gthulhu: Run) -> None:
    await gthulhu("apply", "--yes")
    status, out, _ = await gthulhu("plan", "--owner", "intruder")
    assert status == 1
    assert "owned by here; --adopt takes it over" in out
    status, out, _ = await gthulhu("drift", "--owner", "intruder", "--detailed-exitcode")
    assert status == 2
    assert "owner: held by 'here', we are 'intruder'" in out
    assert (await gthulhu("apply", "--yes", "--owner", "intruder", "--adopt"))[0] == 0
    assert (await gthulhu("drift", "--owner", "intruder", "--detailed-exitcode"))[0] == 0


async def test_status_tells_what_is_held(gthulhu: Run) -> None:
    await gthulhu("apply", "--yes")
    status, out, _ = await gthulhu("status")
    assert status == 0
    assert "owner here" in out
    assert "Status: 1 of 1 node answer; 2 intents accepted" in out
    status, out, _ = await gthulhu("status", "-o", "json")
    (node,) = json.loads(out)["nodes"]
    assert (node["accepted"], node["owner"], node["enforcer"]) == (2, "here", "fake")


async def test_a_silent_node_is_an_error_that_is_told(world: World, gthulhu: Run) -> None:
    agents = ("--agents", f"unix:{world.root}/n1.sock", "--agents", f"unix:{world.root}/gone.sock")
    for command in ("plan", "status", "drift"):
        status, out, _ = await gthulhu(command, *agents)
        assert status == 1, command
        assert "gone.sock" in out


async def test_drift_compares_with_an_applied_plan(world: World, gthulhu: Run) -> None:
    await gthulhu("plan", "--out", "plan.json")
    await gthulhu("apply", "--yes", "plan.json")
    assert (await gthulhu("drift", "plan.json", "--detailed-exitcode"))[0] == 0
    world.write("policies/web.yaml", policy(priority=9))
    await gthulhu("apply", "--yes", "--approve", "none")
    status, out, _ = await gthulhu("drift", "plan.json", "--detailed-exitcode")
    assert status == 2
    assert "the plan brought it" in out


async def test_explain_asks_the_nodes_agent(gthulhu: Run) -> None:
    await gthulhu("apply", "--yes")
    status, out, err = await gthulhu("explain", "pod", "default/web-1")
    assert status == 0, err
    assert "wins  web" in out
    assert "of this pod:" in out
    status, out, err = await gthulhu("explain", "pid", "1000", "--node", "n1")
    assert status == 0, err
    assert "pid 1000 app (/app)" in out
    assert re.search(r"^  1000 +app +web +priority 5 ", out, re.MULTILINE), out
    status, _, err = await gthulhu("explain", "pid", "999999")
    assert status == 1
    assert err.startswith("error: n1: ")
    status, _, err = await gthulhu("explain", "pid", "1000", "--node", "n2")
    assert status == 1
    assert "there is no node 'n2'" in err


@pytest.mark.parametrize("command", [("apply", "--yes"), ()])
async def test_a_pass_had_no_form_for_continuous_integration(
    world: World, gthulhu: Run, command: tuple[str, ...]
) -> None:
    agents = ("--agents", f"unix:{world.root}/n1.sock", "--agents", f"unix:{world.root}/gone.sock")
    status, out, err = await gthulhu(*command, "-o", "github", *agents)
    lines = out.splitlines()
    assert status == 1
    assert any(line.startswith("::warning title=node left out::") and "gone.sock" in line for line in lines)
    assert lines[-1] == "::notice title=apply::Applied: 1 of 1 node hold their set."
    assert all(line.startswith("::") for line in lines)
    assert "Applied: 1 of 1 node" in err
    world.write("policies/web.yaml", policy(priority=9))
    world.settings(more="output: junit\nguards: {massFraction: 1}\n")
    status, out, _ = await gthulhu(*command)
    cases = {
        f"{suite.get('name')} {case.get('name')}": case
        for suite in ET.fromstring(out)  # noqa: S314 - our own output
        for case in suite
    }
    assert status == 0
    assert cases["apply node n1"].find("failure") is None
    assert "plan node n1" in cases
    assert [priority for _, priority in await world.held()] == [9, 9]


async def test_a_failed_push_was_no_failed_check(world: World, gthulhu: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refusing(*_: object, **__: object) -> PushResult:
        return PushResult((NodeOutcome("n1", Outcome.REFUSED, reason="no secret"),))

    monkeypatch.setattr("gthulhu_reconcile.runtime.reconciling.push", refusing)
    status, out, _ = await gthulhu("apply", "--yes", "-o", "github")
    assert status == 1
    assert "::error title=node not applied::n1: refused: no secret" in out.splitlines()
    status, out, _ = await gthulhu("apply", "--yes", "-o", "junit")
    failure = ET.fromstring(out).find("testsuite[@name='apply']/testcase/failure")  # noqa: S314 - our own output
    assert status == 1
    assert failure is not None
    assert (failure.get("type"), failure.get("message")) == ("refused", "n1: refused: no secret")
    assert await world.held() == []


@pytest.mark.parametrize("form", ["json", "github", "junit"])
async def test_a_form_for_machines_never_asks(world: World, gthulhu: Run, form: str) -> None:
    for arguments in (("apply", "-o", form), ("apply", "--no-yes")):
        world.settings(more=f"output: {form}\n")
        status, out, err = await gthulhu(*arguments, answer="yes\n")
        assert (status, out) == (64, "")
        assert f"-o {form} asks nobody" in err
    assert await world.held() == []


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), (), ("--dry-run",)])
async def test_errors_in_inputs_left_standard_output_empty(
    world: World, gthulhu: Run, command: tuple[str, ...]
) -> None:
    world.write("policies/web.yaml", policy().replace("priority", "priorty"))
    status, out, err = await gthulhu(*command, "-o", "json")
    found = json.loads(out)
    assert status == 1
    assert [(each["severity"], each["path"]) for each in found] == [("error", "policies/web.yaml")]
    assert found[0]["suggestion"] == "priority"
    assert err.startswith("error: ")


async def test_a_stale_plan_was_an_empty_report(world: World, gthulhu: Run) -> None:
    await gthulhu("plan", "--out", "plan.json")
    world.write("policies/web.yaml", policy(priority=9))
    await gthulhu("apply", "--yes")
    status, out, _ = await gthulhu("apply", "--yes", "plan.json", "-o", "junit")
    assert status == 1
    failure = ET.fromstring(out).find("testsuite/testcase/failure")  # noqa: S314 - our own output
    assert failure is not None
    assert "stale" in str(failure.get("message"))
    status, out, _ = await gthulhu("apply", "--yes", "plan.json", "-o", "github")
    assert status == 1
    assert out.startswith("::error::the plan is stale")


async def test_the_command_for_a_saved_plan_failed_as_printed(world: World, gthulhu: Run) -> None:
    socket = f"unix:{world.root}/n1.sock"
    world.write("gthulhu.yaml", "pods: pods.yaml\n")
    _, _, err = await gthulhu("plan", "--agents", socket, "--owner", "me too", "--out", "plan.json")
    words = shlex.split(err.partition("Apply it once with: ")[2])
    assert words == ["gthulhu-reconcile", "apply", "--agents", socket, "--owner", "me too", "plan.json"]
    assert (await gthulhu(*words[1:], "--yes"))[0] == 0
    assert len(await world.held()) == 2

    world.write("policies/web.yaml", policy(app="other"))
    await gthulhu("plan", "--agents", socket, "--owner", "me too", "--out", "held.json")
    status, out, _ = await gthulhu("apply", "--yes", "--agents", socket, "--owner", "me too", "held.json")
    assert status == 4
    hint = next(line.removeprefix("│").strip() for line in out.splitlines() if "--approve" in line)
    assert (await gthulhu(*shlex.split(hint)[1:], "--yes"))[0] == 0
    assert await world.held() == []


@pytest.mark.parametrize("command", [("plan",), ("apply", "--yes"), (), ("apply", "--yes", "plan.json")])
async def test_the_id_of_another_plan_was_approved_in_silence(
    world: World, gthulhu: Run, command: tuple[str, ...]
) -> None:
    await gthulhu("apply", "--yes")
    world.write("policies/web.yaml", policy(app="other"))
    await gthulhu("plan", "--out", "plan.json")
    status, _, err = await gthulhu(*command, "--approve", "0123456789ab")
    assert status == 4
    assert "0123456789ab is another plan's id" in err
    assert "stays held" in err
    plan = json.loads((await gthulhu("plan", "-o", "json"))[1])["id"]
    status, _, err = await gthulhu(*command, "--approve", plan)
    assert status == 0
    assert "another plan" not in err
