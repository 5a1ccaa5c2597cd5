"""The program itself, as a process: what it prints, how it ends, what a second one and a killed one leave."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from agent_harness import SECRET, desired, intent
from agent_program import environment, run, serving

from gthulhu_agent import __version__

BODY = desired(3, intent("web")).as_json()


@pytest.mark.slow
def test_sigterm_ends_it_with_0_and_what_it_held_is_there_again(tmp_path: Path) -> None:
    with serving(tmp_path) as program:
        held = program.call("PUT", "/v1/desired", BODY)
        code, _ = program.stop()
        assert (code, program.path.exists()) == (0, False)
    with serving(tmp_path) as program:
        assert program.call("GET", "/v1/digest") == held


@pytest.mark.slow
def test_kill_9_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    for generation in range(1, 4):
        body = desired(generation, intent(f"web-{generation}")).as_json()
        with serving(tmp_path) as program:
            held = program.call("PUT", "/v1/desired", body)
            program.stop(signal.SIGKILL)
        with serving(tmp_path) as program:
            assert program.call("GET", "/v1/digest") == held
            program.stop(signal.SIGKILL)


def test_a_second_agent_on_the_same_state_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with serving(tmp_path) as program:
        second = run(
            tmp_path, "serve", "--enforcer", "none", "--state-dir", str(tmp_path / "state"), "--listen", "127.0.0.1:0"
        )
        assert second.returncode == 1
        assert f"process {program.process.pid}" in second.stderr
        assert "Traceback" not in second.stderr
        assert program.call("GET", "/v1/health") == {"status": "ok"}


@pytest.mark.slow
@pytest.mark.parametrize("secret", [False, True])
def test_revert_and_resume_with_a_running_agent(tmp_path: Path, secret: bool) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    with serving(tmp_path, secret=secret) as program:
        done = run(tmp_path, "revert", *state)
        assert (done.returncode, done.stdout) == (0, "")
        assert "gthulhu-agent resume" in done.stderr
        assert "Reverted" in json.dumps(program.call("GET", "/v1/ready"))
        assert run(tmp_path, "resume", *state).returncode == 0
        assert "Reverted" not in json.dumps(program.call("GET", "/v1/ready"))


@pytest.mark.slow
def test_revert_without_a_running_agent_is_there_when_it_starts(tmp_path: Path) -> None:
    state = ("--state-dir", str(tmp_path / "state"))
    assert run(tmp_path, "revert", *state).returncode == 0
    with serving(tmp_path) as program:
        assert "Reverted" in json.dumps(program.call("GET", "/v1/ready"))
    assert run(tmp_path, "resume", *state).returncode == 0
    with serving(tmp_path) as program:
        assert "Reverted" not in json.dumps(program.call("GET", "/v1/ready"))


def test_an_agent_that_has_the_folder_and_does_not_answer_is_named(tmp_path: Path) -> None:
    with serving(tmp_path) as program:
        program.path.unlink()
        done = run(tmp_path, "revert", "--state-dir", str(tmp_path / "state"))
        assert done.returncode == 1
        assert f"kill {program.process.pid}" in done.stderr


def test_ctrl_c_ends_serve_as_sigterm_does(tmp_path: Path) -> None:
    with serving(tmp_path) as program:
        code, stderr = program.stop(signal.SIGINT)
    assert (code, "stopping; what is enforced stays" in stderr) == (0, True)


def test_x14_logs_are_json_on_stderr_without_the_secret(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "debug", secret=True) as program:
        program.call("PUT", "/v1/desired", BODY)
        program.call("PUT", "/v1/desired", {**BODY, "generation": 1})
        program.headers = {"Authorization": f"Bearer {SECRET.decode()}x"}
        assert program.call("GET", "/v1/digest")["code"] == "unauthenticated"
        _, stderr = program.stop()
        events = [json.loads(line) for line in stderr.splitlines()]
    assert {"serving", "took a set", "stopping; what is enforced stays"} <= {event["event"] for event in events}
    assert SECRET.decode() not in stderr


def test_x14_what_is_below_the_level_is_not_logged(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "warning") as program:
        program.call("PUT", "/v1/desired", BODY)
        _, stderr = program.stop()
    assert {json.loads(line)["level"] for line in stderr.splitlines()} <= {"warning", "error"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--no-such-option"], "No such option"),
        (["no-such-command"], "No such command"),
        (["serve", "--listen", "0.0.0.0:0"], "no way to log in"),
        (["serve", "--enforcer", "magic"], "auto, eevdf or none"),
        (["serve", "--config", "/no/such/file"], "No such file"),
        (["serve", "--scan-interval", "soon"], "--scan-interval: scan_interval takes a time"),
        (["revert", "extra"], "unexpected extra argument"),
    ],
)
def test_mistakes_of_usage_are_64_and_no_traceback(tmp_path: Path, arguments: Sequence[str], told: str) -> None:
    done = run(tmp_path, *arguments, *(["--state-dir", str(tmp_path / "s")] if arguments[0] == "serve" else []))
    assert (done.returncode, done.stdout) == (64, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_of_the_environment_and_a_file_reach_it(tmp_path: Path) -> None:
    (tmp_path / "agent.toml").write_text('log_format = "console"\nnode = "from-the-file"\n')
    with serving(tmp_path, "--config", str(tmp_path / "agent.toml")) as program:
        assert program.call("GET", "/v1/version")["node"] == "n1"  # the option is before the file
        _, stderr = program.stop()
    assert "\x1b[" not in stderr  # no colours into a pipe
    assert not stderr.startswith("{")


def test_version_is_one_line(tmp_path: Path) -> None:
    done = run(tmp_path, "version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"gthulhu-agent {__version__}\n", "")


@pytest.mark.parametrize("command", ["version", "revert"])
def test_commands_that_need_no_server_load_none(tmp_path: Path, command: str) -> None:
    code = (
        "import sys; from gthulhu_agent.cli import _run\n"
        f"_run([{command!r}] + sys.argv[1:])\n"
        "print(sorted({'aiohttp', 'prometheus_client'} & sys.modules.keys()))"
    )
    options = ["--state-dir", str(tmp_path / "state")] if command == "revert" else []
    done = subprocess.run(
        [sys.executable, "-c", code, *options], capture_output=True, text=True, check=True, env=environment(tmp_path)
    )
    assert done.stdout.splitlines()[-1] == "[]"
