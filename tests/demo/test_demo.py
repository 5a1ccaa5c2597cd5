"""`make demo` shows what it promises, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.pods import ROOT_NAME, cpu_hierarchy

CHECKOUT = Path(__file__).resolve().parents[2]


def _leftovers() -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if "demo/workload.py" in command or f"{CHECKOUT}/.demo/agent" in command:
            found.append(command)
    mount = cpu_hierarchy()
    if mount is not None and (mount / ROOT_NAME).exists():
        found.append(str(mount / ROOT_NAME))
    return found


@pytest.fixture
def demo_command() -> Iterator[list[str]]:
    yield [sys.executable, "-m", "demo.run"]
    assert _leftovers() == []


ENVIRONMENT = {**os.environ, "DEMO_SECONDS": "3", "PYTHONPATH": str(CHECKOUT)}


@pytest.mark.kernel
@pytest.mark.slow
def test_the_demo_ends_with_a_changed_slice_and_weight(demo_command: list[str]) -> None:
    done = subprocess.run(
        demo_command, cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"time slice +\S+ ms +0\.1 ms", done.stdout), done.stdout
    before, after = re.search(r"weight of the pod +cpu\.\w+ (\d+) +cpu\.\w+ (\d+)", done.stdout).groups()  # type: ignore[union-attr]
    assert int(after) > int(before)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_demo_leaves_nothing_running(demo_command: list[str], stop: signal.Signals) -> None:
    process = subprocess.Popen(
        demo_command, cwd=CHECKOUT, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "agent of" in line:
                break
        process.send_signal(stop)
        process.wait(30)
        process.stdout.close()
    finally:
        process.kill()
    if stop is signal.SIGKILL:
        # Nobody is left to clean up: the kernel ends the processes, the next run takes the cgroups away.
        time.sleep(0.5)
        mount = cpu_hierarchy()
        if mount is not None:
            from demo.pods import remove_kubepods  # noqa: PLC0415 - only for what SIGKILL leaves

            remove_kubepods(mount)


def _python_for_everybody() -> str | None:
    """An interpreter that a user without rights may run; a private one below root's home is none."""
    for candidate in (sys.executable, "/usr/bin/python3"):
        code = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        if subprocess.run([*AS_NOBODY, candidate, "-c", code], check=False, capture_output=True).returncode == 0:
            return os.path.realpath(candidate)
    return None


AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.mark.kernel
@pytest.mark.slow
def test_a_new_user_without_root_sees_what_can_be_shown_and_why_not_the_rest() -> None:
    """A fresh copy, nothing set up, no root: as somebody who has just cloned it."""
    python = _python_for_everybody()
    assert python is not None, "no Python >= 3.11 with ensurepip that other users may run"
    # Not pytest's own folder: every session of pytest closes that one to others again.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "checkout"
        shutil.copytree(CHECKOUT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
        for path in (Path(folder), copy, *copy.rglob("*")):
            os.chown(path, 65534, 65534)
        environment = {**ENVIRONMENT, "PYTHON": python, "HOME": "/nonexistent"}
        environment.pop("PYTHONPATH")
        command = [*AS_NOBODY, "make", "-C", str(copy), "demo"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert "cgroups may not be made here" in done.stdout, done.stdout + done.stderr
    assert re.search(r"time slice +\S+ ms +0\.1 ms", done.stdout), done.stdout + done.stderr
    assert "not shown" in done.stdout
