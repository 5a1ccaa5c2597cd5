"""How the program ends: exit statuses, messages without tracebacks, and what it costs to ask it for help."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest
import yaml

from gthulhu_reconcile.cli import main as main_module
from gthulhu_reconcile.cli.commands import COMMANDS
from gthulhu_reconcile.cli.exits import PRECEDENCE, Exit, combine
from gthulhu_reconcile.cli.main import cli, run
from gthulhu_reconcile.errors import GthulhuError, Held, StalePlan, UserError

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "gthulhu_reconcile"]
GOOD = """\
apiVersion: policy.gthulhu.io/v1
kind: SchedulingPolicy
metadata: {name: web}
spec: {selector: {namespaces: [web]}, schedule: {priority: 5}}
"""
BAD = GOOD.replace("priority", "priorty")
OLD = GOOD.replace("priority: 5", "executionTime: 5000000")


@pytest.fixture(autouse=True)
def _clean(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("GTHULHU_")]:
        monkeypatch.delenv(name)
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(BAD)
    (tmp_path / "old.yaml").write_text(OLD)


def test_the_strongest_status_wins() -> None:
    assert [*PRECEDENCE] == [64, 1, 4, 3, 2]
    assert combine() is Exit.OK
    assert combine(Exit.CHANGES, Exit.FINDINGS, Exit.HELD) is Exit.HELD
    assert combine(Exit.HELD, Exit.ERROR) is Exit.ERROR
    assert combine(Exit.USAGE, Exit.ERROR) is Exit.USAGE
    assert combine(Exit.USAGE, Exit.INTERRUPTED) is Exit.INTERRUPTED


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["validate", "good.yaml"], 0),
        (["validate", "bad.yaml"], 1),
        (["validate", "old.yaml"], 0),
        (["validate", "old.yaml", "--strict"], 3),
        (["validate", "old.yaml", "bad.yaml", "--strict"], 1),
        (["validate", "absent.yaml"], 1),
        (["--help"], 0),
        (["--version"], 0),
        (["validate", "--help"], 0),
        (["schema", "settings"], 0),
        (["paln"], 64),
        (["validate", "--strikt"], 64),
        (["validate", "-o", "xml"], 64),
        (["status", "-o", "junit"], 64),
        (["explain"], 64),
        (["explain", "pod"], 64),
        (["explain", "pod", "no-slash"], 64),
        (["explain", "pid", "zero"], 64),
        (["plan", "--at", "yesterday"], 64),
        (["--dry-run", "plan"], 64),
        (["--pods", "x.json", "validate"], 64),
        (["apply", "--offline", "--yes"], 64),
        (["apply", "--at", "2026-01-31T08:00:00Z", "--yes"], 64),
        (["apply", "-o", "json"], 64),
        (["apply"], 64),
        (["schema", "plan", "--draft", "7"], 64),
    ],
)
def test_exit_statuses(arguments: list[str], status: int) -> None:
    assert run(arguments) == status


def test_a_usage_error_is_64_and_not_clicks_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["plan", "--polices", "x"]) == 64
    error = capsys.readouterr().err
    assert "--policies" in error
    assert "Usage: gthulhu-reconcile plan" in error
    assert "Traceback" not in error


def test_a_misspelt_command_is_guessed(capsys: pytest.CaptureFixture[str]) -> None:
    run(["paln"])
    assert "did you mean 'plan'?" in capsys.readouterr().err


def test_options_before_the_command_are_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--policies", "old.yaml", "--strict", "validate"]) == 3
    assert "old.yaml" in capsys.readouterr().out


def test_a_wrong_option_value_says_which_option(capsys: pytest.CaptureFixture[str]) -> None:
    run(["plan", "--at", "yesterday"])
    assert "--at" in capsys.readouterr().err


def test_wrong_settings_are_told_with_their_place(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "gthulhu.yaml").write_text("guards: {massFlor: 5}\n")
    assert run(["validate", "good.yaml"]) == 1
    error = capsys.readouterr().err
    assert "gthulhu.yaml:1:10: error[unknown-key]" in error
    assert "did you mean 'massFloor'?" in error


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UserError("the input is wrong"), 1),
        (GthulhuError("it failed"), 1),
        (StalePlan("plan again"), 1),
        (Held("a guard"), 4),
        (PermissionError(13, "Permission denied", "x"), 1),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
    ],
)
def test_errors_end_with_a_message_and_a_status(
    error: BaseException, status: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise error

    monkeypatch.setattr(main_module.cli, "invoke", fail)
    assert run(["validate"]) == status
    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1


def test_a_fault_of_ours_leaves_its_traceback_in_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fail(_: object) -> None:
        raise KeyError("the\nvery thing")

    monkeypatch.setattr(main_module.cli, "invoke", fail)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert run(["validate"]) == 1
    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "internal error: KeyError" in said
    (file,) = tmp_path.glob("*.traceback.txt")
    assert str(file) in said
    assert "Traceback" in file.read_text()
    assert file.stat().st_mode & 0o077 == 0


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail(_: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(main_module.cli, "invoke", fail)
    monkeypatch.setenv("GTHULHU_DEBUG", "1")
    assert run(["validate"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_every_command_is_in_the_table_with_its_help() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.help


def test_every_option_has_a_help_text() -> None:
    context = click.Context(cli)
    for name in COMMANDS:
        command = cli.get_command(context, name)
        assert command is not None
        for each in [command, *getattr(command, "commands", {}).values()]:
            for parameter in each.params:
                assert not isinstance(parameter, click.Option) or parameter.help, (name, parameter.name)


def test_help_imports_nothing_heavy() -> None:
    """Regression: --help that takes a second because a client library is imported."""
    script = (
        "import sys; from gthulhu_reconcile.cli.main import run; run(['--help']);"
        "print(sorted({'aiohttp', 'rich', 'pydantic', 'apscheduler', 'yaml', 'jsonschema'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    assert "_GTHULHU_RECONCILE_COMPLETE" in capsys.readouterr().out


def test_completion_answers_without_importing_commands() -> None:
    environment = {
        **os.environ,
        "_GTHULHU_RECONCILE_COMPLETE": "bash_complete",
        "COMP_WORDS": "gthulhu-reconcile sta",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,status\n"


def test_pods_are_completed_from_the_file_that_is_named(tmp_path: Path) -> None:
    (tmp_path / "pods.yaml").write_text("pods: [{namespace: web, name: front-0, uid: u, node: n}]\n")
    environment = {
        **os.environ,
        "_GTHULHU_RECONCILE_COMPLETE": "bash_complete",
        "COMP_WORDS": "gthulhu-reconcile explain pod --pods pods.yaml we",
        "COMP_CWORD": "5",
    }
    done = subprocess.run(PROGRAM, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "plain,web/front-0\n"


def test_ctrl_c_ends_with_130_and_one_line() -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        deaf.settimeout(60)
        command = [*PROGRAM, "status", "--agents", f"http://127.0.0.1:{deaf.getsockname()[1]}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                connection, _ = deaf.accept()
                with connection:
                    process.send_signal(signal.SIGINT)
                    out, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert process.returncode == 130
    assert (out, err) == ("", "interrupted\n")


def test_the_hooks_of_pre_commit_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    for hook in yaml.safe_load((CHECKOUT / ".pre-commit-hooks.yaml").read_text()):
        words: list[str] = [*hook["entry"].split(), *hook["args"]]
        assert words[0] == "gthulhu-reconcile"
        assert run(words[1:]) == 0


def test_a_settings_file_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--config", "absent.yaml", "good.yaml"]) == 1
    assert "absent.yaml: error[unreadable]" in capsys.readouterr().err


def test_a_reader_that_goes_away_changes_no_status() -> None:
    """``validate | head -1`` must neither complain nor hide what it found."""
    command = f"{' '.join(PROGRAM)} validate bad.yaml; echo $? >&2"
    done = subprocess.run(["sh", "-c", f"( {command} ) | true"], capture_output=True, text=True, check=False)
    assert done.stderr.split() == ["1", "error", "in", "1", "file.", "1"]


def test_a_full_disk_is_an_error() -> None:
    done = subprocess.run(
        ["sh", "-c", f"{' '.join(PROGRAM)} schema > /dev/full"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


def test_output_survives_a_locale_without_umlauts(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(BAD + "# früh\n", encoding="utf-8")
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*PROGRAM, "validate", "bad.yaml"], env=environment, capture_output=True, check=False)
    assert done.returncode == 1
    assert b"fr\\xfch" in done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("validate - <&-", "<stdin>: error[unreadable]: is not open"),
        ("validate bad.yaml >&-", "standard output is closed"),
        ("validate bad.yaml -o json >&-", "standard output is closed"),
        ("plan --offline --policies good.yaml --pods - <&-", "standard input is closed"),
        ("apply <&-", "nobody can be asked"),
        ("validate bad.yaml 2>&-", "error[unknown-key]"),
        ("validate bad.yaml <&- >&- 2>&-", ""),
    ],
)
def test_a_closed_standard_stream_was_an_internal_error(command: str, said: str) -> None:
    line = f"{' '.join(PROGRAM)} {command}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, text=True, check=False)
    assert done.returncode == (64 if command.startswith("apply") else 1)
    assert said in done.stdout + done.stderr
    assert "internal error" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.parametrize("argument", ["web.yaml", "web.yml", "sub/web.json", "good.yaml", "plain"])
def test_init_made_a_directory_with_the_name_of_a_file(
    argument: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plain").touch()
    before = sorted(tmp_path.rglob("*"))
    assert run(["init", argument]) == 64
    assert "init takes the directory" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_validate_ignored_policies_beside_paths(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["validate", "--policies", "bad.yaml", "good.yaml"]) == 1
    assert "bad.yaml" in capsys.readouterr().out
    assert run(["validate", "--policies", "good.yaml", "bad.yaml"]) == 1
    assert run(["--policies", "bad.yaml", "validate", "good.yaml"]) == 1
    assert run(["validate", "--policies", "good.yaml", "old.yaml"]) == 1  # both name one policy


WINDOWED = """\
apiVersion: policy.gthulhu.io/v1
kind: SchedulingPolicy
metadata: {name: web}
spec:
  selector: {namespaces: [web]}
  schedule: {priority: 5, active: {cron: '0 9 29 2 *', duration: 10h, timeZone: Pacific/Kiritimati}}
"""


@pytest.mark.parametrize(
    ("at", "status"),
    [
        ("9999-12-31T23:59:59-14:00", 64),
        ("0001-01-01T00:00:00+14:00", 64),
        ("2026-01-31T08:00:60Z", 64),
        ("9990-12-31T23:59:59-14:00", 0),
        ("1971-01-01T00:00:00+14:00", 0),
        ("2026-01-31t08:00:00z", 0),
        ("2026-01-31T08:00:00.5+01:00", 0),
    ],
)
def test_an_instant_at_the_end_of_the_calendar_was_an_internal_error(
    at: str, status: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "windowed.yaml").write_text(WINDOWED)
    (tmp_path / "pods.yaml").write_text("pods: [{namespace: web, name: a, uid: u, node: n}]\nnodes: [{name: n}]\n")
    words = [
        "plan",
        "--offline",
        "--policies",
        "windowed.yaml",
        "--pods",
        "pods.yaml",
        "--agents",
        "http://127.0.0.1:9",
    ]
    assert run([*words, "--at", at]) == status
    error = capsys.readouterr().err
    assert "internal error" not in error
    assert status == 0 or "at" in error
