"""Keys and certificates of the settings: text, or a file that is read anew each time; shown nowhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from gthulhu_agent.errors import UsageError

MAX_BYTES = 256 * 1024
_OTHERS_WRITE = stat.S_IWOTH | stat.S_IWGRP


class SecretText:
    """What a setting holds or points to. Only :meth:`reveal` gives it; every other way of showing it is masked.

    Attributes:
        name: the setting.
        path: the file that holds it, where a file was named; it may change while the agent runs.
        private: whether others may not know it, as with a key and unlike a certificate.
    """

    __slots__ = ("_text", "name", "path", "private")

    def __init__(self, name: str, *, text: str = "", path: Path | None = None, private: bool = True) -> None:
        self.name = name
        self.path = path
        self.private = private
        self._text = text

    def reveal(self) -> str:
        """The text; of a file, as it is now.

        Raises:
            UsageError: the file cannot be read, others may write to it, or they may read what is private.
        """
        return self._text if self.path is None else read(self.path, self.name, private=self.private)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SecretText):
            return NotImplemented
        return (self.name, self.path, self.private, self._text) == (
            other.name,
            other.path,
            other.private,
            other._text,
        )

    def __hash__(self) -> int:
        return hash((self.name, self.path, self.private))

    def __repr__(self) -> str:
        return "SecretText(…)" if self.path is None else f"SecretText({str(self.path)!r})"

    __str__ = __repr__


def read(path: Path, name: str, *, private: bool) -> str:
    """The text of a file that nobody else can have planted, and where it is ``private`` nobody else can have read.

    Raises:
        UsageError: it is not so, it is no file, it is not text, or it is larger than :data:`MAX_BYTES`.
    """
    try:
        return read_bytes(path, name, private=private).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"{name}: {path} is not UTF-8 text") from error


def read_bytes(path: Path, name: str, *, private: bool) -> bytes:
    """As :func:`read`, whatever is in it."""
    try:
        # Without O_NONBLOCK a FIFO would hold the start for ever.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise UsageError(f"{name}: {path} is not a file")
            data = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{name}: {path} cannot be read: {error.strerror or error}") from error
    _check_owner(path, name, status)
    if status.st_mode & _OTHERS_WRITE or (private and status.st_mode & stat.S_IROTH):
        raise UsageError(f"{name}: {path} is open to others", cure=f"chmod {'600' if private else '644'} {path}")
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name}: {path} has more than {MAX_BYTES} bytes")
    return data


def check_folder(path: Path, name: str) -> None:
    """See that nobody else can put files into the folder ``path``.

    Raises:
        UsageError: others can, or there is no such folder.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise UsageError(f"{name}: {path} cannot be read: {error.strerror or error}") from error
    if not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{name}: {path} is no folder")
    _check_owner(path, name, status)
    if status.st_mode & _OTHERS_WRITE:
        raise UsageError(f"{name}: others may put files into {path}", cure=f"chmod go-w {path}")


def _check_owner(path: Path, name: str, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise UsageError(
            f"{name}: {path} is another user's, who may write to it whatever its mode is",
            cure=f"chown {os.geteuid()} {path}",
        )
