"""What may be saved with ``plan --out``, and commands that are advised."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest
from service_world import World

from gthulhu_reconcile.cli.main import run

INSTANT = "2030-01-01T12:00:00+00:00"


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """Policies, pods and an inventory; the agent does not run."""
    for name in [name for name in os.environ if name.startswith("GTHULHU_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return World(tmp_path)


@pytest.mark.parametrize(
    ("option", "source"),
    [
        ("--offline", (["--offline"], {}, "")),
        ("--at", (["--at", INSTANT], {}, "")),
        ("--offline", ([], {"GTHULHU_OFFLINE": "true"}, "")),
        ("--at", ([], {"GTHULHU_AT": INSTANT}, "")),
        ("--offline", ([], {}, "offline: true\n")),
        ("--at", ([], {}, f"at: '{INSTANT}'\n")),
    ],
)
def test_a_plan_for_another_instant_or_against_nothing_could_be_saved_and_applied(
    world: World,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    source: tuple[list[str], dict[str, str], str],
) -> None:
    arguments, environ, file = source
    world.settings(more=file)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    assert run(["plan", *arguments, "--out", "plan.json"]) == 64
    said = capsys.readouterr()
    assert said.out == ""
    assert f"a plan made with {option} is for looking at" in said.err
    assert not Path("plan.json").exists()


def test_init_advised_commands_that_a_shell_takes_apart_at_blanks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["init", "my policies"]) == 0
    advised = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  gthulhu-reconcile validate")]
    (words,) = [shlex.split(line) for line in advised]
    assert run(words[1:]) == 0


def test_a_saved_plan_was_pushed_whole_though_one_node_was_chosen(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.settings()
    assert run(["apply", "plan.json", "--yes", "--node", "n1"]) == 64
    assert "a saved plan is applied whole" in capsys.readouterr().err
