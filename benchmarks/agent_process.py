"""One server under measurement: a process of its own on a Unix socket, the agent's or the plain one's."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

PATIENCE = 120.0
AGENT = [sys.executable, "-c", "from gthulhu_agent.cli import main; main()", "serve"]
PLAIN = [sys.executable, str(Path(__file__).with_name("agent_plain.py"))]


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


class Server:
    """A started process; ``begun`` is the instant before it was."""

    def __init__(self, process: subprocess.Popen[bytes], path: Path, begun: float) -> None:
        self.process = process
        self.begun = begun
        self._path = path

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Status and body."""
        connection = _Connection(self._path)
        try:
            connection.request(method, path, body=body, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def until(self, path: str, every: float) -> float:
        """Seconds from the start until ``GET path`` is answered 200; asked ``every`` so many, which costs it too."""
        end = self.begun + PATIENCE
        while time.perf_counter() < end:
            if self.process.poll() is not None:
                sys.exit(f"a server under measurement ended with {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.call("GET", path)[0] == http.client.OK:
                    return time.perf_counter() - self.begun
            time.sleep(every)
        sys.exit(f"{path} was not answered 200 within {PATIENCE:g} s")

    def timed(self, method: str, path: str, body: bytes | None = None) -> tuple[float, bytes]:
        """Seconds that one call took, and its answer."""
        begun = time.perf_counter()
        status, answer = self.call(method, path, body)
        if status != http.client.OK:
            sys.exit(f"{method} {path}: {status} {answer[:200]!r}")
        return time.perf_counter() - begun, answer

    def memory(self, what: str) -> float:
        """``VmRSS`` or ``VmHWM``, in MB."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(status.split(f"{what}:", 1)[1].split()[0]) * 1024 / 1e6

    def cpu(self) -> float:
        """CPU seconds so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(command: Sequence[str], socket_path: Path, environment: dict[str, str]) -> Iterator[Server]:
    """A process that is to listen on ``socket_path``, ended by SIGTERM when the block ends."""
    begun = time.perf_counter()
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield Server(process, socket_path, begun)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def environment(folder: Path) -> dict[str, str]:
    """As on a node, where pip has compiled what it installed: bytecode is kept, in ``folder``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("GTHULHU_", "DM_")) and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**kept, "PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "HOME": str(folder)}
