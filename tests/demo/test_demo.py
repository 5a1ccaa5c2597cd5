"""`make demo` shows what it promises, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
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
    assert process.stdout is not None
    for line in process.stdout:
        if "agent of" in line:
            break
    process.send_signal(stop)
    process.wait(30)
    process.stdout.close()
    if stop is signal.SIGKILL:
        # Nobody is left to clean up: the kernel ends the processes, the next run takes the cgroups away.
        time.sleep(0.5)
        mount = cpu_hierarchy()
        if mount is not None:
            from demo.pods import remove_kubepods  # noqa: PLC0415 - only for what SIGKILL leaves

            remove_kubepods(mount)


@pytest.mark.kernel
@pytest.mark.slow
def test_without_root_it_says_what_it_cannot_show(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("needs root to give root up")
    copy = tmp_path / "checkout"
    shutil.copytree(CHECKOUT / "demo", copy / "demo")
    (copy / ".venv").symlink_to(CHECKOUT / ".venv")
    tmp_path.chmod(0o755)
    for folder in (copy, *copy.rglob("*")):
        if not folder.is_symlink():
            os.chown(folder, 65534, 65534)
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-m", "demo.run"],
        cwd=copy,
        env={**ENVIRONMENT, "PYTHONPATH": str(copy), "HOME": str(copy)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "cgroups may not be made here" in done.stdout, done.stdout + done.stderr
    assert re.search(r"time slice +\S+ ms +0\.1 ms", done.stdout), done.stdout + done.stderr
    assert "not shown" in done.stdout
