"""Reading ``/proc``: plain bytes in, fields out. What vanishes while it is read is None, never an error."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_FLAGS = os.O_RDONLY | os.O_CLOEXEC
_PF_KTHREAD = 0x00200000  # include/linux/sched.h
_MOST = 4096
_UNKNOWN = b"0"


class Stat(NamedTuple):
    """The fields of ``/proc/<pid>/stat`` (proc(5)) that discovery needs.

    ``image`` changes with every exec: the code's and the stack's address, as text. ``traced`` says that the kernel
    let us see them.
    """

    comm: bytes
    state: bytes
    ppid: int
    kernel: bool
    threads: int
    start: int
    image: bytes
    traced: bool


def parse_stat(line: bytes) -> Stat:
    """The fields of one stat line.

    Raises:
        ValueError: this is no stat line.
    """
    comm, rest = _split(line, 26)
    return Stat(
        comm=comm,
        state=rest[0],
        ppid=int(rest[1]),
        kernel=bool(int(rest[6]) & _PF_KTHREAD),
        threads=int(rest[17]),
        start=int(rest[19]),
        image=b"%b %b" % (rest[23], rest[25]),
        traced=rest[25] != _UNKNOWN,
    )


def parse_thread(line: bytes) -> tuple[bytes, int]:
    """Comm and start time alone, which is what a thread is known by.

    Raises:
        ValueError: this is no stat line.
    """
    comm, rest = _split(line, 20)
    return comm, int(rest[19])


def _split(line: bytes, fields: int) -> tuple[bytes, list[bytes]]:
    """comm, and as many of the fields behind it; they are counted from 1 in proc(5), the first behind comm is 3.

    comm stands in brackets, as it is, and may hold spaces, brackets and newlines itself; what follows it holds no
    bracket, so its end is the last closing one.
    """
    opened, closed = line.find(b"("), line.rfind(b")")
    rest = line[closed + 2 :].split(b" ", fields)
    if opened < 0 or closed < opened or len(rest) < fields:
        raise ValueError("not a line of /proc/<pid>/stat")
    return line[opened + 1 : closed], rest


def text(name: bytes) -> str:
    """A comm or an argv[0] as text; bytes that are no UTF-8 become U+FFFD, so that any pattern can be tried on it."""
    return name.decode(errors="replace")


def first_argument(cmdline: bytes) -> str:
    """argv[0]: up to the first NUL, at most 4096 bytes of it."""
    return text(cmdline.partition(b"\0")[0])


def read(path: str, directory: int | None = None, most: int = _MOST) -> bytes | None:
    """The first ``most`` bytes of a file; None where it vanished.

    Raises:
        OSError: it is there and cannot be read.
    """
    try:
        file = os.open(path, _FLAGS, dir_fd=directory)
    except (FileNotFoundError, ProcessLookupError):
        return None
    try:
        return os.read(file, most)
    except ProcessLookupError:
        return None
    finally:
        os.close(file)


def numbers_in(directory: int | str) -> list[int]:
    """Those names in a directory that are numbers (pids or tids), sorted; none where it vanished.

    Raises:
        OSError: it is there and cannot be listed.
    """
    try:
        names = os.listdir(directory)  # noqa: PTH208 - a Path cannot list a descriptor
    except (FileNotFoundError, ProcessLookupError):
        return []
    return sorted(int(name) for name in names if name.isdecimal())


@contextmanager
def opened(path: str, directory: int | None = None) -> Iterator[int | None]:
    """A directory's descriptor; None where it vanished.

    What is reached through the descriptor of ``/proc/<pid>`` is of that process or fails: the number's next owner
    has another directory.

    Raises:
        OSError: it is there and cannot be opened.
    """
    try:
        descriptor = os.open(path, _FLAGS | os.O_DIRECTORY, dir_fd=directory)
    except (FileNotFoundError, ProcessLookupError):
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)
