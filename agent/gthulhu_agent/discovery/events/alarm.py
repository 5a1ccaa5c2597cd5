"""One instant that makes a descriptor readable: timerfd(2), which Python wraps from 3.13 on."""

from __future__ import annotations

import ctypes
import os
import time
from typing import Final

_NONBLOCK_CLOEXEC: Final = os.O_NONBLOCK | os.O_CLOEXEC
_libc = ctypes.CDLL(None, use_errno=True)


class _Times(ctypes.Structure):  # struct itimerspec
    _fields_ = (
        ("every_s", ctypes.c_long),
        ("every_ns", ctypes.c_long),
        ("in_s", ctypes.c_long),
        ("in_ns", ctypes.c_long),
    )


class Alarm:
    """Readable from the instant that it was set to until it is silenced or set again."""

    def __init__(self) -> None:
        """Make it.

        Raises:
            OSError: as timerfd_create(2).
        """
        self._fd = _checked(_libc.timerfd_create(time.CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC))

    def fileno(self) -> int:
        """For poll, select, epoll."""
        return self._fd

    def set(self, seconds: float) -> None:
        """Ring once, ``seconds`` from now; at once where that is not after now.

        Raises:
            OSError: as timerfd_settime(2).
        """
        whole, rest = divmod(max(int(seconds * 1e9), 1), 1_000_000_000)  # zero would switch it off
        self._settle(_Times(0, 0, whole, rest))

    def silence(self) -> None:
        """Do not ring, or no longer."""
        self._settle(_Times())

    def close(self) -> None:
        """Let go of the descriptor; again is nothing."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _settle(self, times: _Times) -> None:
        _checked(_libc.timerfd_settime(self._fd, 0, ctypes.byref(times), None))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
