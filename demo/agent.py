"""A real agent on loopback, for as long as the demo runs."""

from __future__ import annotations

import ctypes
import json
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from demo.report import note

PROGRAM = Path(__file__).resolve().parent.parent / ".venv/bin/gthulhu-agent"


class DemoAgent:
    """Starts ``gthulhu-agent serve`` on a free port of loopback, and puts the kernel back when it stops."""

    def __init__(self, work: Path, node: str, pod_file: Path | None) -> None:
        self._state = work / "agent"
        self._log = work / "agent.log"
        self._node = node
        self._pod_file = pod_file
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._address = f"127.0.0.1:{free.getsockname()[1]}"
        self.url = f"http://{self._address}"

    def start(self) -> None:
        """Start it, and wait until it is ready."""
        self._forget()  # what a demo that was killed left behind
        command: list[str | Path] = [
            PROGRAM,
            "serve",
            "--listen",
            self._address,
            "--state-dir",
            self._state,
            "--node",
            self._node,
        ]
        if self._pod_file is not None:
            command += ["--pod-file", self._pod_file]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - one thread, one system call
            )
        for _ in range(100):
            if self._get("/v1/ready") is not None:
                note(f"agent of {self._node} on {self.url}")
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.1)
        raise SystemExit(f"demo: the agent did not start:\n{self._log.read_text()}")

    def wait_until_enforced(self, pod_uid: str) -> list[str]:
        """Wait until the agent has read the pod's schedule back from the kernel; what the kernel refused."""
        gaps: list[str] = []
        for _ in range(100):
            state = self._get("/v1/state") or {"intents": []}
            for intent in state["intents"]:
                if intent["pod"] is None or intent["pod"]["uid"] != pod_uid or not intent["threads"]:
                    continue
                gaps = [_gap(refused) for refused in intent["refused"]]
                if intent["enforcedSince"] is not None or gaps:
                    return gaps
            time.sleep(0.1)
        raise SystemExit("demo: the agent did not enforce the policy within 10 s")

    def stop(self) -> None:
        """Stop it, and let it put everything back."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._forget()

    def _forget(self) -> None:
        """Put the kernel back as the state folder remembers it, and throw the folder away."""
        if not self._state.exists():
            return
        done = subprocess.run(
            [PROGRAM, "revert", "--state-dir", self._state], check=False, capture_output=True, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"demo: the kernel could not be put back:\n{done.stderr}")
        shutil.rmtree(self._state)

    def _get(self, path: str) -> Any:  # noqa: ANN401 - decoded JSON
        try:
            with urllib.request.urlopen(f"{self.url}{path}", timeout=2) as answer:  # noqa: S310 - http on loopback
                return json.load(answer)
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            return None


def _gap(refused: dict[str, str]) -> str:
    cure = f" ({refused['cure']})" if refused.get("cure") else ""
    return f"{refused['what']}: {refused['why']}{cure}"


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
