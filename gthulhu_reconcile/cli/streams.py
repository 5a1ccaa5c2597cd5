"""Standard streams that are closed, or whose reader goes away.

Apart from ``terminal``, which costs ``--help`` the import of rich.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import IO, BinaryIO

STANDARD = 2
"""The last of the three descriptors that every program is started with."""


def detach(stream: IO[str]) -> None:
    """Point ``stream`` to nowhere, so that neither later writes nor the flush at exit fail."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _Closed(io.RawIOBase):
    """What stands for a standard stream that the program was started without: using it is the error, not having it."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def readinto(self, _: object) -> int:
        raise self._error()

    def write(self, _: object) -> int:
        raise self._error()

    def _error(self) -> OSError:
        return OSError(f"{self.name} is closed")


def replace_closed() -> None:
    """Stand in for standard streams that are closed (``<&-``, ``>&-``), which Python gives as None.

    What would be said on a closed standard error is lost; data that nobody can read is an error.
    """
    if None not in (sys.stdin, sys.stdout, sys.stderr):
        return
    # Otherwise the next file or socket takes the descriptor, and gets what others write there.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= STANDARD:
        pass
    os.close(descriptor)
    sys.stdin = sys.stdin or _text(_Closed("standard input"))
    sys.stdout = sys.stdout or _text(_Closed("standard output"))
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - open until the end


def standard_input() -> BinaryIO | None:
    """The bytes of standard input; None where it is closed, or has none."""
    raw = getattr(sys.stdin, "buffer", None)
    return None if isinstance(raw, _Closed) else raw


def _text(raw: _Closed) -> io.TextIOWrapper:
    # Nothing is kept: what a buffer holds is written again when the interpreter ends, with a message of its own.
    return io.TextIOWrapper(raw, encoding="utf-8", write_through=True)
