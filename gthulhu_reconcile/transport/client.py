"""The one HTTP client that talks to agents: bounded in bytes and time, its errors translated here and only here."""

from __future__ import annotations

import asyncio
import hashlib
import io
import resource
from collections.abc import Callable
from typing import Self, TypeVar

import aiohttp
from yarl import URL

from gthulhu_reconcile.errors import AgentUnreachable, BadAnswer
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.transport import reports
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding, OddAnswer, read_holding, read_json, shown
from gthulhu_reconcile.transport.bounded import LARGE, Budget, read_body
from gthulhu_reconcile.transport.fanout import FanOut
from gthulhu_reconcile.transport.places import Places
from gthulhu_reconcile.transport.processes import ProcessReport, read_process
from gthulhu_reconcile.transport.refusing import refusal
from gthulhu_reconcile.transport.retrying import Deadlines
from gthulhu_reconcile.transport.secrets import Secrets
from gthulhu_reconcile.transport.watched_calls import Observer, watched
from gthulhu_wire.documents import MAX_SET_BYTES
from gthulhu_wire.intents import DesiredSet, canonical_intent, canonical_json

_T = TypeVar("_T")

MAX_HEAD = 64 * 1024
KEEP_ALIVE_SECONDS = 75.0
"""Longer than the time between two passes (60 s), so that the next one finds its connections."""
IDLE_CONNECTIONS = 2000
RESERVED_FILES = 256


class AgentClient:
    """Talks to agents. To be used as a context manager, in one event loop.

    Every call raises :class:`~gthulhu_reconcile.errors.AgentUnreachable` where trying again may help, and
    :class:`~gthulhu_reconcile.errors.AgentRefused` or :class:`~gthulhu_reconcile.errors.BadAnswer` where not. No
    call tries again by itself.

    Attributes:
        deadlines: how long we wait.
        fanout: how many at once; it remembers slow nodes, so a client is worth keeping over passes.
    """

    def __init__(
        self,
        *,
        deadlines: Deadlines | None = None,
        fanout: FanOut | None = None,
        secret_file: str | None = None,
        idle_connections: int | None = None,
        observer: Observer | None = None,
    ) -> None:
        self.deadlines = deadlines or Deadlines()
        self.fanout = fanout or FanOut()
        self._secrets = Secrets(secret_file)
        self._observer = observer
        self._budget = Budget()
        idle = _idle_connections(self.fanout.most) if idle_connections is None else idle_connections
        self._places = Places(idle, self.fanout.most if idle else 0, KEEP_ALIVE_SECONDS)
        self._sessions: dict[str, aiohttp.ClientSession] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections."""
        sessions, self._sessions = list(self._sessions.values()), {}
        for session in sessions:
            await session.close()

    async def digest(self, agent: Agent, *, more: bool = False) -> Holding:
        """What the agent holds, without the intents. ``more``: another call follows at once."""
        return await self._call(
            "digest", agent, "GET", "/v1/digest", lambda value: _of_node(agent, read_holding(value)), more=more
        )

    async def desired(self, agent: Agent) -> Accepted:
        """The set that the agent holds; its digest has been worked out anew and is right."""
        return await self._call(
            "desired",
            agent,
            "GET",
            "/v1/desired",
            lambda value: reports.read_accepted_set(value, agent.node),
            most=MAX_SET_BYTES,
        )

    async def put(self, agent: Agent, desired: DesiredSet, *, adopt: bool = False) -> Holding:
        """Hand ``desired`` over; the answer has been compared with it.

        Repeating the same set is harmless: the agent takes the same (token, generation, digest) again.
        """
        body, digest = encode(desired)
        path = "/v1/desired?adopt=true" if adopt else "/v1/desired"
        return await self._call(
            "put",
            agent,
            "PUT",
            path,
            lambda value: _acknowledged(agent, read_holding(value), desired, digest),
            body=body,
        )

    async def state(self, agent: Agent) -> reports.AgentState:
        """What became of each intent in the kernel."""
        return await self._call("state", agent, "GET", "/v1/state", reports.read_state, most=MAX_SET_BYTES)

    async def pods(self, agent: Agent) -> reports.Discovered:
        """The pods that the agent itself discovers on its node."""
        return await self._call(
            "pods", agent, "GET", "/v1/pods", lambda value: reports.read_pods(value, agent.node), most=MAX_SET_BYTES
        )

    async def process(self, agent: Agent, pid: int) -> ProcessReport:
        """Where a process belongs, and for each of its threads who wins it and what the kernel says."""
        return await self._call("process", agent, "GET", f"/v1/processes/{pid}", read_process, most=MAX_SET_BYTES)

    async def version(self, agent: Agent) -> reports.AgentVersion:
        """Which node, program, kernel and enforcer answer there."""
        return await self._call("version", agent, "GET", "/v1/version", reports.read_version)

    async def _call(
        self,
        operation: str,
        agent: Agent,
        method: str,
        path: str,
        read: Callable[[object], _T],
        *,
        body: bytes | None = None,
        most: int = MAX_HEAD,
        more: bool = False,
    ) -> _T:
        call = self._exchange(agent, method, path, read, body=body, most=most, more=more)
        return await watched(self._observer, operation, call)

    async def _exchange(
        self,
        agent: Agent,
        method: str,
        path: str,
        read: Callable[[object], _T],
        *,
        body: bytes | None = None,
        most: int = MAX_HEAD,
        more: bool = False,
    ) -> _T:
        headers = self._headers(agent, body, more=more)
        seconds = self.deadlines.request + self.deadlines.allowance(len(body or b""))
        try:
            async with self._budget.share() as share:
                async with (
                    asyncio.timeout(seconds) as timer,
                    self._session(agent).request(
                        method,
                        URL(agent.base + path, encoded=True),
                        # In pieces: written in one go, a large set would keep all other nodes waiting.
                        data=body if body is None or len(body) <= LARGE else io.BytesIO(body),
                        headers=headers,
                        allow_redirects=False,
                    ) as response,
                ):
                    good = response.status == 200  # noqa: PLR2004 - every answer of this API that is not a refusal
                    answer = await read_body(
                        response,
                        most=most if good else MAX_HEAD,
                        share=share,
                        timer=timer,
                        deadlines=self.deadlines,
                    )
                if not good:
                    raise refusal(agent.title, response.status, response.headers, answer)
                if len(answer) > LARGE:
                    return await asyncio.to_thread(lambda: read(read_json(answer)))
                return read(read_json(answer))
        except OddAnswer as error:
            raise BadAnswer(agent.title, str(error)) from None
        except aiohttp.ConnectionTimeoutError:
            raise AgentUnreachable(agent.title, f"no connection within {self.deadlines.connect:g} s") from None
        except TimeoutError:
            raise AgentUnreachable(agent.title, f"no answer within {seconds:.3g} s") from None
        except UnicodeError as error:
            # An address that the resolver cannot encode must cost its own node and no other.
            raise BadAnswer(agent.title, f"{shown(agent.url)} cannot be asked: {shown(str(error))}") from error
        except (aiohttp.ClientError, OSError) as error:
            raise _translated(agent, error) from error

    def _headers(self, agent: Agent, body: bytes | None, *, more: bool) -> dict[str, str]:
        headers = {}
        secret = self._secrets.of(agent)
        if secret is not None:
            headers["Authorization"] = f"Bearer {secret}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        if not self._places.take(agent.url, asyncio.get_running_loop().time(), more=more):
            headers["Connection"] = "close"
        return headers

    def _session(self, agent: Agent) -> aiohttp.ClientSession:
        path = agent.socket_path
        key = path or ""
        session = self._sessions.get(key)
        if session is None:
            session = self._sessions[key] = aiohttp.ClientSession(
                connector=_connector(path),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self.deadlines.connect),
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            )
        return session


def encode(desired: DesiredSet) -> tuple[bytes, str]:
    """The body of ``PUT /v1/desired`` and the digest in it, from one text: what is hashed is what is sent."""
    intents = f"[{','.join(map(canonical_intent, desired.intents))}]".encode()
    digest = hashlib.sha256(intents).hexdigest()
    head = {
        "owner": desired.owner,
        "token": desired.token,
        "generation": desired.generation,
        "digest": digest,
    }
    return b'%s,"intents":%s}' % (canonical_json(head)[:-1].encode(), intents), digest


def _connector(path: str | None) -> aiohttp.BaseConnector:
    # The fan-out bounds what is in flight; a second bound here would only make calls wait unseen.
    if path is not None:
        return aiohttp.UnixConnector(path, limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)
    return aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_SECONDS)


def _idle_connections(in_flight: int) -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = soft - RESERVED_FILES - 2 * in_flight if soft != resource.RLIM_INFINITY else IDLE_CONNECTIONS
    return max(0, min(IDLE_CONNECTIONS, free))


def _of_node(agent: Agent, held: Holding) -> Holding:
    if agent.node and held.node != agent.node:
        raise BadAnswer(
            agent.title,
            f"the agent at {agent.url} is node '{shown(held.node)}'; gthulhu_node_name says which node a host is",
        )
    return held


def _acknowledged(agent: Agent, held: Holding, sent: DesiredSet, digest: str) -> Holding:
    _of_node(agent, held)
    if (held.owner, held.token, held.generation) != (sent.owner, sent.token, sent.generation):
        raise BadAnswer(
            agent.title, f"it acknowledged generation {held.generation} of '{shown(held.owner)}', not what was sent"
        )
    if held.digest != digest:
        raise BadAnswer(agent.title, "it acknowledged another set than the one that was sent")
    return held


def _translated(agent: Agent, error: Exception) -> AgentUnreachable | BadAnswer:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return BadAnswer(agent.title, f"its certificate is not trusted: {shown(str(error.certificate_error))}")
    if isinstance(error, aiohttp.ClientConnectorError):
        problem = error.os_error.strerror or str(error.os_error)
        return AgentUnreachable(agent.title, f"no connection to {agent.url}: {shown(problem)}")
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return AgentUnreachable(agent.title, "the connection was closed without an answer")
    if isinstance(error, aiohttp.ClientPayloadError):
        return AgentUnreachable(agent.title, "the connection broke off in the middle of the answer")
    if isinstance(error, aiohttp.ClientResponseError):
        return BadAnswer(agent.title, f"what it answers is not HTTP: {shown(error.message)}")
    return AgentUnreachable(agent.title, f"the connection broke: {shown(str(error)) or type(error).__name__}")
