"""One enforcer per host: two would each take the other's values for the owners' and drive them to the limits."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gthulhu_agent.errors import AgentError, AlreadyRunning

_MAX_NOTE = 32


@contextmanager
def claimed(path: Path | None) -> Iterator[None]:
    """Have the host to oneself for the block; None where there is nothing to share.

    The kernel drops the lock with the process, however that ends. The file stays: who removed it would let two have
    files of the same name.

    Raises:
        AlreadyRunning: another process has it.
        AgentError: it cannot be had, or others could take it.
    """
    if path is None:
        yield
        return
    fd = _open(path)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRunning(
                f"{_holder(fd)} enforces on this node already: it has the lock {path}",
                cure="one agent per node: stop that one first; or start this one with --enforcer none, to only look",
            ) from None
        _note(fd, str(os.getpid()))
        try:
            yield
        finally:
            _note(fd, "")
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    folder = path.parent
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        status = folder.stat()
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise AgentError(
                f"others may write to {folder}, and so keep the agent from starting",
                cure=f"chown {os.geteuid()} {folder} && chmod 755 {folder}",
            )
        # Not readable by others: a file that can be opened for reading can be locked.
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise AgentError(
            f"the lock {path} cannot be had: {error.strerror or error}",
            cure=f"let the agent write to {folder}, or name another file with --enforcer-lock, the same for every "
            "agent of this node",
        ) from error


def _holder(fd: int) -> str:
    try:
        note = os.pread(fd, _MAX_NOTE, 0).decode("ascii", "replace").strip()
    except OSError:
        note = ""
    return f"process {note}" if note.isdecimal() else "another process"


def _note(fd: int, text: str) -> None:
    """For people: the lock holds without it, also where the disk is full."""
    with suppress(OSError):
        os.ftruncate(fd, 0)
        os.pwrite(fd, text.encode(), 0)
