"""Pods of real processes in real cgroups of this host, which vanish with the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from gthulhu_agent.discovery.layout import find_layout
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId, Thread
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Applied, Enforcer
from gthulhu_wire.intents import Intent

SLEEP = "import time; time.sleep(600)"
SPIN = "while True: pass"
DEADLINE = 60.0
"""Seconds after which a wait has failed; nothing that works takes a tenth of it."""


def until(true: Callable[[], bool], what: str) -> None:
    """Wait for something that other processes do."""
    end = time.monotonic() + DEADLINE
    while not true():
        assert time.monotonic() < end, what
        time.sleep(0.01)


def start_of(tid: int) -> int:
    """Field 22 of the thread's stat."""
    return int(Path(f"/proc/{tid}/stat").read_text().rpartition(")")[2].split()[19])


class Pods:
    """Pods under a cgroup of their own; everything in it is killed and removed at the end."""

    def __init__(self) -> None:
        self.layout = find_layout()
        self.root = f"/gthulhu-test-{os.getpid()}"
        self._made: list[str] = []
        self._children: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        self._make(self.root)
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        for cgroup in reversed(self._made):
            self._empty(cgroup)
        for child in self._children:
            child.kill()
            child.wait()
        for cgroup in reversed(self._made):
            until(lambda cgroup=cgroup: self._remove(cgroup), f"{cgroup} stays")  # type: ignore[misc]  # bound now

    def pod(self, name: str) -> str:
        """A pod with one container; the container's cgroup."""
        uid = self.uid(name)
        self._make(f"{self.root}/pod{uid}")
        container = f"{self.root}/pod{uid}/{name}"
        self._make(container)
        return container

    def uid(self, name: str) -> str:
        """The uid of a pod made by ``pod``."""
        return f"00000000-0000-4000-8000-{name.encode().hex():0>12}"

    def pod_cgroup(self, name: str) -> str:
        """The pod's own cgroup."""
        return f"{self.root}/pod{self.uid(name)}"

    def weight(self, cgroup: str) -> Path:
        """The file of its weight, whichever this host has."""
        return self.layout.directory(cgroup) / ("cpu.shares" if self.layout.version == 1 else "cpu.weight")

    def run(self, container: str, code: str, *arguments: str, comm: str = "", cpu: int | None = None) -> int:
        """A Python process inside of a container; with ``comm``, once it calls itself so."""
        if comm:
            code = f"open('/proc/self/comm', 'w').write({comm!r})\n{code}"
        child = subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL)
        self._children.append(child)
        (self.layout.directory(container) / "cgroup.procs").write_text(str(child.pid))
        if cpu is not None:
            os.sched_setaffinity(child.pid, {cpu})
        own = Path(f"/proc/{child.pid}/comm")
        until(lambda: not comm or own.read_text() == f"{comm}\n", "the process does not start")
        return child.pid

    def snapshot(self) -> Snapshot:
        """What runs in the pods now."""
        groups = []
        for cgroup in self._made:
            if cgroup.count("/") == self.root.count("/") + 2:
                pod, _, name = cgroup.rpartition("/")
                groups.append(
                    Group(
                        kind=GroupKind.CONTAINER,
                        cgroup=cgroup,
                        pod_cgroup=pod,
                        pod_uid=self.uid(name),
                        container_id=name,
                        processes=tuple(_processes(self._pids(cgroup))),
                    )
                )
        return Snapshot(tuple(groups))

    def apply(self, enforcer: Enforcer, *intents: Intent) -> Applied:
        """One scan and one apply."""
        return enforcer.apply(bind(intents, self.snapshot(), protected_units=(), self_pid=os.getpid(), now=0))

    def _pids(self, cgroup: str) -> list[int]:
        return [int(pid) for pid in (self.layout.directory(cgroup) / "cgroup.procs").read_text().split()]

    def _make(self, cgroup: str) -> None:
        path = self.layout.directory(cgroup)
        if self.layout.version > 1:
            (path.parent / "cgroup.subtree_control").write_text("+cpu")
        path.mkdir()
        self._made.append(cgroup)

    def _empty(self, cgroup: str) -> None:
        for pid in self._pids(cgroup):
            os.kill(pid, signal.SIGKILL)

    def _remove(self, cgroup: str) -> bool:
        try:
            self.layout.directory(cgroup).rmdir()
        except OSError:
            self._empty(cgroup)
            return False
        return True


def _processes(pids: Iterable[int]) -> Iterable[Process]:
    for pid in sorted(pids):
        try:
            threads = sorted(int(entry.name) for entry in Path(f"/proc/{pid}/task").iterdir())
            names = {tid: Path(f"/proc/{pid}/task/{tid}/comm").read_text().rstrip("\n") for tid in threads}
            yield Process(
                TaskId(pid, start_of(pid)),
                names[pid],
                "python",
                tuple(Thread(TaskId(tid, start_of(tid)), names[tid]) for tid in threads),
            )
        except (FileNotFoundError, ProcessLookupError, KeyError):
            continue
