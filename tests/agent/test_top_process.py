"""``top`` and ``explain`` as programs, beside an agent that runs, on a terminal and without one."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest
from agent_harness import desired, intent
from agent_program import PATIENCE, PROGRAM, Program, environment, run, serving

pytestmark = pytest.mark.slow


@contextmanager
def beside_a_pod(folder: Path, *, secret: bool = False) -> Iterator[tuple[Program, int]]:
    """An agent, and the pid of the one process of pod default/pod-uid-1; its name is hostile."""
    with subprocess.Popen(["sleep", "300"]) as child:
        try:
            pods = [
                {
                    "uid": "uid-1",
                    "namespace": "default",
                    "name": "pod-uid-1",
                    "containers": [{"name": "app", "id": "c1", "pids": [child.pid]}],
                }
            ]
            file = folder / "pods.json"
            file.write_text(json.dumps({"pods": pods}))
            file.chmod(0o600)
            with serving(folder, "--pod-file", str(file), secret=secret) as agent:
                agent.call("PUT", "/v1/desired", desired(1, intent("web"), intent("db")).as_json())
                yield agent, child.pid
        finally:
            child.kill()


def at(folder: Path) -> list[str]:
    return ["--state-dir", str(folder / "state")]


def until_it_shows(folder: Path, *arguments: str) -> str:
    """What a command prints once the agent's first pass has ended."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        done = run(folder, *arguments, *at(folder))
        if done.returncode == 0 and "pod-uid-1" in done.stdout:
            return done.stdout
        time.sleep(0.05)
    pytest.fail(done.stderr)


def test_where_no_terminal_looks_there_is_one_table_with_no_colour(tmp_path: Path) -> None:
    with beside_a_pod(tmp_path, secret=True) as (agent, pid):
        text = until_it_shows(tmp_path, "top")
        assert re.search(r"^default/pod-uid-1 +1 +1 +normal", text, re.MULTILINE)
        assert "\x1b" not in text
        threads = run(tmp_path, "top", "--pod", "default/pod-uid-1", *at(tmp_path)).stdout
        assert re.search(rf"^sleep +{pid} +{pid} +normal .* default/(web|db)", threads, re.MULTILINE)
        value = json.loads(run(tmp_path, "top", "--json", *at(tmp_path)).stdout)
        assert "pod-uid-1" in [pod["name"] for pod in value["pods"]]
        assert agent.process.poll() is None


def test_explain_says_who_won_who_lost_and_what_the_kernel_says(tmp_path: Path) -> None:
    with beside_a_pod(tmp_path) as (agent, pid):
        text = until_it_shows(tmp_path, "explain", "pid", str(pid))
        assert f"process {pid} sleep" in text
        assert "pod      default/pod-uid-1  uid uid-1" in text
        assert re.search(r"winner   default/(web|db): normal, priority 5", text)
        assert re.search(r"lost     default/(web|db): its rank is 0, and a stronger one takes the thread", text)
        assert re.search(r"kernel   OTHER, nice 0, slice \S+", text)
        value = json.loads(run(tmp_path, "explain", "pid", str(pid), "--json", *at(tmp_path)).stdout)
        assert value["threads"][0]["losers"][0]["reason"] == "outranked"
        nobody = run(tmp_path, "explain", "pid", str(2**22), *at(tmp_path))
        assert (nobody.returncode, "no process 4194304" in nobody.stderr) == (1, True)
        assert agent.process.poll() is None


def test_without_an_agent_it_is_said_where_one_was_looked_for(tmp_path: Path) -> None:
    for command in (["top"], ["explain", "pid", "1"]):
        done = run(tmp_path, *command, *at(tmp_path))
        assert (done.returncode, done.stdout) == (1, "")
        assert "no agent runs here" in done.stderr
        assert "--url" in done.stderr


def test_a_wrong_secret_is_said_to_be_one(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("not-the-secret-of-this-agent")
    wrong.chmod(0o600)
    with beside_a_pod(tmp_path, secret=True):
        done = run(tmp_path, "top", "--secret-file", str(wrong), *at(tmp_path))
        assert done.returncode == 1
        assert "--secret-file" in done.stderr


class Terminal:
    """A terminal in which ``top`` runs, with room for whatever other pods the machine has."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.master, self.slave = pty.openpty()
        ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 5_000, 120, 0, 0))
        self.modes = termios.tcgetattr(self.slave)
        self.text = ""
        self.process = subprocess.Popen(
            [*PROGRAM, "top", *arguments, *at(folder)],
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            env={**environment(folder), "TERM": "xterm"},
            preexec_fn=lambda: ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509 - Ctrl-C needs a controlling terminal
            start_new_session=True,
        )

    def until(self, pattern: str) -> None:
        """Read until ``pattern`` was shown since the last time."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.text)):
            if time.monotonic() > end:
                pytest.fail(f"{pattern!r} was not shown: {self.text[-2000:]!r}")
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        self.text = self.text[found.end() :]

    def type(self, text: str) -> None:
        """Press keys."""
        os.write(self.master, text.encode())

    def end(self) -> int:
        """Wait for it; whatever it still says is read, or it could not end."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            if select.select([self.master], [], [], 0.05)[0]:
                self.text += os.read(self.master, 65536).decode(errors="replace")
        while select.select([self.master], [], [], 0)[0]:
            self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.process.wait(timeout=1)

    def close(self) -> None:
        """Leave nothing behind."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@contextmanager
def terminal(folder: Path, *arguments: str) -> Iterator[Terminal]:
    opened = Terminal(folder, *arguments)
    try:
        yield opened
    finally:
        opened.close()


ALTERNATE, BACK, CURSOR = r"\x1b\[\?1049h", "\x1b[?1049l", "\x1b[?25h"


def test_on_a_terminal_it_refreshes_in_place_and_keys_sort(tmp_path: Path) -> None:
    with beside_a_pod(tmp_path):
        until_it_shows(tmp_path, "top")
        with terminal(tmp_path, "--interval", "0.5") as top:
            top.until(ALTERNATE)
            top.until("default/pod-uid-1")
            top.until(r"default/pod-uid-1 .* 0\.0 ")  # the second look has rates
            top.type("n")
            top.until(r"\x1b\[4;7mpod")  # what is sorted by is underlined
            top.type("q")
            assert top.end() == 0
            assert BACK in top.text
            assert CURSOR in top.text
            assert termios.tcgetattr(top.slave) == top.modes


def test_ctrl_c_leaves_the_terminal_as_it_was(tmp_path: Path) -> None:
    with beside_a_pod(tmp_path):
        until_it_shows(tmp_path, "top")
        with terminal(tmp_path) as top:
            top.until("default/pod-uid-1")
            top.type("\x03")
            assert top.end() == 130
            assert BACK in top.text
            assert CURSOR in top.text
            assert "Traceback" not in top.text
            assert termios.tcgetattr(top.slave) == top.modes


def test_an_agent_that_is_restarted_meanwhile_is_waited_for(tmp_path: Path) -> None:
    with beside_a_pod(tmp_path) as (agent, _):
        until_it_shows(tmp_path, "top")
        with terminal(tmp_path, "--interval", "0.5") as top:
            top.until("default/pod-uid-1")
            agent.stop(signal.SIGTERM)
            top.until("does not answer")
            top.until("default/pod-uid-1")
            top.type("q")
            assert top.end() == 0
