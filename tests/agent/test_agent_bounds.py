"""What an agent may cost its node, as far as no clock is needed to say so: memory, and what it does not import."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from agent_harness import desired, intent
from agent_program import run, serving

MEMORY_MAX = 80_000_000
PODS = 1_000
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
