"""Gthulhu's Manager and scheduler at a real agent, on the host's kernel, with a real pod's cgroup."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from agent_program import PATIENCE, Program, serving
from requirement import missing

from gthulhu_agent.discovery.layout import LayoutError, find_layout
from gthulhu_agent.enforcing import sched_attr

pytestmark = [pytest.mark.kernel, pytest.mark.slow]

UID = f"5a5a5a5a-0000-4000-8000-{os.getpid():012x}"
CONTAINER = f"{os.getpid():064x}"
SLICE_NS = 4_000_000
NAME = "nf worker )"
"""A blank and a bracket: upstream takes the fields behind them for others."""


@pytest.fixture
def pod() -> Iterator[subprocess.Popen[bytes]]:
    """A process with three threads in a container's cgroup."""
    if os.geteuid() != 0:
        missing("a pod's cgroup can be made by root alone")
    try:
        layout = find_layout()
    except LayoutError as error:
        missing(str(error))
    top = layout.directory("/kubepods")
    made = [path for path in (top, top / f"pod{UID}", top / f"pod{UID}" / CONTAINER) if not path.exists()]
    for path in made:
        path.mkdir()
    code = (
        "import sys, threading, time\n"
        f"open('/proc/self/comm', 'w').write({NAME!r})\n"
        "for _ in range(2): threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()"
    )
    try:
        with subprocess.Popen(
            [sys.executable, "-S", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            (made[-1] / "cgroup.procs").write_text(str(process.pid))
            try:
                yield process
            finally:
                process.kill()
                process.wait()
    finally:
        for path in reversed(made):
            remove(path)


def remove(path: Path) -> None:
    """A cgroup whose process has just ended is busy for a moment."""
    end = time.monotonic() + PATIENCE
    while path.exists() and time.monotonic() < end:
        with suppress(OSError):
            path.rmdir()
            return
        time.sleep(0.02)


def until(holds: Callable[[], bool], what: str) -> None:
    """Fail the test where ``holds`` never does."""
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.02)


def listed(program: Program) -> list[dict[str, Any]]:
    """What Gthulhu's scheduler reads."""
    rows: Any = program.call("GET", "/api/v1/scheduling/strategies")["scheduling"]
    return [row for row in rows if row.get("selectors") == [{"key": "nf", "value": "upf"}]]


def slices(pid: int) -> set[int]:
    """What the kernel has for each thread."""
    return {sched_attr.read(int(task.name)).slice_ns for task in Path(f"/proc/{pid}/task").iterdir()}


def sent(regex: str) -> dict[str, object]:
    """What Gthulhu's Manager sends for one pod."""
    one = {
        "podName": "upf-0",
        "podID": UID,
        "nodeID": "n1",
        "k8sNamespace": "free5gc",
        "commandRegex": regex,
        "priority": 10,
        "executionTime": SLICE_NS,
        "podLabels": {"nf": "upf"},
    }
    return {"intents": [one]}


def test_w16_a_process_is_once_in_its_pod_with_its_parent_and_container(
    tmp_path: Path, pod: subprocess.Popen[bytes]
) -> None:
    with serving(tmp_path) as program:
        data: Any = program.call("GET", "/api/v1/pods/pids")["data"]
    mine = [one for one in data["pods"] if one["pod_uid"] == UID]
    assert [one["processes"] for one in mine] == [
        [{"pid": pod.pid, "command": NAME, "ppid": os.getpid(), "container_id": CONTAINER}]
    ]


def test_w17_each_thread_is_listed_once_on_the_real_kernel(tmp_path: Path, pod: subprocess.Popen[bytes]) -> None:
    tids = {int(task.name) for task in Path(f"/proc/{pod.pid}/task").iterdir()}
    assert len(tids) == 3
    with serving(tmp_path) as program:
        assert program.call("POST", "/api/v1/intents", sent("^nf worker"))["success"] is True
        until(lambda: bool(listed(program)), "the pod's threads are listed")
        assert Counter(row["pid"] for row in listed(program)) == Counter(tids)
        assert program.call("POST", "/api/v1/intents", sent("^other"))["success"] is True
        until(lambda: not listed(program), "the pattern takes none")


def test_what_a_manager_sends_is_in_the_kernel_until_the_scheduler_is_switched_off(
    tmp_path: Path, pod: subprocess.Popen[bytes]
) -> None:
    if not sched_attr.ability().custom_slice:
        missing("this kernel keeps no slice per thread; it needs Linux 6.12")
    before = slices(pod.pid)
    with serving(tmp_path, "--enforcer", "eevdf", "--scan-interval", "100ms") as program:
        program.call("POST", "/api/v1/intents", sent(""))
        until(lambda: slices(pod.pid) == {SLICE_NS}, "the slice is in the kernel")
        program.call("POST", "/api/v1/runtime-config", {"configVersion": "1", "mode": "none"})
        assert slices(pod.pid) == before
        program.call("POST", "/api/v1/runtime-config", {"configVersion": "2", "mode": "gthulhu"})
        until(lambda: slices(pod.pid) == {SLICE_NS}, "the slice is in the kernel again")
        program.call("DELETE", "/api/v1/intents", {"podId": UID})
        until(lambda: slices(pod.pid) == before, "the slice is taken back")
