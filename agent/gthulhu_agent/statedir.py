"""The state folder: safe to trust, and one agent's at a time."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from gthulhu_agent.errors import AgentError, AlreadyRunning

_RUNNING = "running.json"


@dataclass(frozen=True, slots=True)
class Running:
    """How to reach the agent that has the folder."""

    pid: int
    listen: str
    secret_file: str | None


class StateDirectory:
    """A folder that this process holds until :meth:`release`, or its end.

    The lock is on the folder itself, not on a file in it: it can be had where nothing can be written, and the
    kernel drops it with the process, however that ends.
    """

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd

    @classmethod
    def claim(cls, path: Path) -> StateDirectory:
        """Make the folder if need be, check that nobody else could plant a set in it, and lock it.

        Raises:
            AlreadyRunning: another process has it.
            AgentError: it cannot be had, or others may write to it.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise AgentError(
                f"the state folder {path} cannot be had: {error.strerror or error}",
                cure="make it for the agent's user, or name another with --state-dir",
            ) from error
        try:
            _check_safe(path, os.fstat(fd))
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            raise AlreadyRunning(
                f"another agent has the state folder {path}{_whose(path)}",
                cure="stop that one first, or name another folder with --state-dir",
            ) from None
        except BaseException:
            os.close(fd)
            raise
        return cls(path, fd)

    def announce(self, running: Running) -> None:
        """Leave a note for ``gthulhu-agent revert``. Best effort: nothing but that command needs it."""
        unfinished = self.path / f"{_RUNNING}.unfinished"
        with suppress(OSError):
            unfinished.write_text(json.dumps(asdict(running)), encoding="utf-8")
            unfinished.rename(self.path / _RUNNING)

    def release(self) -> None:
        """Let another process have the folder."""
        with suppress(OSError):
            (self.path / _RUNNING).unlink(missing_ok=True)
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def running(path: Path) -> Running | None:
    """The note of the agent that has the folder ``path``, where there is one."""
    try:
        note = json.loads((path / _RUNNING).read_text(encoding="utf-8"))
        secret_file = note["secret_file"]
        return Running(
            pid=int(note["pid"]),
            listen=str(note["listen"]),
            secret_file=None if secret_file is None else str(secret_file),
        )
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _whose(path: Path) -> str:
    note = running(path)
    return "" if note is None else f" (process {note.pid}, listening on {note.listen})"


def _check_safe(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise AgentError(
            f"others may write to the state folder {path}, and so decide what this node enforces",
            cure=f"chown {os.geteuid()} {path} && chmod 700 {path}",
        )
