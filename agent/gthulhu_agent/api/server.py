"""The HTTP server: so many connections, each closed in time, each error in JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog
from aiohttp import web

from gthulhu_agent.api.answers import FAULT, of_refusal
from gthulhu_agent.api.handshaking import Handshakes
from gthulhu_agent.api.listener import BACKLOG, Listener
from gthulhu_agent.api.room import Room
from gthulhu_agent.api.serving import Serving
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.tls import Tls
from gthulhu_wire.refusals import Refusal

_TURNS = 20
"""Of the loop, in which what has come already is read and becomes a request: a handshake's last flight comes first."""
_CUT = 0.1
"""Seconds in which a request that outlived the drain is told so, before it is cut off."""
_LINGER = 1.0
"""Seconds in which what is left of a refused body is read away, so that the caller sees the refusal, not a reset."""

_log = structlog.stdlib.get_logger("gthulhu_agent.api")


class Connection(web.RequestHandler):
    """aiohttp's connection, with errors before any handler (what is not HTTP) answered like all others."""

    __slots__ = ("lost", "metrics", "open", "room")
    metrics: Metrics
    room: Room
    open: set[Connection]
    lost: asyncio.Event

    @property
    def unsent(self) -> bool:
        """Whether its caller has not taken all of an answer."""
        transport = self.transport
        return isinstance(transport, asyncio.WriteTransport) and transport.get_write_buffer_size() > 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It waits for a request from now on."""
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's servers make these
        self.room.came(self, transport.abort)
        self.open.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It waits no more."""
        self.room.gone(self)
        self.open.discard(self)
        self.lost.set()
        super().connection_lost(exc)

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """Answer in JSON and close; a malformed request is the caller's fault and no news for the log."""
        malformed = status < 500  # noqa: PLR2004 - HTTP
        if malformed:
            self.metrics.rejected("malformed")
            _log.debug("not HTTP", peer=request.remote, problem=message)
        else:
            _log.error("a connection failed", exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("part of an answer is sent already")
        answer = (
            of_refusal(
                Refusal.BAD_REQUEST,
                "this is not HTTP as RFC 9112 has it, or its headers are too large",
                "speak HTTP/1.1, or TLS where the listener has it, with lines of at most 8,190 bytes",
            )
            if malformed
            else of_refusal(Refusal.INTERNAL, *FAULT)
        )
        headers = {"Content-Type": answer.content_type, "Server": "gthulhu-agent"}
        assert isinstance(answer.body, bytes)  # noqa: S101 - of_refusal makes no streams
        response = web.Response(status=answer.status, body=answer.body, headers=headers)
        response.force_close()
        return response


class _Full(asyncio.Protocol):
    """A connection above the cap: an answer at once, and the end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        answer = of_refusal(Refusal.BUSY, "as many connections as max_connections allows are open", "try again later")
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's servers make these
        assert isinstance(answer.body, bytes)  # noqa: S101 - of_refusal makes no streams
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
            f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + answer.body)
        transport.close()


class _Dropped(asyncio.Protocol):
    """A connection above the cap that would need a handshake first: the end."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - asyncio's servers make these
        transport.abort()


class ApiServer:
    """Serves on one :class:`Listener` until :meth:`stop`, over TLS where it is given one."""

    def __init__(
        self,
        serving: Serving,
        metrics: Metrics,
        *,
        max_connections: int,
        headers_deadline: float,
        tls: Tls | None = None,
    ) -> None:
        self._server = web.Server(serving)
        self._serving = serving
        self._room = serving.room
        self._metrics = metrics
        self._max_connections = max_connections
        self._headers_deadline = headers_deadline
        self._servers: Sequence[asyncio.Server] = ()
        self._open: set[Connection] = set()
        self._handshakes: Handshakes | None = None
        if tls is not None:
            self._handshakes = Handshakes(
                tls, deadline=headers_deadline, failed=lambda: self._metrics.rejected("handshake"), room=self._room
            )

    async def start(self, listener: Listener) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        if listener.path is None:
            self._servers = [
                await loop.create_server(self._accept, sock=one, backlog=BACKLOG) for one in listener.sockets
            ]
        else:
            self._servers = [await loop.create_unix_server(self._accept, sock=listener.sockets[0], backlog=BACKLOG)]

    def renew(self) -> None:
        """Close each connection, after the request that runs on it: the next one begins with a handshake.

        A handshake that runs would end by what held when it began, and its connection would stay: it is given up.
        What never shook hands, on a Unix socket as a rule, goes on.
        """
        if self._handshakes is None:
            return
        self._handshakes.stop()
        for connection in self._server.connections:
            self._serving.end(connection)

    async def stop(self, drain: float) -> None:
        """Accept no more, let requests whose headers have come be answered within ``drain`` seconds, and close."""
        for server in self._servers:
            server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        if self._handshakes is not None:
            self._handshakes.stop()
        waited_for = [one for one in self._open if one in self._serving.busy or one.unsent]
        for connection in self._server.connections:
            self._serving.end(connection)
        with suppress(TimeoutError):
            async with asyncio.timeout(drain):
                for connection in waited_for:
                    await connection.lost.wait()
        await self._server.shutdown(_CUT)

    def _accept(self) -> asyncio.Protocol:
        shaking = 0 if self._handshakes is None else len(self._handshakes)
        if len(self._server.connections) + shaking >= self._max_connections:
            made = self._room.make()
            self._metrics.rejected("slow" if made else "full")
            if not made:
                return _Full() if self._handshakes is None else _Dropped()
        return self._connect() if self._handshakes is None else self._handshakes.before(self._connect)

    def _connect(self) -> asyncio.Protocol:
        connection = Connection(
            self._server,
            loop=asyncio.get_running_loop(),
            # aiohttp's name for two things: how long a request's headers may take, and silence between requests.
            keepalive_timeout=self._headers_deadline,
            lingering_time=_LINGER,
            access_log=None,  # type: ignore[arg-type] # None is documented: no access log
            auto_decompress=False,
        )
        connection.metrics = self._metrics
        connection.room = self._room
        connection.open = self._open
        connection.lost = asyncio.Event()
        return connection
