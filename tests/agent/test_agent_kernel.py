"""The whole agent on the host's kernel: from a set that is pushed to threads that the kernel schedules otherwise."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_program import PATIENCE, Program, run, serving
from requirement import missing

from gthulhu_agent.enforcing import sched_attr
from gthulhu_wire.intents import DesiredSet, Intent, OnDelete, PodRef, PolicyRef, Schedule, Terms

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
UID = "0e4f5a9c-7c39-4f60-8c9f-1d2e3f4a5b6c"
SLICE_NS = 3_000_000


@pytest.fixture
def pod(tmp_path: Path) -> Iterator[int]:
    """The pid of a process that a pod file declares."""
    code = "import threading, time; threading.Thread(target=time.sleep, args=(600,)).start(); time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        containers = [{"name": "main", "id": "c1", "pids": [process.pid]}]
        row = {"uid": UID, "namespace": "shop", "name": "web-0", "labels": {"app": "web"}, "containers": containers}
        (tmp_path / "pods.json").write_text(json.dumps({"pods": [row]}))
        yield process.pid
        process.kill()


def agent(folder: Path) -> Any:  # noqa: ANN401 - a context manager
    return serving(folder, "--enforcer", "eevdf", "--pod-file", str(folder / "pods.json"), "--scan-interval", "100ms")


def pushed(generation: int, *, on_delete: OnDelete = OnDelete.REVERT, ends_at: int | None = None) -> dict[str, object]:
    terms = Terms(
        PolicyRef("shop", "web", "web.yaml"),
        Schedule(time_slice_ns=SLICE_NS),
        on_delete=on_delete,
        ends_at=ends_at,
    )
    return DesiredSet("main", 0, generation, (Intent(terms, 0, PodRef("shop", "web-0", UID)),)).as_json()


def empty(generation: int) -> dict[str, object]:
    return DesiredSet("main", 0, generation).as_json()


def slices(pid: int) -> set[int]:
    return {sched_attr.read(int(task.name)).slice_ns for task in Path(f"/proc/{pid}/task").iterdir()}


def until_slices(pid: int, wanted: set[int]) -> None:
    until(lambda: slices(pid) == wanted, f"slices of {wanted}")


@pytest.fixture
def default(pod: int) -> set[int]:
    """What the kernel gives threads that nobody asked anything for."""
    if not sched_attr.ability().custom_slice:
        missing("this kernel keeps no slice per thread; it needs Linux 6.12")
    return slices(pod)


def enforced(program: Program) -> Any:  # noqa: ANN401 - JSON
    rows: Any = program.call("GET", "/v1/state")["intents"]
    return rows[0]["enforcedSince"]


def ended(program: Program) -> tuple[object, object]:
    rows: Any = program.call("GET", "/v1/state")["intents"]
    return rows[0]["expired"], rows[0]["enforcedSince"]


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def test_a_pushed_slice_is_in_the_kernel_and_goes_with_the_policy(tmp_path: Path, pod: int, default: set[int]) -> None:
    with agent(tmp_path) as program:
        program.call("PUT", "/v1/desired", pushed(1))
        until_slices(pod, {SLICE_NS})
        until(lambda: enforced(program) is not None, "the state says that it is enforced")
        process: Any = program.call("GET", f"/v1/processes/{pod}")
        assert {thread["kernel"]["timeSlice"] for thread in process["threads"]} == {SLICE_NS}
        assert {thread["winner"]["name"] for thread in process["threads"]} == {"web"}
        program.call("PUT", "/v1/desired", empty(2))
        until_slices(pod, default)


def test_a_slice_stays_over_stop_and_kill_and_goes_with_revert(tmp_path: Path, pod: int, default: set[int]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with agent(tmp_path) as program:
            if number == signal.SIGTERM:
                program.call("PUT", "/v1/desired", pushed(1))
            until_slices(pod, {SLICE_NS})
            program.stop(number)
        assert slices(pod) == {SLICE_NS}
    assert run(tmp_path, "revert", "--state-dir", str(tmp_path / "state")).returncode == 0
    assert slices(pod) == default
    with agent(tmp_path) as program:
        assert "Reverted" in json.dumps(program.call("GET", "/v1/ready"))
        assert slices(pod) == default
        assert run(tmp_path, "resume", "--state-dir", str(tmp_path / "state")).returncode == 0
        until_slices(pod, {SLICE_NS})
        assert run(tmp_path, "revert", "--state-dir", str(tmp_path / "state")).returncode == 0
        until_slices(pod, default)


def test_an_end_is_kept_without_the_control_plane(tmp_path: Path, pod: int, default: set[int]) -> None:
    with agent(tmp_path) as program:
        program.call("PUT", "/v1/desired", pushed(1, on_delete=OnDelete.ORPHAN, ends_at=int(time.time()) + 3))
        until_slices(pod, {SLICE_NS})
        until_slices(pod, default)
        # The kernel shows the end before the pass that made it is told: its journal is being synced.
        until(lambda: ended(program) == (True, None), "the state says that it ended")


def test_an_orphaned_slice_stays(tmp_path: Path, pod: int, default: set[int]) -> None:
    with agent(tmp_path) as program:
        program.call("PUT", "/v1/desired", pushed(1, on_delete=OnDelete.ORPHAN))
        until_slices(pod, {SLICE_NS})
        while enforced(program) is None:
            time.sleep(0.02)
        program.call("PUT", "/v1/desired", empty(2))
        while program.call("GET", "/v1/state")["passedGeneration"] != 2:
            time.sleep(0.02)
        program.stop()
    assert slices(pod) == {SLICE_NS} != default


def test_an_agent_that_only_measures_puts_back_what_the_former_had_set(
    tmp_path: Path, pod: int, default: set[int]
) -> None:
    with agent(tmp_path) as program:
        program.call("PUT", "/v1/desired", pushed(1))
        until_slices(pod, {SLICE_NS})
        program.stop()
    with serving(tmp_path):
        assert slices(pod) == default
