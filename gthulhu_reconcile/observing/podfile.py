"""Pods and nodes from a file: a list of Kubernetes objects as JSON, or the YAML snapshot. ``-`` is standard input."""

from __future__ import annotations

import asyncio
import io
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import BinaryIO

import watchfiles

from gthulhu_reconcile.loading.source import whole_file
from gthulhu_reconcile.model.diagnostics import Code
from gthulhu_reconcile.observing import kubectl, snapshot
from gthulhu_reconcile.observing.pods import Event, Observation, Relisted

STDIN = "-"
_STDIN_TITLE = "<stdin>"


def load(path: str, *, stdin: BinaryIO | None = None) -> Observation:
    """What ``path`` says. A damaged, cut off or partial file is unreadable, never smaller or empty. Never raises."""
    try:
        if path == STDIN:
            return read(stdin or sys.stdin.buffer, _STDIN_TITLE)
        with Path(path).open("rb") as file:
            return read(file, path)
    except OSError as error:
        message = f"cannot be read: {error.strerror or error}"
        shown = _STDIN_TITLE if path == STDIN else path
        return Observation(unreadable=(shown,), diagnostics=(whole_file(shown, Code.UNREADABLE, message),))


def read(file: BinaryIO, title: str) -> Observation:
    """What an open file says.

    Raises:
        OSError: reading fails.
    """
    head = file.read(snapshot.MAX_BYTES + 1)
    if not head.strip():
        hint = "where there are no pods, kubectl prints a list without items"
        found = whole_file(title, Code.UNREADABLE, "is empty", hint=hint)
        return Observation(unreadable=(title,), diagnostics=(found,))
    if not head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"\xff\xfe", b"\xfe\xff")):
        return snapshot.read(head, title)
    whole = len(head) <= snapshot.MAX_BYTES
    try:
        return kubectl.read(io.BytesIO(head) if whole else _Chain(head, file), title)
    except kubectl.IsSnapshot:
        return snapshot.read(head, title)


class FileSource:
    """A :class:`~gthulhu_reconcile.observing.pods.PodSource` over a file; every change of it is a new list."""

    def __init__(self, path: str, *, stdin: BinaryIO | None = None) -> None:
        self._path = path
        self._absolute = Path(path).absolute()
        self._stdin = stdin

    @property
    def title(self) -> str:
        """The file's path."""
        return _STDIN_TITLE if self._path == STDIN else self._path

    async def list(self) -> Observation:
        """Everything that the file says now; read in a thread."""
        return await asyncio.to_thread(load, self._path, stdin=self._stdin)

    async def events(self) -> AsyncIterator[Event]:
        """A new list whenever the file was written or replaced. Standard input never changes."""
        if self._path == STDIN:
            await asyncio.Event().wait()
        path = self._absolute
        # The folder is watched, not the file: editors and atomic writers put another file in its place.
        async for changes in watchfiles.awatch(path.parent, recursive=False):
            if any(Path(changed) == path for _, changed in changes):
                yield Relisted(await self.list())


class _Chain:
    """A file whose beginning has been read already."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head: io.BytesIO | None = io.BytesIO(head)
        self._rest = rest

    def read(self, size: int, /) -> bytes:
        """The next bytes, none at the end."""
        if self._head is not None:
            piece = self._head.read(size)
            if piece:
                return piece
            self._head = None
        return self._rest.read(size)
