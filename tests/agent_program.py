"""The program ``gthulhu-agent`` as a process of its own, spoken to over a Unix socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from agent_harness import SECRET
from outliving import ENDS_WITH_US

PROGRAM = [sys.executable, "-c", "from gthulhu_agent.cli import main; main()"]
PATIENCE = 30.0


class UnixHTTPConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=3 * PATIENCE)
        self._path = path

    def connect(self) -> None:
        """Open the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(3 * PATIENCE)
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
            data = None if body is None else json.dumps(body, separators=(",", ":"))
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
    """This process's, without settings of ours and with a home in ``folder``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GTHULHU_")}
    lock = {"GTHULHU_AGENT_ENFORCER_LOCK": str(folder / "run/enforcer.lock")}
    return {**kept, **lock, "HOME": str(folder), "XDG_STATE_HOME": str(folder / "xdg")}


@contextmanager
def serving(folder: Path, *arguments: str, secret: bool = False) -> Iterator[Program]:
    """``gthulhu-agent serve`` that answers; killed when the block ends and it has not."""
    path = folder / "api.sock"
    headers: dict[str, str] = {}
    if secret:
        (folder / "secret").write_bytes(SECRET)
        (folder / "secret").chmod(0o600)
        arguments = (*arguments, "--secret-file", str(folder / "secret"))
        headers = {"Authorization": f"Bearer {SECRET.decode()}"}
    command = [
        *ENDS_WITH_US,
        *PROGRAM,
        "serve",
        "--enforcer",
        "none",
        "--listen",
        f"unix:{path}",
        "--node",
        "n1",
        *arguments,
    ]
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
    """Fail the test where it ends instead."""
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
    """One command, to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment(folder),
        timeout=PATIENCE,
    )
