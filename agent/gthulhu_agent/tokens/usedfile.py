"""Used assertions on disk: a line for each, added before its token is given, so that no end of the process forgets one.

A line that an end cut off is of a login that got no token. The file is written anew when most of its lines have ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored

NAME = "used-assertions"
_UNFINISHED = f"{NAME}.unfinished"
_MOST_BYTES = 16 << 20
_LEAST_LINES = 256
"""Below so many lines the file is left to grow."""


class Entry(NamedTuple):
    """A digest of who used which number, and until when (Unix seconds) it must not be used again. They sort by that."""

    until: float
    digest: str


class Damaged(Exception):  # noqa: N818 - says what is the matter
    """The file cannot be read, or is not as it was written."""


class UsedFile:
    """The file in the state folder. Calls block and are never made concurrently."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()
        self._lines = 0
        self._whole = False
        """Whether a line may be added to what is there."""

    def load(self) -> tuple[Entry, ...]:
        """What was used.

        Raises:
            Damaged: that is not known any longer.
        """
        path = self._folder / NAME
        try:
            with self._disk.reading(path) as stream:
                data = stream.read(_MOST_BYTES)
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror or error}") from error
        *lines, cut = data.split(b"\n")
        try:
            entries = tuple(map(_read, lines))
        except ValueError as error:
            raise Damaged(f"{path}: a line is not as it was written") from error
        self._lines, self._whole = len(lines), not cut
        return entries

    def add(self, entry: Entry, all_of_them: Sequence[Entry]) -> None:
        """Keep ``entry``, one of ``all_of_them`` that have not ended. When this returns it outlives a power cut.

        Raises:
            NotStored: it may be lost.
        """
        try:
            if self._whole and self._lines < max(_LEAST_LINES, 2 * len(all_of_them)):
                self._append(entry)
            else:
                self._write_anew(all_of_them)
        except OSError as error:
            self._whole = False
            raise NotStored(
                f"cannot write to {self._folder}: {error.strerror or error}",
                cure="free space in it, or make it writable for the agent",
            ) from error

    def _append(self, entry: Entry) -> None:
        fd = self._disk.append(self._folder / NAME)
        try:
            self._disk.write(fd, _line(entry))
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        self._lines += 1

    def _write_anew(self, entries: Sequence[Entry]) -> None:
        unfinished = self._folder / _UNFINISHED
        self._disk.remove(unfinished)
        fd = self._disk.create(unfinished)
        try:
            self._disk.write(fd, b"".join(map(_line, entries)))
            self._disk.sync(fd)
        finally:
            self._disk.close(fd)
        self._disk.rename(unfinished, self._folder / NAME)
        self._disk.sync_directory(self._folder)
        self._lines, self._whole = len(entries), True


def _line(entry: Entry) -> bytes:
    text = f"{entry.until!r} {entry.digest}"
    return f"{_seal(text)} {text}\n".encode()


def _read(line: bytes) -> Entry:
    seal, _, text = line.decode("ascii").partition(" ")
    if seal != _seal(text):
        raise ValueError("its seal does not hold")
    until, _, digest = text.partition(" ")
    return Entry(float(until), digest)


def _seal(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
