"""What an agent may cost its node, as far as no clock is needed to say so: memory, and what it does not import."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_harness import desired, intent
from agent_program import PATIENCE, Program, run, serving

MEMORY_MAX = 80_000_000
PODS = 1_000
SLOW = 500
UNUSED = {"rich", "jwt", "cryptography", "pydantic", "pygments", "multiprocessing"}
"""Installed beside the agent, and nothing that an agent without tokens and TLS needs: together more than it has."""


def resident(pid: int) -> int:
    """Bytes, now."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:", 1)[1].split()[0]) * 1024


def imported(trace: str) -> set[str]:
    """Packages of which Python's import trace names a module; of what is tried and not there it has the name alone."""
    return set(re.findall(r"^import time:.*\|\s*(\w+)\.[\w.]+$", trace, re.MULTILINE))


def test_an_agent_does_not_import_what_it_does_not_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Structlog took rich along, for tracebacks that the agent draws plainly."""
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    with serving(tmp_path) as program:
        program.call("PUT", "/v1/desired", desired(1, intent("web")).as_json())
        for path in ("/v1/state", "/v1/pods", "/v1/ready", "/v1/digest"):
            program.call("GET", path)
        code, stderr = program.stop()
    assert code == 0
    found = imported(stderr)
    assert {"aiohttp", "structlog", "prometheus_client"} <= found
    assert found.isdisjoint(UNUSED), found & UNUSED


LEAN = """
import ssl
from gthulhu_agent import lean
before = ssl.create_default_context().cert_store_stats(), vars(ssl.SSLContext).keys() - {"__dict__"}
lean.import_logging()
lean.import_server()
import sys
from aiohttp import connector
assert not any(name.startswith("rich.") for name in sys.modules)
assert connector._SSL_CONTEXT_VERIFIED.cert_store_stats()["x509_ca"] == 0
assert connector._SSL_CONTEXT_VERIFIED.verify_mode is ssl.CERT_REQUIRED
assert (ssl.create_default_context().cert_store_stats(), vars(ssl.SSLContext).keys() - {"__dict__"}) == before
import rich.table
"""


def test_what_is_left_out_of_the_start_is_there_for_who_asks_later() -> None:
    """Contexts of our own trust whom they did, those of aiohttp nobody, and rich can be imported."""
    done = subprocess.run([sys.executable, "-c", LEAN], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", ["version", "--help"])
def test_a_command_that_only_prints_imports_no_library_but_click(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    done = run(tmp_path, command)
    assert done.returncode == 0
    found = imported(done.stderr)
    assert "click" in found
    assert found.isdisjoint({*UNUSED, "aiohttp", "structlog", "prometheus_client"})


@pytest.mark.slow
def test_an_agent_with_1000_pods_stays_below_its_limit_of_memory(tmp_path: Path) -> None:
    many = [intent(f"p{number % 20}", pod=f"{number:08x}-0000-4000-8000-{number:012x}") for number in range(PODS)]
    with serving(tmp_path, "--scan-interval", "100ms") as program:
        for generation in (1, 2, 3):
            answer = program.call("PUT", "/v1/desired", desired(generation, *many).as_json())
            assert answer["count"] == PODS
            for path in ("/v1/state", "/v1/desired", "/v1/pods"):
                program.call("GET", path)
        assert resident(program.process.pid) < MEMORY_MAX


def connect(one: socket.socket, path: Path) -> None:
    """Wait for a place in the queue of those whom the agent has not accepted yet; a Unix socket does not by itself."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            return one.connect(str(path))
        except BlockingIOError:
            time.sleep(0.01)
    pytest.fail("it accepts nobody")


@contextlib.contextmanager
def slow_clients(path: Path, beginning: bytes) -> Iterator[list[socket.socket]]:
    """So many connections that have sent ``beginning`` and send nothing more."""
    with contextlib.ExitStack() as stack:
        opened = []
        for _ in range(SLOW):
            one = stack.enter_context(socket.socket(socket.AF_UNIX))
            one.settimeout(PATIENCE)
            connect(one, path)
            with contextlib.suppress(ConnectionError):  # it was told at once that there is no room
                one.sendall(beginning)
            opened.append(one)
        yield opened


def push(program: Program, generation: int) -> None:
    """Until it is taken: where 256 connections have come within the last second, one more is told to come back."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with contextlib.suppress(OSError):  # told so before it had sent everything
            answer = program.call("PUT", "/v1/desired", desired(generation, intent("web")).as_json())
            if answer.get("code") != "busy":
                assert answer["generation"] == generation
                return
        time.sleep(0.1)
    pytest.fail("slow clients keep this one out")


@pytest.mark.slow
@pytest.mark.parametrize(
    "beginning",
    [b"", b"GET /v1/health HTTP/1.1\r\nHo", b"PUT /v1/desired HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{"],
    ids=["nothing", "headers", "body"],
)
def test_500_slow_clients_keep_nobody_out(tmp_path: Path, beginning: bytes) -> None:
    with serving(tmp_path) as program, slow_clients(program.path, beginning):
        for generation in range(1, 21):
            push(program, generation)
        assert resident(program.process.pid) < MEMORY_MAX


@pytest.mark.slow
def test_500_clients_that_go_on_sending_slowly_keep_nobody_out(tmp_path: Path) -> None:
    """Each sends a byte now and then, so that none is ever silent, and comes again when it was sent away."""
    beginning = b"POST /api/v1/intents HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n"
    with serving(tmp_path) as program, slow_clients(program.path, beginning) as slow:
        ended = threading.Event()

        def drip() -> None:
            while not ended.is_set():
                for place, one in enumerate(slow):
                    try:
                        one.sendall(b" ")
                    except OSError:
                        one.close()
                        slow[place] = again = socket.socket(socket.AF_UNIX)
                        again.settimeout(PATIENCE)
                        with contextlib.suppress(OSError):
                            again.connect(str(program.path))
                            again.sendall(beginning)

        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            for generation in range(1, 21):
                push(program, generation)
        finally:
            ended.set()
            dripping.join()
            for one in slow:
                one.close()
        assert resident(program.process.pid) < MEMORY_MAX


@pytest.mark.slow
def test_sigterm_waits_for_no_slow_client_and_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    beginning = b"PUT /v1/desired HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n{"
    with serving(tmp_path, "--drain-deadline", "300ms") as program:
        with slow_clients(program.path, b""), slow_clients(program.path, beginning):
            acknowledged = push_until_it_ends(program)
            code, stderr = program.stop()
            acknowledged.join()
        assert code == 0
        assert "Traceback" not in stderr
    assert acknowledged.last > 0
    with serving(tmp_path) as program:
        generation = program.call("GET", "/v1/digest")["generation"]
    assert generation in (acknowledged.last, acknowledged.last + 1)


class Pushing(threading.Thread):
    """Sets one after the other until the agent is gone; ``last`` is the generation of the last one acknowledged."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.last = 0
        self.begun = threading.Event()
        self._program = program

    def run(self) -> None:
        """Push."""
        while self._program.process.poll() is None:
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):  # full, or it ends
                answer = self._program.call("PUT", "/v1/desired", desired(self.last + 1, intent("web")).as_json())
                if answer.get("generation") == self.last + 1:
                    self.last += 1
                    self.begun.set()


def push_until_it_ends(program: Program) -> Pushing:
    """A thread that has pushed one set already."""
    pushing = Pushing(program)
    pushing.start()
    assert pushing.begun.wait(PATIENCE)
    return pushing
