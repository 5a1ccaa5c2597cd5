"""Gthulhu's Decision Maker API, as families of routes over its use cases."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from gthulhu_agent.agent import Refused
from gthulhu_agent.api import decision_maker_answers as answers
from gthulhu_agent.api import decision_maker_bodies as bodies
from gthulhu_agent.api import v1
from gthulhu_agent.api.adopting import adopts
from gthulhu_agent.api.answers import Answer
from gthulhu_agent.api.bodies import LIMIT, RECEIVED_LIMIT
from gthulhu_agent.api.callers import PROVE
from gthulhu_agent.api.calls import Call, Family, Route
from gthulhu_agent.api.decision_maker_answers import Failed, NotFit, NotProved
from gthulhu_agent.api.go_json import Unreadable
from gthulhu_agent.callers import Access
from gthulhu_agent.legacy.decision_maker import DecisionMaker
from gthulhu_agent.legacy.received import OWNER
from gthulhu_agent.legacy.runtime import Runtime
from gthulhu_agent.tokens.login import Login
from gthulhu_agent.tokens.values import LoginRefused
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.refusals import Refusal

_ADOPT = ("adopt",)
OUTSIDE = (
    Route("GET", "/health", "get_health", access=Access.OPEN, lax=True),
    Route("GET", "/version", "get_version", access=Access.OPEN, lax=True),
)
INSIDE = (
    Route("POST", "/api/v1/auth/token", "post_token", access=Access.OPEN, lax=True),
    *(
        Route(method, f"/api/v1/{path}", operation, access=Access.LEGACY, limit=limit, query=_ADOPT, lax=True)
        for method, path, operation, limit in (
            ("POST", "intents", "post_intents", RECEIVED_LIMIT),
            ("DELETE", "intents", "delete_intents", LIMIT),
            ("GET", "intents/merkle", "get_root", LIMIT),
            ("GET", "scheduling/strategies", "get_strategies", LIMIT),
            ("POST", "node-intents", "post_node_intents", RECEIVED_LIMIT),
            ("DELETE", "node-intents", "delete_node_intents", LIMIT),
            ("GET", "node-intents/merkle", "get_node_root", LIMIT),
            ("POST", "metrics", "post_metrics", LIMIT),
            ("GET", "pods/pids", "get_pods", LIMIT),
            ("POST", "runtime-config", "post_runtime_config", LIMIT),
            ("GET", "runtime-config", "get_runtime_config", LIMIT),
        )
    ),
)
_SERVER_FAULTS = (Refusal.BUSY, Refusal.NOT_STORED, Refusal.INTERNAL)

_T = TypeVar("_T")


def families(decision_maker: DecisionMaker, login: Login, runtime: Runtime, dialect: Dialect) -> tuple[Family, Family]:
    """The paths below /api, and all outside but ours; where a method is wrong they answer differently."""
    handlers = _Handlers(decision_maker, login, runtime, dialect)
    return (
        Family(
            name="dm",
            routes=INSIDE,
            handlers={route.operation: getattr(handlers, route.operation) for route in INSIDE},
            owns=lambda path: path == "/api" or path.startswith("/api/"),
            refuse=answers.refuse,
            unknown=Access.OPEN,
            head=False,
        ),
        Family(
            name="dm",
            routes=OUTSIDE,
            handlers={route.operation: getattr(handlers, route.operation) for route in OUTSIDE},
            owns=lambda path: not v1.owns(path),
            refuse=answers.refuse_outside,
            unknown=Access.OPEN,
            head=False,
        ),
    )


class _Handlers:
    def __init__(self, decision_maker: DecisionMaker, login: Login, runtime: Runtime, dialect: Dialect) -> None:
        self._dm = decision_maker
        self._agent = decision_maker.agent
        self._login = login
        self._runtime = runtime
        self._dialect = dialect
        # One at a time: reading a 32 MiB body takes ten times its size of memory.
        self._reading = asyncio.Lock()

    async def get_health(self, _call: Call) -> Answer:
        return answers.health(self._now)

    async def get_version(self, _call: Call) -> Answer:
        return answers.version()

    async def post_token(self, call: Call) -> Answer:
        try:
            request = bodies.read_token_request(call)
        except Unreadable as error:
            raise NotFit(answers.BAD_BODY, str(error)) from error
        try:
            token = await self._login.token(request)
        except LoginRefused as refused:
            if refused.code is not Refusal.UNAUTHENTICATED:
                raise
            words = "Public key verification failed "
            if request.assertion is not None:
                words = "Client assertion verification failed"
            raise NotProved(words) from refused
        return answers.success(self._now, {"token": token.text, "expired_at": token.expires_at})

    async def post_intents(self, call: Call) -> Answer:
        async with self._reading:
            intents = await asyncio.to_thread(_read, bodies.read_intents, call.body)
        with _failing("Failed to process intents"):
            await self._dm.replace_intents(intents, self._dialect, adopt=adopts(call))
        return answers.success(self._now)

    async def delete_intents(self, call: Call) -> Answer:
        said = _read(bodies.read_deletion, call.body)
        if not said.everything and not said.name:
            raise NotFit("PodID is required when 'all' is false")
        pod_id, words = (
            (None, "Failed to delete all intents") if said.everything else (said.name, "Failed to delete intent")
        )
        with _failing(words):
            await self._dm.delete_intents(pod_id, said.narrowing, adopt=adopts(call))
        return answers.success(self._now)

    async def get_root(self, _call: Call) -> Answer:
        return answers.success(self._now, {"rootHash": await asyncio.to_thread(self._dm.merkle_root)})

    async def get_strategies(self, _call: Call) -> Answer:
        with _failing("Failed to list scheduling intents"):
            rows = await self._dm.strategies(self._dialect)
        return answers.strategies(rows, self._now)

    async def post_node_intents(self, call: Call) -> Answer:
        async with self._reading:
            intents = await asyncio.to_thread(_read, bodies.read_node_intents, call.body)
        with _failing("Failed to process node policies"):
            await self._dm.replace_node_intents(intents, self._dialect, adopt=adopts(call))
        return answers.success(self._now)

    async def delete_node_intents(self, call: Call) -> Answer:
        said = _read(bodies.read_node_deletion, call.body)
        if not said.everything and not said.name:
            raise NotFit("policyId is required when 'all' is false")
        with _failing("Failed to delete node policy"):
            await self._dm.delete_node_intents(None if said.everything else said.name, adopt=adopts(call))
        return answers.success(self._now)

    async def get_node_root(self, _call: Call) -> Answer:
        return answers.success(self._now, {"rootHash": await asyncio.to_thread(self._dm.node_merkle_root)})

    async def post_metrics(self, call: Call) -> Answer:
        self._dm.metric_sets.take(_read(bodies.read_metrics, call.body), self._now)
        return answers.success(self._now)

    async def get_pods(self, _call: Call) -> Answer:
        with _failing("Failed to retrieve pod information"):
            rows = await self._dm.pods()
        return answers.pods(rows, self._agent.node, self._now)

    async def post_runtime_config(self, call: Call) -> Answer:
        config = _read(bodies.read_runtime_config, call.body)
        owner = self._agent.held.owner
        if owner not in ("", OWNER) and not call.trusted:
            raise Refused(
                Refusal.FOREIGN_OWNER,
                f"this node belongs to {owner!r}, and this login proves no possession of a key",
                PROVE,
            )
        try:
            await self._runtime.apply(config)
        except Refused as refused:
            raise NotFit("Failed to apply runtime config", str(refused)) from refused
        return answers.success(self._now)

    async def get_runtime_config(self, _call: Call) -> Answer:
        return answers.runtime(await self._runtime.status(), self._now)

    @property
    def _now(self) -> int:
        return self._agent.clock.now


def _read(reader: Callable[[bytearray], _T], body: bytearray) -> _T:
    try:
        return reader(body)
    except Unreadable as error:
        raise NotFit(answers.BAD_BODY, str(error)) from error


@contextmanager
def _failing(words: str) -> Iterator[None]:
    """What upstream says where it cannot do its work; a node of another owner is no such thing."""
    try:
        yield
    except Refused as refused:
        if refused.code in _SERVER_FAULTS:
            raise Failed(words, str(refused)) from refused
        raise
