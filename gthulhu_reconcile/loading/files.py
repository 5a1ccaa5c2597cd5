"""Reading files that other people wrote: bounded, never through a link that leaves the tree, never half in silence.

What cannot be read is said with code ``unreadable`` or ``too-large``; a reader that is told so knows less than there
is, and must not take what is absent for removed.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from gthulhu_reconcile.loading.source import whole_file
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic

STDIN = "-"
SUFFIXES = (".yaml", ".yml", ".json")
_MAX_SHOWN_BYTES = 1024


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """What all files of one run may cost together.

    Attributes:
        file_bytes: size of one file.
        bytes: size of all.
        files: how many are read.
        entries: how many names in directories are looked at.
    """

    file_bytes: int = 1 << 20
    bytes: int = 8 << 20
    files: int = 2_000
    entries: int = 50_000


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one file; ``path`` as shown to people."""

    path: str
    data: bytes


DEFAULT_LIMITS = ReadLimits()


def shown_path(path: str | os.PathLike[str]) -> str:
    """A path as messages and policies show it: relative to the working directory where it is inside of it.

    What a terminal or the wire could not take is escaped.
    """
    absolute = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links, which shows another name
    try:
        text = str(absolute.relative_to(Path.cwd()))
    except (ValueError, OSError):
        text = str(absolute)
    safe = os.fsencode(text).decode("utf-8", "backslashreplace")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in safe)


def read_file(
    path: str, *, limit: int = DEFAULT_LIMITS.file_bytes, stdin: BinaryIO | None = None
) -> Content | Diagnostic:
    """One file, or standard input for ``-``; what stands in the way, as a value."""
    if path == STDIN:
        return _read_stdin(stdin, limit)
    shown = shown_path(path)
    try:
        return _read(path, shown, limit)
    except (OSError, ValueError) as error:
        return _unreadable(shown, _reason(error))


def read_all(
    paths: Sequence[str], *, stdin: BinaryIO | None = None, limits: ReadLimits = DEFAULT_LIMITS
) -> Iterator[Content | Diagnostic]:
    """Files, directories with all YAML and JSON files below them, and standard input, one after the other.

    In directories, names are taken in order, those that begin with a dot are left out, and a file that two names
    lead to is read once.
    """
    seen: set[tuple[int, int]] = set()
    total = count = 0
    for found in _found(paths, limits):
        if isinstance(found, Diagnostic):
            yield found
            continue
        path, shown = found
        if count >= limits.files:
            yield whole_file(shown, Code.TOO_LARGE, f"is one file too many; at most {limits.files:,} are read")
            return
        content = _read_once(path, shown, limits, seen, stdin)
        if content is None:
            continue
        count += 1
        if isinstance(content, Content):
            total += len(content.data)
            if total > limits.bytes:
                message = f"brings all files together above {limits.bytes:,} bytes"
                yield whole_file(shown, Code.TOO_LARGE, message)
                return
        yield content


def _read_once(
    path: str, shown: str, limits: ReadLimits, seen: set[tuple[int, int]], stdin: BinaryIO | None
) -> Content | Diagnostic | None:
    if path == STDIN:
        return _read_stdin(stdin, limits.file_bytes)
    try:
        status = os.stat(path)  # noqa: PTH116 - paths are text here, which need not be UTF-8
        if (status.st_dev, status.st_ino) in seen:
            return None
        seen.add((status.st_dev, status.st_ino))
        return _read(path, shown, limits.file_bytes)
    except (OSError, ValueError) as error:
        return _unreadable(shown, _reason(error))


def _found(paths: Sequence[str], limits: ReadLimits) -> Iterator[tuple[str, str] | Diagnostic]:
    budget = [limits.entries]
    for path in paths:
        if path == STDIN:
            yield STDIN, "<stdin>"
            continue
        try:
            is_directory = stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116 - as above
        except (OSError, ValueError) as error:
            yield _unreadable(shown_path(path), _reason(error))
            continue
        if is_directory:
            yield from _walk(path, os.path.realpath(path), budget, set())
        else:
            yield path, shown_path(path)


def _walk(directory: str, root: str, budget: list[int], entered: set[str]) -> Iterator[tuple[str, str] | Diagnostic]:
    real = os.path.realpath(directory)
    if real in entered:
        return
    entered.add(real)
    try:
        with os.scandir(directory) as entries:
            names = sorted(entry.name for entry, _ in zip(entries, range(budget[0] + 1), strict=False))
    except OSError as error:
        yield _unreadable(shown_path(directory), _reason(error))
        return
    budget[0] -= len(names)
    if budget[0] < 0:
        yield whole_file(shown_path(directory), Code.TOO_LARGE, "has more entries than are looked at")
        return
    for name in names:
        if not name.startswith("."):
            yield from _entry(os.path.join(directory, name), root, budget, entered)  # noqa: PTH118 - as above


def _entry(path: str, root: str, budget: list[int], entered: set[str]) -> Iterator[tuple[str, str] | Diagnostic]:
    wanted = path.lower().endswith(SUFFIXES)
    try:
        real = os.path.realpath(path, strict=True)
        mode = os.stat(real).st_mode  # noqa: PTH116 - as above
    except (OSError, ValueError) as error:
        # A dangling link, a loop, or an entry that vanished: only what could have been a policy is missed.
        if wanted:
            yield _unreadable(shown_path(path), _reason(error))
        return
    inside = real == root or real.startswith(root.rstrip("/") + "/")
    if stat.S_ISDIR(mode):
        if inside:
            yield from _walk(path, root, budget, entered)
        else:
            yield _unreadable(shown_path(path), "is a link that leaves the directory")
    elif wanted:
        shown = shown_path(path)
        if not inside:
            yield _unreadable(shown, "is a link that leaves the directory")
        elif len(shown.encode()) > _MAX_SHOWN_BYTES:
            yield _unreadable(f"…{shown[-_MAX_SHOWN_BYTES // 8 :]}", "has a path too long to be shown")
        else:
            yield real, shown


def _read(path: str, shown: str, limit: int) -> Content | Diagnostic:
    # Not blocking, so that a FIFO without a writer cannot hold us; what is opened is judged, not what was listed.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    with open(descriptor, "rb", closefd=True) as stream:  # noqa: PTH123 - from a descriptor
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not (stat.S_ISFIFO(mode) and path.startswith("/dev/fd/")):
            return _unreadable(shown, "is a directory" if stat.S_ISDIR(mode) else "is no regular file")
        os.set_blocking(descriptor, True)
        return _bounded(stream, shown, limit)


def _read_stdin(stdin: BinaryIO | None, limit: int) -> Content | Diagnostic:
    if stdin is None:
        return _unreadable("<stdin>", "is not open")
    try:
        return _bounded(stdin, "<stdin>", limit)
    except (OSError, ValueError) as error:
        return _unreadable("<stdin>", _reason(error))


def _bounded(stream: BinaryIO, shown: str, limit: int) -> Content | Diagnostic:
    data = stream.read(limit + 1)
    if len(data) > limit:
        return whole_file(shown, Code.TOO_LARGE, f"is larger than {limit:,} bytes", hint="split it into several files")
    return Content(shown, data)


def _unreadable(shown: str, reason: str) -> Diagnostic:
    return whole_file(shown, Code.UNREADABLE, reason, hint="what cannot be read is not taken for empty")


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno is not None:
        known = {
            errno.ENOENT: "does not exist",
            errno.EACCES: "may not be read by this user",
            errno.EPERM: "may not be read by this user",
            errno.ELOOP: "is a link that leads to itself",
            errno.ENXIO: "is no regular file",
        }
        return known.get(error.errno, f"cannot be read: {os.strerror(error.errno).lower()}")
    return "has a name that no file can have"
