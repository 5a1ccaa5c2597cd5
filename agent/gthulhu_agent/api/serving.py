"""From an HTTP request to an answer: who may call, what exists, how much and how long. Handlers come after all that."""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from gthulhu_agent.agent import Refused
from gthulhu_agent.api.answers import Answer, of_refusal
from gthulhu_agent.api.bodies import LIMIT
from gthulhu_agent.api.calls import ROUTES, Call, Route
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.secret import Secret
from gthulhu_wire.refusals import Refusal

Handler = Callable[[Call], Awaitable[Answer]]
OTHER = "other"
"""The route of calls to what does not exist, so that a scanner cannot grow the metrics."""
_PUSHES = 4
"""Sets that may be on their way at a time: each can be 32 MiB."""

_log = structlog.stdlib.get_logger("gthulhu_agent.api")


@dataclass(frozen=True, slots=True)
class Guards:
    """Who may call, and how long it may take.

    Attributes:
        secret: None where the file mode of a socket, or loopback, is the guard.
        check_host: refuse names that are not loopback's: a web page can make a browser on this machine call a name
            that it has pointed here.
        body_deadline: seconds.
        answer_deadline: seconds.
    """

    secret: Secret | None
    check_host: bool
    body_deadline: float
    answer_deadline: float


class Serving:
    """The one request handler of the server."""

    def __init__(self, handlers: Mapping[str, Handler], guards: Guards, metrics: Metrics) -> None:
        self._routes = [(route, route.pattern, handlers[route.operation]) for route in ROUTES]
        self._guards = guards
        self._metrics = metrics
        self._pushes = asyncio.Semaphore(_PUSHES)

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer ``request``, always in JSON where it is an error, and see that the answer gets away."""
        started = time.monotonic()
        found = self._find(request)
        try:
            answer = await self._answer(request, found)
        except Refused as refused:
            answer = of_refusal(
                refused.code, str(refused), refused.cure, more=refused.more, headers=_headers(refused.code, found)
            )
        except (ConnectionError, RequestPayloadError):
            answer = of_refusal(Refusal.BAD_REQUEST, "the body broke off, or its chunks are not HTTP")
        except Exception:  # noqa: BLE001 - the last line: whatever it was, the caller gets JSON and the log the rest
            _log.exception("a call failed", method=request.method, path=request.path[:200])
            answer = of_refusal(Refusal.INTERNAL, "a fault of the agent; its log has it")
        label = OTHER if found.route is None else found.route.path
        self._metrics.call(label, found.method, answer.status, time.monotonic() - started)
        return await _send(request, answer, self._guards.answer_deadline)

    def _find(self, request: web.BaseRequest) -> _Found:
        method = "GET" if request.method == "HEAD" else request.method
        matches = [
            (route, match.groupdict(), handler)
            for route, pattern, handler in self._routes
            if (match := pattern.fullmatch(request.rel_url.raw_path))
        ]
        for route, parameters, handler in matches:
            if route.method == method:
                return _Found(method, route, parameters, handler)
        return _Found(method if matches else OTHER, allowed=tuple(route.method for route, _, _ in matches))

    async def _answer(self, request: web.BaseRequest, found: _Found) -> Answer:
        trusted = self._check_caller(request, found.route)
        route, handler = found.route, found.handler
        if route is None or handler is None:
            if found.allowed:
                raise Refused(Refusal.METHOD_NOT_ALLOWED, f"{' and '.join(found.allowed)} are what this path takes")
            raise Refused(Refusal.NOT_FOUND, "there is no such path", "/v1/openapi.json lists them all")
        query = _query(request, route)
        if route.limit <= LIMIT:
            body = await read_body(request, route.limit, self._guards.body_deadline)
            return await handler(Call(query, body, found.parameters, request.headers.get("Accept", ""), trusted))
        if self._pushes.locked():
            raise Refused(Refusal.BUSY, f"{_PUSHES} sets are on their way already", "send it again in a second")
        async with self._pushes:
            body = await read_body(request, route.limit, self._guards.body_deadline)
            return await handler(Call(query, body, found.parameters, trusted=trusted))

    def _check_caller(self, request: web.BaseRequest, route: Route | None) -> bool:
        if "Origin" in request.headers:
            raise Refused(Refusal.FORBIDDEN, "calls from web pages are not taken")
        if self._guards.check_host and not _is_loopback(request.headers.get("Host", "")):
            raise Refused(Refusal.FORBIDDEN, "the Host of this call is not this machine's loopback address")
        secret = self._guards.secret
        trusted = secret is None or secret.matches(_bearer(request))
        if not trusted and (route is None or route.secret):
            raise Refused(Refusal.UNAUTHENTICATED, "this agent asks for its secret", "Authorization: Bearer <secret>")
        return trusted


@dataclass(frozen=True, slots=True)
class _Found:
    """Where a request leads: a route, or none, and then which methods its path would take."""

    method: str
    route: Route | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    handler: Handler | None = None
    allowed: tuple[str, ...] = ()


async def read_body(request: web.BaseRequest, limit: int, deadline: float) -> bytearray:
    """The body of ``request``: at most ``limit`` bytes within ``deadline`` seconds, however slowly they trickle.

    Raises:
        Refused: it is larger, slower, or compressed.
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
    except TimeoutError:
        raise Refused(
            Refusal.TOO_SLOW, f"the body did not arrive within {deadline:g} s", "body_deadline is the setting"
        ) from None
    return body


async def _send(request: web.BaseRequest, answer: Answer, deadline: float) -> web.StreamResponse:
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
    if not request.content.is_eof():
        response.force_close()  # what is left of the body would be read as the next request
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
    for name in query:
        if name not in route.query:
            raise Refused(Refusal.BAD_REQUEST, f"the parameter {name[:80]!r} is not known here")
        if len(query.getall(name)) > 1:
            raise Refused(Refusal.BAD_REQUEST, f"the parameter {name!r} is there twice")
    return dict(query)


def _bearer(request: web.BaseRequest) -> bytes:
    values = request.headers.getall("Authorization", [])
    scheme, _, offered = values[0].partition(" ") if len(values) == 1 else ("", "", "")
    return offered.strip().encode("utf-8", "surrogateescape") if scheme.lower() == "bearer" else b""


def _is_loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _headers(code: Refusal, found: _Found) -> dict[str, str]:
    match code:
        case Refusal.UNAUTHENTICATED:
            return {"WWW-Authenticate": 'Bearer realm="gthulhu-agent"'}
        case Refusal.METHOD_NOT_ALLOWED:
            return {"Allow": ", ".join(found.allowed)}
        case Refusal.BUSY:
            return {"Retry-After": "1"}
        case _:
            return {}


def _too_large(limit: int) -> Refused:
    return Refused(Refusal.TOO_LARGE, f"the body has more than {limit} bytes")
