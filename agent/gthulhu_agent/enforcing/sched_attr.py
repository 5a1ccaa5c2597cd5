"""sched_setattr(2) and sched_getattr(2) by thread, which neither Python nor glibc before 2.41 wraps."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeVar

NICE_MIN, NICE_MAX = -20, 19
_NUMBERS = {
    "x86_64": (314, 315),
    "i686": (351, 352),
    "armv7l": (380, 381),
    "ppc64le": (355, 356),
    "s390x": (345, 346),
    # The table that newer architectures share (include/uapi/asm-generic/unistd.h).
    "aarch64": (274, 275),
    "riscv64": (274, 275),
    "loongarch64": (274, 275),
}
_KEEP_POLICY = 0x08
_PROBE_SLICE_NS = 7_300_000
"""No kernel's default: those are 0.7, 1.4, 2.1, 2.8 or 3 ms, times what an administrator set."""

_T = TypeVar("_T")


class Policy(IntEnum):
    """Values of ``sched_policy`` (include/uapi/linux/sched.h)."""

    OTHER = 0
    FIFO = 1
    RR = 2
    BATCH = 3
    IDLE = 5
    DEADLINE = 6
    EXT = 7


FAIR = frozenset({Policy.OTHER, Policy.BATCH, Policy.EXT})
"""Policies whose threads take a nice value and a slice; for SCHED_IDLE the kernel ignores both in silence."""


@dataclass(frozen=True, slots=True)
class Attributes:
    """What the kernel says about a thread: ``slice_ns`` is 0 before Linux 6.12 and for realtime threads."""

    policy: int
    nice: int
    slice_ns: int


@dataclass(frozen=True, slots=True)
class Ability:
    """What this process can do to threads here, tried on a thread of its own rather than read off a version.

    Attributes:
        custom_slice: the kernel keeps a slice per thread (Linux 6.12 and newer).
        default_slice_ns: what a thread without one reads back; 0 where there is none.
        nice_back: a nice value that was raised can be lowered again, thus everything can be put back.
    """

    custom_slice: bool
    default_slice_ns: int
    nice_back: bool


class _Attr(ctypes.Structure):
    _fields_ = (
        ("size", ctypes.c_uint32),
        ("policy", ctypes.c_uint32),
        ("flags", ctypes.c_uint64),
        ("nice", ctypes.c_int32),
        ("priority", ctypes.c_uint32),
        ("runtime", ctypes.c_uint64),
        ("deadline", ctypes.c_uint64),
        ("period", ctypes.c_uint64),
        ("util_min", ctypes.c_uint32),
        ("util_max", ctypes.c_uint32),
    )


_SIZE = ctypes.sizeof(_Attr)
_libc = ctypes.CDLL(None, use_errno=True)
_set_number, _get_number = _NUMBERS.get(platform.machine(), (0, 0))


def read(tid: int) -> Attributes:
    """The thread's attributes; one system call of about 2 us.

    Raises:
        OSError: ESRCH where there is no such thread, ENOSYS where this architecture is not known here.
    """
    attr = _Attr()
    _call(_get_number, tid, attr, _SIZE)
    return Attributes(attr.policy, attr.nice, attr.runtime)


def write(tid: int, *, nice: int, slice_ns: int) -> None:
    """Set nice and slice of a fair thread; a slice of 0 is the kernel's default. Everything else stays as it is.

    SCHED_FLAG_KEEP_POLICY leaves policy and reset-on-fork alone, and closes a race: a thread that has become
    realtime or deadline since it was looked at is refused with EINVAL, because priority and deadline are 0 here.
    Without the flags for util clamps, those stay too. SCHED_FLAG_KEEP_PARAMS must not be given: with it the kernel
    takes no slice.

    Raises:
        OSError: EPERM, EINVAL, ESRCH, ENOSYS.
    """
    _call(_set_number, tid, _Attr(size=_SIZE, flags=_KEEP_POLICY, nice=nice, runtime=slice_ns))


def ability() -> Ability:
    """What this process can do here, tried on a short-lived thread of its own.

    Raises:
        OSError: the kernel, seccomp or this architecture refuses the calls altogether.
    """
    return _on_thread_of_its_own(_try)


def _try() -> Ability:
    nice = read(0).nice
    _call(_set_number, 0, _Attr(size=_SIZE, policy=Policy.OTHER, nice=nice))  # the agent itself may be realtime
    write(0, nice=nice, slice_ns=_PROBE_SLICE_NS)
    custom = read(0).slice_ns == _PROBE_SLICE_NS
    write(0, nice=nice, slice_ns=0)
    default = read(0).slice_ns
    return Ability(custom, default, _can_lower_nice(nice))


def _can_lower_nice(nice: int) -> bool:
    if nice >= NICE_MAX:
        nice = NICE_MAX - 1
    try:
        write(0, nice=nice + 1, slice_ns=0)
        write(0, nice=nice, slice_ns=0)
    except OSError:
        return False
    return True


def _on_thread_of_its_own(task: Callable[[], _T]) -> _T:
    results: list[_T] = []
    errors: list[OSError] = []

    def run() -> None:
        try:
            results.append(task())
        except OSError as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="gthulhu-probe", daemon=True)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _call(number: int, tid: int, attr: _Attr, *more: int) -> None:
    if not number:
        raise OSError(errno.ENOSYS, f"the system calls of {platform.machine()} are not known here")
    if (
        _libc.syscall(ctypes.c_long(number), ctypes.c_int(tid), ctypes.byref(attr), *map(ctypes.c_uint, (*more, 0)))
        != 0
    ):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
