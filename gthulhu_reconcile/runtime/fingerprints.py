"""What watched files look like from outside: enough to see that one changed, without reading any.

The kernel's notices say *that* something happened; only comparing fingerprints says *what is there now*. A directory
that git replaced, a network file system that sends no notices, or a burst that overflowed a queue end up
the same here as one saved file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

MAX_ENTRIES = 100_000
"""More than this under the watched directories is not policies; the rest is not looked at."""

_MAX_DEPTH = 32


@dataclass(frozen=True, slots=True)
class Mark:
    """One file or directory at one instant. ``changed_ns`` is its ctime, which no program can set."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True)
class Fingerprint:
    """Everything under the watched paths at one instant.

    Attributes:
        marks: by resource (``policies``, ``pods``, …), then by path; a path that is not there has no mark.
        directories: those among them, which is where the kernel has to be asked for notices.
    """

    marks: Mapping[str, Mapping[str, Mark]]
    directories: tuple[str, ...]

    def changed(self, former: Fingerprint) -> tuple[str, ...]:
        """The resources that differ, sorted."""
        names = self.marks.keys() | former.marks.keys()
        return tuple(sorted(name for name in names if self.marks.get(name) != former.marks.get(name)))

    @property
    def newest_ns(self) -> int:
        """When the last of all changes was made, in nanoseconds of the wall clock; 0 where nothing is there."""
        return self.newest_ns_of(self.marks)

    def newest_ns_of(self, resources: Iterable[str]) -> int:
        """The same for some resources."""
        return max((mark.changed_ns for name in resources for mark in self.marks[name].values()), default=0)


def take(resources: Mapping[str, Iterable[Path]]) -> Fingerprint:
    """Look at everything under ``resources``. What cannot be looked at has no mark; reading it is what will say why."""
    marks: dict[str, dict[str, Mark]] = {}
    directories: set[str] = set()
    for name, paths in resources.items():
        group = marks.setdefault(name, {})
        for path in paths:
            directories.add(str(path.parent))
            for found, status in _below(str(path)):
                group[found] = Mark(
                    status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
                )
                if stat.S_ISDIR(status.st_mode):
                    directories.add(found)
    return Fingerprint(marks, tuple(sorted(filter(_is_directory, directories))))


def _is_directory(path: str) -> bool:
    # Path.is_dir raises where a mount is stale or a directory may not be entered, before Python 3.14.
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - as above
    except (OSError, ValueError):
        return False


def _below(top: str) -> Iterator[tuple[str, os.stat_result]]:
    waiting = [(top, 0)]
    seen = 0
    while waiting and seen < MAX_ENTRIES:
        path, depth = waiting.pop()
        seen += 1
        try:
            status = os.stat(path)  # noqa: PTH116 - follows links, since what they lead to is what is read
            yield path, status
            if stat.S_ISDIR(status.st_mode) and depth < _MAX_DEPTH:
                with os.scandir(path) as entries:
                    waiting += [(entry.path, depth + 1) for entry in entries if entry.name != ".git"]
        except (OSError, ValueError):
            # ValueError: no file can have this name (a NUL in it).
            continue
