"""Cgroups of the real kernel and small processes in them, which vanish with the test."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from gthulhu_agent.discovery.events.event import Batch, Event, Events

DEADLINE = 30.0
"""Seconds after which a wait has failed; nothing that works takes a tenth of it."""


class Cgroups:
    """A cgroup of the test's own, with what is made below it."""

    def __init__(self, root: Path) -> None:
        self.top = root / f"gthulhu-events-{os.getpid()}"
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self.top.mkdir()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        for child in self._children:
            child.kill()
            child.wait()
            for stream in (child.stdin, child.stdout):
                if stream:
                    stream.close()
        for cgroup in sorted((path for path in self.top.rglob("*") if path.is_dir()), reverse=True):
            remove(cgroup)
        remove(self.top)

    def make(self, name: str) -> Path:
        """A cgroup below, with those between."""
        made = self.top / name
        made.mkdir(parents=True)
        return made

    def run(self, cgroup: Path, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        """A Python program that comes to ``cgroup`` when it has started, and then waits for a line on stdin."""
        child = subprocess.Popen(
            [
                sys.executable,
                "-S",
                "-c",
                f"import sys; print('started', flush=True); sys.stdin.readline()\n{program}",
                *arguments,
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._children.append(child)
        assert child.stdout
        assert child.stdout.readline() == b"started\n"
        (cgroup / "cgroup.procs").write_text(str(child.pid))
        return child


def go(child: subprocess.Popen[bytes]) -> None:
    """Let the program run."""
    assert child.stdin
    child.stdin.write(b"\n")
    child.stdin.flush()


def remove(cgroup: Path) -> None:
    """Kill what is in it, and remove it once it is empty."""
    end = time.monotonic() + DEADLINE
    while True:
        for pid in (cgroup / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            cgroup.rmdir()
        except OSError:
            assert time.monotonic() < end, f"{cgroup} is not empty"
            time.sleep(0.01)
        else:
            return


def number(cgroup: Path) -> int:
    """What the kernel calls it."""
    return cgroup.stat().st_ino


def hear(events: Events, enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Read, as an event loop would, until it is enough."""
    heard: list[Event] = []
    end = time.monotonic() + DEADLINE
    while not enough(heard):
        rest = end - time.monotonic()
        assert rest > 0, heard
        if select.select([events.fileno()], [], [], rest)[0]:
            heard += events.read().events
    return heard


def lose(events: Events) -> Batch:
    """Read until something is lost."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if select.select([events.fileno()], [], [], 0.1)[0]:
            batch = events.read()
            if batch.lost:
                return batch
    raise AssertionError("nothing was told as lost")


def silent(events: Events) -> bool:
    """Whether nothing can be read."""
    return not select.select([events.fileno()], [], [], 0)[0]
