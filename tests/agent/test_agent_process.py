"""The program itself, as a process: what it prints, how it ends, what a second one and a killed one leave."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_harness import SECRET, desired, intent

from gthulhu_agent import __version__

PROGRAM = [sys.executable, "-c", "from gthulhu_agent.cli import main; main()"]
PATIENCE = 30.0


class UnixHTTPConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


@dataclass
class Program:
    """A running ``gthulhu-agent serve`` on a Unix socket."""

    process: subprocess.Popen[str]
    path: Path
    headers: dict[str, str]

    def call(self, method: str, path: str, body: object = None) -> dict[str, object]:
        """One call; its answer."""
        connection = UnixHTTPConnection(self.path)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers=self.headers)
            value = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert isinstance(value, dict)
        return value

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Signal it; exit code and stderr."""
        self.process.send_signal(number)
        _, stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, stderr


def environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GTHULHU_")}
    return {**kept, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "xdg")}


@contextmanager
def serving(folder: Path, *arguments: str, secret: bool = False) -> Iterator[Program]:
    path = folder / "api.sock"
    headers: dict[str, str] = {}
    if secret:
        (folder / "secret").write_bytes(SECRET)
        (folder / "secret").chmod(0o600)
        arguments = (*arguments, "--secret-file", str(folder / "secret"))
        headers = {"Authorization": f"Bearer {SECRET.decode()}"}
    command = [*PROGRAM, "serve", "--enforcer", "none", "--listen", f"unix:{path}", "--node", "n1", *arguments]
    command += ["--state-dir", str(folder / "state")]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(folder)
    ) as process:
        try:
            program = Program(process, path, headers)
            wait_until_it_answers(program)
            yield program
        finally:
            if process.poll() is None:
                process.kill()


def wait_until_it_answers(program: Program) -> None:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if program.process.poll() is not None:
            pytest.fail(f"it ended with {program.process.returncode}: {program.process.communicate()[1]}")
        try:
            program.call("GET", "/v1/health")
        except OSError:
            time.sleep(0.02)
        else:
            return
    pytest.fail("it does not answer")


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder),
        timeout=PATIENCE,
    )


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


def test_logs_are_json_on_stderr_without_the_secret(tmp_path: Path) -> None:
    with serving(tmp_path, "--log-level", "debug", secret=True) as program:
        program.call("PUT", "/v1/desired", BODY)
        program.call("PUT", "/v1/desired", {**BODY, "generation": 1})
        program.headers = {"Authorization": f"Bearer {SECRET.decode()}x"}
        assert program.call("GET", "/v1/digest")["code"] == "unauthenticated"
        _, stderr = program.stop()
        events = [json.loads(line) for line in stderr.splitlines()]
    assert {"serving", "took a set", "stopping; what is enforced stays"} <= {event["event"] for event in events}
    assert SECRET.decode() not in stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["serve", "--no-such-option"], "No such option"),
        (["no-such-command"], "No such command"),
        (["serve", "--listen", "0.0.0.0:0"], "there is no secret"),
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
