"""Hearing by the process connector (netlink): of every exec and rename of the host, with no word about cgroups.

For kernels without BTF and agents without CAP_BPF: CONFIG_PROC_EVENTS is enough, and before Linux 6.6 CAP_NET_ADMIN.
Forks and exits stay untold. They are most of what happens on a host, and who is forked has its parent's name, slice and
nice value; what it has from a parent that was not seen to yet, a look at the parent's children finds.

All of that is told or nothing, so a host that executes more than the agent should follow is met by hanging up: the
subscription is ended, and after a pause begun anew with the word that something was lost. That bounds the cost, and the
kernel's too.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from gthulhu_agent.discovery.events.alarm import Alarm
from gthulhu_agent.discovery.events.event import Batch, Event, Kind, Tally, Watch
from gthulhu_agent.discovery.events.procfilter import attach_filter
from gthulhu_agent.errors import EventsError

_NETLINK_CONNECTOR: Final = 11
_GROUP: Final = 1  # CN_IDX_PROC, and CN_VAL_PROC
_LISTEN, _IGNORE = 1, 2
_DONE: Final = 3  # NLMSG_DONE
_SO_RCVBUFFORCE: Final = 33
_BUFFER: Final = 1 << 21
_HEADER: Final = struct.Struct("=IHHIIIIIIHH")  # struct nlmsghdr, struct cn_msg
_BODY: Final = _HEADER.size + 16
"""Where a proc_event's union begins: after what, cpu and timestamp_ns."""
_WHAT: Final = struct.Struct("=I")
_IDS: Final = struct.Struct("=II")
KINDS: Final[Mapping[int, Kind]] = {2: Kind.EXEC, 0x200: Kind.RENAME}
"""``enum proc_cn_event`` (include/uapi/linux/cn_proc.h)."""
_CURE: Final = "run the agent in the host's network, pid and user namespaces; before Linux 6.6 with CAP_NET_ADMIN"


class Connector:
    """Implements :class:`~gthulhu_agent.discovery.events.event.Events`."""

    name = "connector"
    precise = False

    def __init__(
        self,
        *,
        at_most: int = 512,
        window: float = 0.1,
        pause: float = 0.5,
        masked: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Begin to hear.

        Args:
            at_most: events of one window; more, and it hangs up.
            window: seconds.
            pause: seconds without hearing after it hung up.
            masked: try to have the kernel leave out other kinds of events, which it can since Linux 6.6.
            clock: seconds.

        Raises:
            EventsError: this kernel has none, or does not tell this process.
        """
        self._at_most, self._window, self._pause = at_most, window, pause
        self._masked = masked
        self._clock = clock
        self._told: Counter[Kind] = Counter()
        self._lost = 0
        self._since = clock()
        self._used = 0
        with contextlib.ExitStack() as opened:
            self._socket: socket.socket | None = self._subscribe()
            opened.callback(self._end)
            try:
                self._alarm = Alarm()
                opened.callback(self._alarm.close)
                self._epoll = opened.enter_context(select.epoll())
                self._epoll.register(self._socket.fileno(), select.EPOLLIN)
                self._epoll.register(self._alarm.fileno(), select.EPOLLIN)
            except OSError as error:
                raise EventsError(f"the process connector: {error.strerror}") from error
            self._opened = opened.pop_all()

    def fileno(self) -> int:
        """Readable while events are there, and when a pause is over."""
        return self._epoll.fileno()

    def watch(self, cgroups: Mapping[int, Watch]) -> None:
        """Nothing to choose: execs and renames of the whole host are told, and no cgroups."""

    def read(self) -> Batch:
        """What is there, but no more than a window allows."""
        if self._socket is None:
            return self._resume()
        now = self._clock()
        if now - self._since >= self._window:
            self._since, self._used = now, 0
        events: list[Event] = []
        lost = 0
        while self._used < self._at_most:
            try:
                message, sender = self._socket.recvfrom(512)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise EventsError(f"the process connector: {error.strerror}") from error
                # The kernel does not say how many; it clears the mark, and later ones are told again.
                lost += 1
                continue
            self._used += 1
            if sender[0] == 0 and (event := parse(message)):
                events.append(event)
        else:
            self._hang_up()
        self._told.update(event.kind for event in events)
        self._lost += lost
        return Batch(tuple(events), lost)

    def tally(self) -> Tally:
        """What was told, and how often something was lost: the kernel does not say how much."""
        return Tally(dict(self._told), lost=self._lost)

    def close(self) -> None:
        """End the subscription."""
        self._opened.close()

    def _hang_up(self) -> None:
        if self._socket is not None:
            self._epoll.unregister(self._socket.fileno())
        self._end()
        self._alarm.set(self._pause)

    def _resume(self) -> Batch:
        if not self._epoll.poll(0):
            return Batch()
        self._alarm.silence()
        try:
            self._socket = self._subscribe()
        except EventsError:
            self._alarm.set(self._pause)
            return Batch()
        self._epoll.register(self._socket.fileno(), select.EPOLLIN)
        self._since, self._used = self._clock(), 0
        # Said only now: who looks anew from here on misses nothing between that look and the first event.
        self._lost += 1
        return Batch(lost=1)

    def _end(self) -> None:
        if self._socket is not None:
            # Kernels before 6.6 do not notice that a listener closed, and would go on making events for nobody.
            with contextlib.suppress(OSError):
                self._socket.send(_request(_IGNORE))
            self._socket.close()
            self._socket = None

    def _subscribe(self) -> socket.socket:
        try:
            connection = socket.socket(
                socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, _NETLINK_CONNECTOR
            )
        except OSError as error:
            raise EventsError(f"the process connector: {error.strerror}", "a kernel with CONFIG_CONNECTOR") from error
        try:
            self._listen(connection)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError):
                raise EventsError(f"the process connector: {error.strerror}", _CURE) from error
            raise
        return connection

    def _listen(self, connection: socket.socket) -> None:
        connection.bind((0, _GROUP))
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        attach_filter(connection, KINDS)
        if self._masked:
            mask = 0
            for what in KINDS:
                mask |= what
            connection.send(_request(_LISTEN, mask))
            if _acknowledged(connection):
                return
        # Before 6.6 a request of that length is dropped in silence.
        connection.send(_request(_LISTEN))
        if not _acknowledged(connection):
            raise EventsError("the process connector does not answer", _CURE)


def parse(message: bytes) -> Event | None:
    """One message of the connector; None for what is none of ours."""
    if len(message) < _BODY + _IDS.size:
        return None
    kind = KINDS.get(_WHAT.unpack_from(message, _HEADER.size)[0])
    if kind is None:
        return None
    tid, tgid = _IDS.unpack_from(message, _BODY)
    return Event(kind, tgid, tid)


def _acknowledged(connection: socket.socket) -> bool:
    """Whether the kernel took the request: it answers, to the whole group, before send(2) returns.

    Raises:
        OSError: what it refused it with.
    """
    for _ in range(1000):  # others' events may come first
        try:
            message, sender = connection.recvfrom(512)
        except OSError as error:
            if error.errno == errno.ENOBUFS:
                continue
            return False
        if sender[0] == 0 and len(message) >= _BODY + 4 and _WHAT.unpack_from(message, _HEADER.size)[0] == 0:
            if refused := _WHAT.unpack_from(message, _BODY)[0]:
                raise OSError(refused, os.strerror(refused))
            return True
    return False


def _request(operation: int, mask: int | None = None) -> bytes:
    body = _WHAT.pack(operation) + (b"" if mask is None else _WHAT.pack(mask))
    length = _HEADER.size + len(body)
    return _HEADER.pack(length, _DONE, 0, 0, os.getpid(), _GROUP, _GROUP, 0, 0, len(body), 0) + body
