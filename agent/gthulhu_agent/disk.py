"""The few things that the store asks of a file system, in one place: tests make each of them fail or stop there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


class Disk:
    """The real one. Every method may raise OSError."""

    def create(self, path: Path) -> int:
        """A new file, readable by us alone; never through a link that somebody left there."""
        return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)

    def append(self, path: Path) -> int:
        """A file that is there, to add to; never through a link."""
        return os.open(path, os.O_APPEND | os.O_WRONLY | os.O_NOFOLLOW)

    def write(self, fd: int, data: bytes) -> None:
        """Write all of ``data``; the system call may take less at a time."""
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]

    def sync(self, fd: int) -> None:
        """What was written is on the medium."""
        os.fsync(fd)

    def close(self, fd: int) -> None:
        """Some file systems (NFS) report a full disk only here."""
        os.close(fd)

    def rename(self, source: Path, target: Path) -> None:
        """Atomic: observers see the one or the other."""
        source.rename(target)

    def sync_directory(self, path: Path) -> None:
        """Names in ``path`` are on the medium: a rename is not, until its directory is synced (fsync(2))."""
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def remove(self, path: Path) -> None:
        """It may be gone already."""
        path.unlink(missing_ok=True)

    def names(self, path: Path) -> list[str]:
        """Names in a folder, in no order."""
        return os.listdir(path)  # noqa: PTH208 - names, not paths

    @contextmanager
    def reading(self, path: Path) -> Iterator[BinaryIO]:
        """An open file, never through a link."""
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as stream:
            yield stream
