"""A filter on the process connector's socket, so that kinds of events that nobody asked for wake nobody.

Kernels before 6.6 send every kind to every listener; a classic BPF program on the socket drops them in the kernel.
"""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Collection
from typing import Final

_SO_ATTACH_FILTER: Final = 26
_WHAT_AT: Final = 36  # behind struct nlmsghdr and struct cn_msg
_LOAD_WORD, _JUMP_EQUAL, _RETURN = 0x20, 0x15, 0x06  # BPF_LD|BPF_W|BPF_ABS, BPF_JMP|BPF_JEQ|BPF_K, BPF_RET|BPF_K
_ACKNOWLEDGEMENT: Final = 0
_ALL: Final = 0xFFFFFFFF


def attach_filter(connection: socket.socket, wanted: Collection[int]) -> None:
    """Let these kinds (``enum proc_cn_event``) and the acknowledgement of a request through, and nothing else.

    Raises:
        OSError: as setsockopt(2).
    """
    program = b"".join(struct.pack("=HBBI", *line) for line in _program((_ACKNOWLEDGEMENT, *wanted)))
    lines = ctypes.create_string_buffer(program, len(program))
    connection.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program) // 8, ctypes.addressof(lines))
    )


def _program(wanted: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    # BPF_LD reads as the network writes, and these messages are in the machine's order.
    compare = [
        (_JUMP_EQUAL, len(wanted) - index, 0, socket.htonl(what)) for index, what in enumerate(wanted)
    ]  # where equal, to the last line
    return [(_LOAD_WORD, 0, 0, _WHAT_AT), *compare, (_RETURN, 0, 0, 0), (_RETURN, 0, 0, _ALL)]
