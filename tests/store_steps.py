"""A disk that fails or ends at one step, and the sets that tests write to it. Imports little: children use it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from gthulhu_agent.disk import Disk
from gthulhu_agent.state import Held
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, digest, ordered


def an_intent(name: str, pod: str = "uid-1") -> Intent:
    """One intent of policy ``name`` for pod ``pod``."""
    return Intent(Terms(PolicyRef("default", name), Schedule(priority=5)), 0, PodRef("default", f"pod-{pod}", pod))


def held(generation: int, *intents: Intent, owner: str = "main") -> Held:
    """What holds after a push of ``intents``."""
    in_order = ordered(intents)
    return Held().followed_by(DesiredSet(owner, 0, generation, in_order), digest(in_order), 1_700_000_000 + generation)


OLD, NEW = held(1, an_intent("old")), held(2, an_intent("new"), an_intent("more", "uid-2"))


class Steps(Disk):
    """A disk that counts what is asked of it, and does something else at one step."""

    def __init__(self, at: int | None = None, instead: Callable[[], None] = lambda: None) -> None:
        self.names_of_steps: list[str] = []
        self._at = at
        self._instead = instead

    def _step(self, name: str) -> None:
        self.names_of_steps.append(name)
        if len(self.names_of_steps) - 1 == self._at:
            self._instead()

    def create(self, path: Path) -> int:
        """Count, then do it."""
        self._step("create")
        return super().create(path)

    def write(self, fd: int, data: bytes) -> None:
        """Two steps: a crash may come between the bytes."""
        self._step("write")
        half = len(data) // 2
        super().write(fd, data[:half])
        self._step("write the rest")
        super().write(fd, data[half:])

    def sync(self, fd: int) -> None:
        """Count, then do it."""
        self._step("sync")
        super().sync(fd)

    def close(self, fd: int) -> None:
        """Count, then do it."""
        self._step("close")
        super().close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Count, then do it."""
        self._step("rename")
        super().rename(source, target)

    def sync_directory(self, path: Path) -> None:
        """Count, then do it."""
        self._step("sync the folder")
        super().sync_directory(path)

    def remove(self, path: Path) -> None:
        """Count, then do it."""
        self._step("remove")
        super().remove(path)
