"""Programs of the agent that are killed at one of the points where they write to their state folder.

As a program of its own it has everything imported and forks a child for each line of JSON that it reads: the
``arguments`` of ``gthulhu-agent``, its ``environment``, the ``folder`` that is watched, the files that ``errors`` and a
``log`` of every write point go to, and the number of the point ``at`` which the child kills itself; null for none. It
answers with the child's pid, and a line ``{"wait": pid}`` with its exit code. Nothing that the agent writes through
Python is left out: the functions of ``os`` that change a folder or a file, and the files that ``open`` gives.
"""

from __future__ import annotations

import builtins
import ctypes
import io
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn, Self

_write, _readlink, _open = os.write, os.readlink, os.open
_PR_SET_PDEATHSIG = 1
_WRITES = os.O_CREAT | os.O_TRUNC
_BY_PATH = ("rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "chmod", "truncate")
_BY_FD = ("pwrite", "ftruncate", "fsync", "fdatasync", "fchmod")


class Points:
    """Counts the write points below ``folder``, tells each, and ends this process before number ``at``."""

    def __init__(self, folder: str, log: int, at: int | None) -> None:
        self._folder = os.path.realpath(folder)
        self._log = log
        self._at = at
        self._count = 0
        self._lock = threading.Lock()

    def passed(self, what: str, path: str | None) -> None:
        """One more, where ``path`` is watched."""
        if path is None:
            return
        with self._lock:
            number, self._count = self._count, self._count + 1
            _write(self._log, f"{what} {path}\n".encode())
            if number == self._at:
                os.kill(os.getpid(), signal.SIGKILL)

    def watched(self, what: Any) -> str | None:  # noqa: ANN401 - a path or a descriptor, as os takes them
        """The part of a path below the folder; None where it is elsewhere."""
        try:
            path = (
                _readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.path.abspath(os.fsdecode(what))  # noqa: PTH100 - a link is what is changed, not its target
            )
        except OSError:
            return None
        return os.path.relpath(path, self._folder) if f"{path}/".startswith(f"{self._folder}/") else None


class Written:
    """A file that was opened for writing: each write is two points, for a death may come between the bytes."""

    def __init__(self, file: Any, points: Points, path: str) -> None:  # noqa: ANN401 - whatever open gave
        self._file = file
        self._points = points
        self._path = path

    def write(self, data: Any) -> int:  # noqa: ANN401 - text or bytes
        """As the file does, in two halves that reach the kernel."""
        half = len(data) // 2
        for piece in (data[:half], data[half:]):
            self._points.passed("write", self._path)
            self._file.write(piece)
            self._file.flush()
        return len(data)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the file's
        return getattr(self._file, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


def watch(points: Points) -> None:
    """Let everything of this process that writes pass ``points``."""
    for name in _BY_PATH:
        setattr(os, name, _by_path(points, name, getattr(os, name)))
    for name in _BY_FD:
        setattr(os, name, _by_path(points, name, getattr(os, name)))

    def open_(path: Any, flags: int, *more: Any, **named: Any) -> int:  # noqa: ANN401 - as os.open
        points.passed("create", points.watched(path) if flags & _WRITES else None)
        return _open(path, flags, *more, **named)

    def write(fd: int, data: Any) -> int:  # noqa: ANN401 - as os.write
        path = points.watched(fd)
        if path is None:
            return _write(fd, data)
        view = memoryview(data)
        points.passed("write", path)
        done = _write(fd, view[: len(view) // 2])
        points.passed("write", path)
        return done + _write(fd, view[done:])

    os.open = open_
    os.write = write
    real = builtins.open

    def opened(file: Any, mode: str = "r", *more: Any, **named: Any) -> Any:  # noqa: ANN401 - as open
        path = points.watched(file) if set(mode) & set("wax+") else None
        if path is None:
            return real(file, mode, *more, **named)
        points.passed("open", path)
        return Written(real(file, mode, *more, **named), points, path)

    builtins.open = io.open = opened  # pathlib's and os.fdopen's too


def _by_path(points: Points, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - as the function takes them
        found = [path for path in map(points.watched, arguments[:2]) if path is not None]
        points.passed(name, found[-1] if found else None)
        return real(*arguments, **named)

    return call


def _child(order: dict[str, Any]) -> NoReturn:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # a test that fails leaves no agent behind
    errors = _open(order["errors"], os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
    os.dup2(errors, 2)
    os.dup2(errors, 1)
    os.environ.update(order["environment"])
    log = _open(order["log"], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600)
    watch(Points(order["folder"], log, order["at"]))
    code: Any = 1
    try:
        from gthulhu_agent.cli import main  # noqa: PLC0415 - imported already, before the fork

        main(order["arguments"])
    except SystemExit as end:
        code = end.code
    except BaseException:  # noqa: BLE001 - a child of a fork must not go on as its parent
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)


def main() -> None:
    """Fork a child for each order."""
    from gthulhu_agent import lean  # noqa: PLC0415 - only where this is the program

    lean.import_logging()
    import gthulhu_agent.logs  # noqa: PLC0415 - once, not in every child
    import gthulhu_agent.reverting  # noqa: PLC0415
    import gthulhu_agent.service  # noqa: F401, PLC0415

    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1])
        else:
            answer = os.fork()
            if answer == 0:
                _child(order)
        sys.stdout.write(f"{answer}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
