"""The system's libbpf: found, asked for its version, and made to speak in errors instead of on stderr."""

from __future__ import annotations

import ctypes
import os
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Final

from gthulhu_agent.bpf.bindings import PrintCallback, declare
from gthulhu_agent.errors import BpfError

SONAME: Final = "libbpf.so.1"
OLDEST: Final = (1, 1, 0)
"""Debian 12 has 1.1.2."""
_INSTALL: Final = "install Debian's libbpf1, or another distribution's libbpf, 1.1 or newer"
_DEBUG: Final = 2
_LINE: Final = 4096
_LINES: Final = 40
_RELEASE: Final = re.compile(r"\.so\.(\d+)\.(\d+)\.(\d+)$")

Version = tuple[int, int, int]


class Libbpf:
    """The library, with its functions under their own names in ``call``.

    One thread at a time: what it says is collected for the call that is under way.

    Attributes:
        version: major, minor, patch; the library itself tells no patch, so it comes from the file's name where that
            has one, and is 0 otherwise.
    """

    def __init__(self, soname: str = SONAME) -> None:
        """Load the library.

        Args:
            soname: another name or a path, as dlopen(3) takes it.

        Raises:
            BpfError: there is none, or it is too old.
        """
        try:
            self.call: Any = ctypes.CDLL(soname, use_errno=True)
            declare(self.call)
        except OSError as error:
            raise BpfError(f"{soname} cannot be loaded: {error}", _INSTALL) from error
        except AttributeError as error:
            raise BpfError(f"{soname} is too old: {error}", _INSTALL) from error
        self.version = self._version()
        self.require(OLDEST, "the agent's programs")
        said, listener = _listener()
        self._said = said
        self.call.libbpf_set_print(listener)

    def require(self, oldest: Version, what: str) -> None:
        """Refuse a library that is older.

        Args:
            oldest: that will do.
            what: needs it, for the message.

        Raises:
            BpfError: with both versions.
        """
        if self.version < oldest:
            need, have = (".".join(map(str, version)) for version in (oldest, self.version))
            raise BpfError(f"{what}: needs libbpf {need} or newer, here is {have}", _INSTALL)

    @contextmanager
    def doing(self, what: str, cure: str = "") -> Iterator[None]:
        """Name what is done, for the error that a failed :meth:`check` becomes, with the last words of the library.

        ``cure`` is for when it is known; else it goes by the number of the error.
        """
        self._said.clear()
        try:
            yield
        except OSError as error:
            raise BpfError(f"{what}: {error.strerror}", cure or _cure(error), tuple(self._said)) from error

    def check(self, pointer_or_ok: Any) -> Any:  # noqa: ANN401 - what a foreign function returns
        """Pass on what is not false.

        Raises:
            OSError: of the call before, for :meth:`doing` to translate.
        """
        if not pointer_or_ok:
            number = ctypes.get_errno()
            # libbpf's own numbers begin at 4000 and have no text in libc.
            text = ctypes.create_string_buffer(_LINE)
            self.call.libbpf_strerror(number, text, _LINE)
            raise OSError(number, text.value.decode(errors="replace"))
        return pointer_or_ok

    def _version(self) -> Version:
        major, minor = int(self.call.libbpf_major_version()), int(self.call.libbpf_minor_version())
        for path in _mapped("libbpf.so"):
            found = _RELEASE.search(os.path.realpath(path))
            if found and (int(found[1]), int(found[2])) == (major, minor):
                return major, minor, int(found[3])
        return major, minor, 0


@cache
def _listener() -> tuple[deque[str], Any]:
    """What hears the library, and what it heard.

    One for the process and never freed: libbpf holds its address and no reference, and talks whenever anybody closes
    anything.
    """
    vsnprintf = ctypes.CDLL(None).vsnprintf
    vsnprintf.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    vsnprintf.restype = ctypes.c_int
    said: deque[str] = deque(maxlen=_LINES)

    def listen(level: int, form: int, arguments: int) -> int:
        # A va_list is passed as an address on every 64-bit ABI that Linux has BPF for.
        if level < _DEBUG:
            buffer = ctypes.create_string_buffer(_LINE)
            vsnprintf(buffer, _LINE, form, arguments)
            said.extend(line for line in buffer.value.decode(errors="replace").splitlines() if line.strip())
        return 0

    return said, PrintCallback(listen)


def _cure(error: OSError) -> str:
    match error.errno:
        case 1 | 13:
            return "give the agent CAP_BPF and CAP_PERFMON (or run it as root), and no seccomp filter on bpf(2)"
        case 2 | 3 | 22:
            return "a kernel with BTF (CONFIG_DEBUG_INFO_BTF=y) and BPF tracing (CONFIG_BPF_EVENTS=y), 5.8 or newer"
        case 12:
            return "more memory for the agent's cgroup; before Linux 5.11 also LimitMEMLOCK=infinity"
        case _:
            return "libbpf's words say what is wrong; with events=connector the agent does without it"


def _mapped(name: str) -> Iterator[str]:
    try:
        with Path("/proc/self/maps").open() as maps:
            for line in maps:
                path = line.rstrip("\n").partition("/")[2]
                if name in path:
                    yield f"/{path}"
    except OSError:
        return
