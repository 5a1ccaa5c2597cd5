"""A strategy of the older API on the host's kernel: from selectors to threads that the kernel schedules otherwise."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_program import PATIENCE, run, serving
from requirement import missing

from gthulhu_agent.enforcing import sched_attr

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
PATH = "/api/v1/scheduling/strategies"
SLICE_NS = 3_000_000


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[int]:
    """The pid of a process with two threads that a pod file declares, with a label."""
    code = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        containers = [{"name": "main", "id": "c1", "pids": [process.pid]}]
        row = {"uid": "u-1", "namespace": "core", "name": "upf-0", "labels": {"nf": "upf"}, "containers": containers}
        (tmp_path / "pods.json").write_text(json.dumps({"pods": [row]}))
        yield process.pid
        process.kill()


def slices(pid: int) -> set[int]:
    """Of all its threads."""
    return {sched_attr.read(int(task.name)).slice_ns for task in Path(f"/proc/{pid}/task").iterdir()}


def until_slices(pid: int, wanted: set[int]) -> None:
    end = time.monotonic() + PATIENCE
    while (found := slices(pid)) != wanted:
        assert time.monotonic() < end, f"{found} is not {wanted}"
        time.sleep(0.02)


def test_selectors_reach_the_kernel_and_an_empty_list_puts_everything_back(tmp_path: Path, pod: int) -> None:
    before = slices(pod)
    if before == {0}:
        missing("this kernel has no custom slices (6.12 has)")
    listen = f"unix:{tmp_path / 'api.sock'},api=bss"
    arguments = ("--listen", listen, "--enforcer", "eevdf", "--pod-file", str(tmp_path / "pods.json"))
    strategy = {"execution_time": SLICE_NS, "selectors": [{"key": "nf", "value": "upf"}]}
    with serving(tmp_path, *arguments) as program:
        saved = program.call("POST", PATH, {"strategies": [strategy]})
        assert saved["message"] == "Scheduling strategies saved successfully"
        until_slices(pod, {SLICE_NS})
        rows = program.call("GET", PATH)["scheduling"]
        assert isinstance(rows, list)
        assert {row["pid"] for row in rows} == {int(task.name) for task in Path(f"/proc/{pod}/task").iterdir()}
        program.call("POST", PATH, {"strategies": []})
        until_slices(pod, before)
    assert run(tmp_path, "revert", "--state-dir", str(tmp_path / "state")).returncode == 0
