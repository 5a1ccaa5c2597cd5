"""The desired set on disk. A set is a new file; the former one stays beside it until the next.

Files are ``desired-<number>.jsonl`` with a number that only grows. Writing goes: a temporary file, its fsync, a
rename, the folder's fsync. A process that dies between any two of them leaves the former set or the new one.
Nothing is ever written over, so a damaged newest file leaves the one before it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from gthulhu_agent import storefile
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.state import Held

_NAME = re.compile(r"(desired|damaged)-(\d{12,})\.jsonl")
_UNFINISHED = ".unfinished"
_REVERTED = "reverted"
_EVIDENCE = 3
"""Damaged files that are kept for a person to look at."""
_PROBE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found at the start.

    Attributes:
        held: the newest whole set, never with a (token, generation) below that of a damaged newer one.
        faults: sentences, one for each newer file that could not be read; empty when all is well.
        whole: whether ``held`` came from a file, or from there being none at all. Otherwise what it was is not known,
            and unknown is not empty.
    """

    held: Held
    faults: tuple[str, ...] = ()
    whole: bool = True


class DesiredStore:
    """Sets in one folder, which has to be there. Calls block and are never made concurrently."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self.disk = disk or Disk()
        self._last = 0
        self._good: int | None = None

    def load(self) -> Loaded:
        """The newest whole set; damaged ones are set aside under another name.

        Raises:
            OSError: the folder cannot be listed.
        """
        faults: list[str] = []
        floor: storefile.Header | None = None
        found = sorted(self._numbered(), reverse=True)
        self._last = found[0][0] if found else 0
        for number, kind in found:
            try:
                with self.disk.reading(self._path(kind, number)) as stream:
                    held = storefile.decode(stream)
            except storefile.Damaged as damaged:
                floor = floor or damaged.header
                faults.append(f"{self._path('damaged', number)}: {damaged}")
                self._set_aside(kind, number)
            except OSError as error:
                faults.append(f"{self._path(kind, number)}: {error.strerror or error}")
            else:
                self._good = number
                return Loaded(_raised(held, floor), tuple(faults))
        return Loaded(_raised(Held(), floor), tuple(faults), whole=not faults)

    def save(self, held: Held) -> None:
        """Keep ``held``. When this returns it outlives a power cut.

        Raises:
            NotStored: it could not be written; the former set is what a restart finds.
        """
        number = self._last + 1
        target = self._path("desired", number)
        unfinished = target.with_suffix(_UNFINISHED)
        try:
            self._sweep()
            self._write(unfinished, held)
            self.disk.rename(unfinished, target)
            self._last = number
            self.disk.sync_directory(self._folder)
        except OSError as error:
            # After a failed fsync of the folder the name may or may not last: take it back, so that what is
            # refused now is not what holds after a restart.
            self._forget(unfinished)
            self._forget(target)
            raise NotStored(
                f"cannot write to {self._folder}: {error.strerror or error}",
                cure="free space in it, or make it writable for the agent; the former set holds until then",
            ) from error
        former, self._good = self._good, number
        self._tidy(keep={number, former})

    def probe(self) -> None:
        """Find out whether a set could be written now.

        Raises:
            NotStored: it could not.
        """
        path = self._folder / f"probe{_UNFINISHED}"
        try:
            self.disk.remove(path)
            fd = self.disk.create(path)
            try:
                self.disk.write(fd, bytes(_PROBE_BYTES))
                self.disk.sync(fd)
            finally:
                self.disk.close(fd)
            self.disk.remove(path)
        except OSError as error:
            self._forget(path)
            raise NotStored(
                f"cannot write to {self._folder}: {error.strerror or error}",
                cure="free space in it, or make it writable for the agent",
            ) from error

    def reverted(self) -> bool:
        """Whether ``gthulhu-agent revert`` was the last word, and ``resume`` has not been said since."""
        try:
            return _REVERTED in self.disk.names(self._folder)
        except OSError:
            return False

    def mark_reverted(self, reverted: bool) -> None:
        """Remember it over restarts.

        Raises:
            NotStored: it could not be remembered.
        """
        path = self._folder / _REVERTED
        try:
            self.disk.remove(path)
            if reverted:
                self.disk.close(self.disk.create(path))
            self.disk.sync_directory(self._folder)
        except OSError as error:
            raise NotStored(
                f"cannot write to {self._folder}: {error.strerror or error}",
                cure="free space in it, or make it writable for the agent",
            ) from error

    def _write(self, path: Path, held: Held) -> None:
        fd = self.disk.create(path)
        try:
            for piece in storefile.encode(held):
                self.disk.write(fd, piece)
            self.disk.sync(fd)
        except BaseException:
            self._close_quietly(fd)
            raise
        self.disk.close(fd)

    def _close_quietly(self, fd: int) -> None:
        try:
            self.disk.close(fd)
        except OSError:
            return

    def _numbered(self) -> list[tuple[int, str]]:
        names = map(_NAME.fullmatch, self.disk.names(self._folder))
        return [(int(name[2]), name[1]) for name in names if name]

    def _path(self, kind: str, number: int) -> Path:
        return self._folder / f"{kind}-{number:012}.jsonl"

    def _set_aside(self, kind: str, number: int) -> None:
        if kind != "damaged":
            try:
                self.disk.rename(self._path(kind, number), self._path("damaged", number))
            except OSError:
                return  # a read-only folder: it is found and named again at the next start

    def _sweep(self) -> None:
        for name in self.disk.names(self._folder):
            if name.startswith("desired-") and name.endswith(_UNFINISHED):
                self.disk.remove(self._folder / name)

    def _tidy(self, keep: set[int | None]) -> None:
        try:
            found = sorted(self._numbered(), reverse=True)
        except OSError:
            return
        evidence = [number for number, kind in found if kind == "damaged"][:_EVIDENCE]
        for number, kind in found:
            if number not in (keep if kind == "desired" else evidence):
                self._forget(self._path(kind, number))

    def _forget(self, path: Path) -> None:
        try:
            self.disk.remove(path)
        except OSError:
            return  # the next save tries again


def _raised(held: Held, floor: storefile.Header | None) -> Held:
    """``held``, no older than a damaged file's header says was accepted: a late push stays late."""
    if floor is None:
        return held
    return replace(held, owner=floor.owner, token=floor.token, generation=floor.generation)
