"""TLS in front of a connection: the context of the moment, so many handshakes at a time, each with its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

from gthulhu_agent.api.room import Room
from gthulhu_agent.tls import Tls

Connect = Callable[[], asyncio.Protocol]
_SHUTDOWN = 2.0
"""Seconds that a caller may take to say goodbye in TLS."""


class Handshakes:
    """The handshakes of one listener.

    asyncio's own TLS servers keep the context that they began with, and their handshakes are no connections yet, so
    that no limit counts them.
    """

    def __init__(self, tls: Tls, *, deadline: float, failed: Callable[[], None], room: Room) -> None:
        self._tls = tls
        self._room = room
        self._deadline = deadline
        self._failed = failed
        self._running: dict[asyncio.Task[None], asyncio.Transport] = {}

    def __len__(self) -> int:
        return len(self._running)

    def before(self, connect: Connect) -> asyncio.Protocol:
        """A protocol that shakes hands and then hands over to the one that ``connect`` makes."""
        return _Unproved(self, connect)

    def begin(self, transport: asyncio.Transport, connect: Connect) -> None:
        """Shake hands on a connection that was accepted."""
        task = asyncio.get_running_loop().create_task(self._shake(transport, connect))
        self._running[task] = transport
        self._room.came(task, lambda: self._send_away(task))
        task.add_done_callback(self._ended)

    def stop(self) -> None:
        """End those that run."""
        for task, transport in list(self._running.items()):
            task.cancel()
            transport.abort()

    def _send_away(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        self._running[task].abort()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._room.gone(task)
        del self._running[task]

    async def _shake(self, transport: asyncio.Transport, connect: Connect) -> None:
        waiting = _Waiting()
        try:
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                waiting,
                self._tls.context,
                server_side=True,
                ssl_handshake_timeout=self._deadline,
                ssl_shutdown_timeout=_SHUTDOWN,
            )
        except (OSError, ssl.SSLError):  # not TLS, too slow, no certificate, a wrong one, or gone
            self._failed()
            transport.abort()
            return
        if secured is not None and not waiting.lost:
            waiting.hand_over(secured, connect())


class _Unproved(asyncio.Protocol):
    """A connection that was accepted, before its handshake."""

    def __init__(self, handshakes: Handshakes, connect: Connect) -> None:
        self._handshakes = handshakes
        self._connect = connect

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's servers make these
        transport.pause_reading()  # the first bytes are for TLS, which takes over in a moment
        self._handshakes.begin(transport, self._connect)


class _Waiting(asyncio.Protocol):
    """Keeps what comes between the end of the handshake and the handing over."""

    def __init__(self) -> None:
        self.lost = False
        self._data = bytearray()
        self._ended = False

    def data_received(self, data: bytes) -> None:
        self._data += data

    def eof_received(self) -> bool:
        self._ended = True
        return True

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost = True

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Let ``protocol`` go on from here."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(bytes(self._data))
        if self._ended and not protocol.eof_received():
            transport.close()
