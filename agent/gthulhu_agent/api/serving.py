"""From an HTTP request to an answer: who may call, what exists, how much and how long. Handlers come after all that."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from gthulhu_agent.agent import Refused
from gthulhu_agent.api import webpages
from gthulhu_agent.api.answers import FAULT, Answer
from gthulhu_agent.api.arriving import Arriving, Part
from gthulhu_agent.api.bodies import TOO_LARGE_CURE
from gthulhu_agent.api.callers import PROVE, Callers, NotLoggedIn, Shown
from gthulhu_agent.api.calls import Call, Family, Handler, Route
from gthulhu_agent.api.room import Room
from gthulhu_agent.callers import Access, Caller
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.tls.identity import identity, names
from gthulhu_wire.refusals import Refusal

OTHER = "other"
"""The route of calls to what does not exist, so that a scanner cannot grow the metrics."""
_log = structlog.stdlib.get_logger("gthulhu_agent.api")


@dataclass(frozen=True, slots=True)
class Guards:
    """Who may call, and how long it may take.

    Attributes:
        check_host: refuse names that are not loopback's: a web page can make a browser on this machine call a name
            that it has pointed here.
        body_deadline: seconds.
        answer_deadline: seconds.
    """

    callers: Callers
    check_host: bool
    body_deadline: float
    answer_deadline: float


@dataclass(frozen=True, slots=True)
class _Peer:
    """The other end of a connection: its address, '' on a Unix socket, and its certificate's identity."""

    address: str
    certificate: str | None


class Serving:
    """The one request handler of a listener: the first of ``families`` that owns a path answers, the last owns all."""

    def __init__(self, families: Sequence[Family], guards: Guards, metrics: Metrics) -> None:
        self._families = [
            (family, [(route, route.pattern, family.handlers[route.operation]) for route in family.routes])
            for family in families
        ]
        self._guards = guards
        self._metrics = metrics
        self.room = Room()
        self._arriving = Arriving()
        self.busy: set[web.RequestHandler] = set()
        """Connections whose request is not answered yet."""
        self._last: set[web.RequestHandler] = set()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer ``request``, errors as its family puts them, and see that the answer gets away."""
        self.busy.add(request.protocol)
        try:
            return await self._serve(request)
        finally:
            self.busy.discard(request.protocol)
            if request.protocol in self._last:
                self._last.discard(request.protocol)
                request.protocol.close()  # an answer that had begun before says nothing of an end

    def end(self, connection: web.RequestHandler) -> None:
        """Close ``connection`` once the request that runs on it is answered; at once where none runs.

        Not by its own ``close()``: that throws away the rest of a body that is on its way, and leaves a caller who
        waits for nothing waiting.
        """
        if connection in self.busy:
            self._last.add(connection)
        else:
            connection.force_close()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        started = time.monotonic()
        found = self._find(request)
        try:
            answer = await self._answer(request, found)
        except Refused as refused:
            answer = found.family.refuse(refused, found.allowed)
        except (ConnectionError, RequestPayloadError):
            answer = found.family.refuse(
                Refused(
                    Refusal.BAD_REQUEST,
                    "the body broke off, or its chunks are not HTTP",
                    "send it whole, with its length",
                ),
                found.allowed,
            )
        except Exception:  # noqa: BLE001 - the last line: whatever it was, the caller gets an answer and the log the rest
            _log.exception("a call failed", method=request.method, path=request.path[:200])
            answer = found.family.refuse(Refused(Refusal.INTERNAL, *FAULT), found.allowed)
        label = OTHER if found.route is None else found.route.path
        self._metrics.call(label, found.method, answer.status, time.monotonic() - started)
        answer = webpages.readable(answer, request.headers.get("Origin"), found.family.cors)
        return await _send(request, answer, self._guards.answer_deadline, last=request.protocol in self._last)

    def _find(self, request: web.BaseRequest) -> _Found:
        path = request.rel_url.raw_path
        family, routes = next(entry for entry in self._families if entry[0].owns(path))
        method = "GET" if request.method == "HEAD" and family.head else request.method
        matches = [
            (route, match.groupdict(), handler)
            for route, pattern, handler in routes
            if (match := pattern.fullmatch(path))
        ]
        for route, parameters, handler in matches:
            if route.method == method:
                return _Found(family, method, route, parameters, handler)
        return _Found(family, method if matches else OTHER, allowed=tuple(route.method for route, _, _ in matches))

    async def _answer(self, request: web.BaseRequest, found: _Found) -> Answer:
        self._check_place(request, found.family)
        if request.method == "OPTIONS" and found.family.cors:
            return Answer(200, b"", headers=webpages.PREFLIGHT)
        peer = _peer(request, self._guards.callers.clients)
        caller = await self._check_caller(request, found, peer)
        route, handler = found.route, found.handler
        if route is None or handler is None:
            if found.allowed:
                raise Refused(
                    Refusal.METHOD_NOT_ALLOWED,
                    f"{request.method[:20]!r} is nothing that this path takes",
                    f"use {' or '.join(found.allowed)}",
                )
            raise Refused(Refusal.NOT_FOUND, "there is no such path", "/v1/openapi.json lists them all")
        call = Call(
            query=_query(request, route),
            parameters=found.parameters,
            accept=request.headers.get("Accept", ""),
            caller=caller,
            peer=peer.address,
            certificate=peer.certificate,
            content_type=request.headers.get("Content-Type", ""),
        )
        with self._arriving.body() as part:
            call = replace(call, body=await read_body(request, route.limit, self._guards.body_deadline, part))
            with self.room.working(request.protocol):
                return await handler(call)

    def _check_place(self, request: web.BaseRequest, family: Family) -> None:
        origin = request.headers.get("Origin")
        if origin is not None and not webpages.may_call(origin, family.cors):
            raise Refused(
                Refusal.FORBIDDEN, "calls from web pages are not taken", "call from a program, which sends no Origin"
            )
        if self._guards.check_host and not webpages.calls_loopback(request.headers.get("Host", "")):
            raise Refused(
                Refusal.FORBIDDEN,
                "the Host of this call is not this machine's loopback address",
                "call 127.0.0.1, [::1] or localhost",
            )

    async def _check_caller(self, request: web.BaseRequest, found: _Found, peer: _Peer) -> Caller | None:
        wanted = found.family.unknown if found.route is None else found.route.access
        shown = Shown(request.headers.getall("Authorization", []), peer.certificate)
        caller = await self._guards.callers.identify(shown)
        if isinstance(caller, Caller):
            if caller.access < wanted:
                raise Refused(
                    Refusal.FORBIDDEN,
                    "this login proves no possession of a key, and gives the Decision Maker's API alone",
                    PROVE,
                )
            return caller
        if wanted > Access.OPEN:
            raise NotLoggedIn(caller, f"this agent asks for a login: {caller.reason}", "docs/login.md has the ways in")
        return None


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a request leads: a family and a route, or none, and then which methods its path would take."""

    family: Family
    method: str
    route: Route | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    handler: Handler | None = None
    allowed: tuple[str, ...] = ()


async def read_body(request: web.BaseRequest, limit: int, deadline: float, part: Part) -> bytearray:
    """The body of ``request``: at most ``limit`` bytes within ``deadline`` seconds, however slowly they trickle.

    Raises:
        Refused: it is larger, slower, or compressed; or with all others more than is taken at a time.
    """
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(Refusal.BAD_REQUEST, "compressed bodies are not taken", "send it as it is")
    if (request.content_length or 0) > limit:
        raise _too_large(limit)
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0
    body = bytearray()
    try:
        async with asyncio.timeout(deadline):
            async for chunk in request.content.iter_any():
                body += chunk
                if len(body) > limit:
                    raise _too_large(limit)
                part.take(len(chunk))
    except TimeoutError:
        raise Refused(
            Refusal.TOO_SLOW, f"the body did not arrive within {deadline:g} s", "body_deadline is the setting"
        ) from None
    return body


async def _send(request: web.BaseRequest, answer: Answer, deadline: float, *, last: bool) -> web.StreamResponse:
    headers = {
        "Content-Type": answer.content_type,
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
        "Server": "gthulhu-agent",
        **answer.headers,
    }
    whole = answer.body if isinstance(answer.body, bytes) else None
    response = (
        web.StreamResponse(status=answer.status, headers=headers)
        if whole is None
        else web.Response(status=answer.status, headers=headers, body=whole)
    )
    if last or not request.content.is_eof():
        response.force_close()  # what is left of a body would be read as the next request
    try:
        async with asyncio.timeout(deadline):
            await response.prepare(request)
            if whole is None and request.method != "HEAD":
                for piece in answer.body:
                    await response.write(piece)  # type: ignore[arg-type] # pieces are bytes where the body is not
                    await asyncio.sleep(0)  # write waits for slow callers only; a fast one would keep all others out
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    except ConnectionError:
        _log.debug("the caller went away", path=request.path[:200])
    return response


def _query(request: web.BaseRequest, route: Route) -> dict[str, str]:
    query = request.query
    if route.lax:
        return {name: query[name] for name in route.query if name in query}
    for name in query:
        if name not in route.query:
            known = f"known here: {', '.join(route.query)}" if route.query else "send none"
            raise Refused(Refusal.BAD_REQUEST, f"the parameter {name[:80]!r} is not known here", known)
        if len(query.getall(name)) > 1:
            raise Refused(Refusal.BAD_REQUEST, f"the parameter {name!r} is there twice", "send it once")
    return dict(query)


def _peer(request: web.BaseRequest, clients: Sequence[str]) -> _Peer:
    if request.transport is None:
        return _Peer("", None)
    name = request.transport.get_extra_info("peername")
    shown = names(request.transport.get_extra_info("peercert"))
    return _Peer(str(name[0]) if isinstance(name, tuple) else "", identity(shown, clients))


def _too_large(limit: int) -> Refused:
    return Refused(Refusal.TOO_LARGE, f"the body has more than {limit} bytes", TOO_LARGE_CURE)
