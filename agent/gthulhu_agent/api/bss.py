"""The older BSS API of Gthulhu, which the Decision Maker came from: other envelopes, a bool for a priority.

Where its versions differ, this is the newest (November 2025); docs/bss.md has what differs, and from which.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict

from gthulhu_agent.agent import Refused
from gthulhu_agent.api import go_json, v1
from gthulhu_agent.api.adopting import adopts
from gthulhu_agent.api.answers import STATUS, Answer, of_rows
from gthulhu_agent.api.bodies import RECEIVED_LIMIT
from gthulhu_agent.api.callers import NotLoggedIn
from gthulhu_agent.api.calls import Call, Family, Route
from gthulhu_agent.api.logins import read_login
from gthulhu_agent.callers import Access
from gthulhu_agent.legacy.decision_maker import DecisionMaker
from gthulhu_agent.legacy.listing import PodProcesses, ThreadStrategy
from gthulhu_agent.legacy.metricset import MetricSet
from gthulhu_agent.legacy.received import ReceivedStrategy
from gthulhu_agent.tokens import Login, LoginRefused
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.intents import format_instant
from gthulhu_wire.refusals import Refusal

ROUTES = (
    Route("GET", "/", "get_root", Access.OPEN, lax=True),
    Route("GET", "/health", "get_health", Access.OPEN, lax=True),
    Route("POST", "/api/v1/auth/token", "post_token", Access.OPEN, lax=True),
    Route("POST", "/api/v1/metrics", "post_metrics", Access.LEGACY, lax=True),
    Route("GET", "/api/v1/metrics", "get_metrics", Access.LEGACY, lax=True),
    Route("GET", "/api/v1/pods/pids", "get_pods", Access.LEGACY, lax=True),
    Route("GET", "/api/v1/scheduling/strategies", "get_strategies", Access.LEGACY, lax=True),
    Route(
        "POST",
        "/api/v1/scheduling/strategies",
        "post_strategies",
        Access.LEGACY,
        limit=RECEIVED_LIMIT,
        query=("adopt",),
        lax=True,
    ),
)
_NAME = "BSS Metrics API Server"
_ENDPOINTS = (
    "/api/v1/auth/token (POST), /api/v1/metrics (GET, POST), /api/v1/pods/pids (GET), "
    "/api/v1/scheduling/strategies (GET, POST), /health (GET)"
)
_PLAIN = "text/plain; charset=utf-8"
_NO_LOGIN: Mapping[str, str] = {
    "missing": "Authorization header is required",
    "not-bearer": "Authorization header must start with 'Bearer '",
}
_METRICS = go_json.Struct({name: go_json.integer(go_json.UINT64) for name in asdict(MetricSet())})
_SELECTOR = go_json.Struct({"key": go_json.text, "value": go_json.text})
_STRATEGY = go_json.Struct(
    {
        "priority": go_json.boolean,
        "execution_time": go_json.integer(go_json.UINT64),
        "pid": go_json.integer(go_json.INT64),
        "selectors": go_json.list_of(_SELECTOR),
        "command_regex": go_json.text,
    }
)
_STRATEGIES = go_json.Struct({"strategies": go_json.list_of(_STRATEGY)})
_LOGIN = go_json.Struct(
    dict.fromkeys(("public_key", "client_id", "grant_type", "client_assertion", "client_assertion_type"), go_json.text)
)


class Bss:
    """The use cases of a Decision Maker as the older API's answers."""

    def __init__(self, decisions: DecisionMaker, login: Login) -> None:
        self._decisions = decisions
        self._login = login
        self._listed: tuple[tuple[ThreadStrategy, ...], tuple[ReceivedStrategy, ...]] | None = None
        self._hits = 0
        self._misses = 0
        # One at a time: reading a 32 MiB body takes ten times its size of memory.
        self._reading = asyncio.Lock()

    async def get_root(self, _call: Call) -> Answer:
        """Who this is. Upstream makes it of a map, whose keys Go sorts."""
        return _json({"endpoints": _ENDPOINTS, "message": _NAME, "version": "1.0.0"})

    async def get_health(self, _call: Call) -> Answer:
        """Whether the process answers; of a map too."""
        return _json({"service": _NAME, "status": "healthy", "timestamp": self._now})

    async def post_token(self, call: Call) -> Answer:
        """A token for a login."""
        try:
            request = read_login(call, lambda body: go_json.read(body, _LOGIN))
        except go_json.Unreadable as error:
            return _no(Refusal.BAD_REQUEST, f"Invalid JSON format: {error}")
        try:
            token = await self._login.token(request)
        except LoginRefused as refused:
            if refused.code is not Refusal.UNAUTHENTICATED:
                raise
            return _no(refused.code, f"Public key verification failed: {refused}")
        return _json({**self._yes("Token generated successfully"), "token": token.text})

    async def post_metrics(self, call: Call) -> Answer:
        """Take a report of the scheduler."""
        try:
            read = go_json.read(call.body, _METRICS)
        except go_json.Unreadable as error:
            return _no(Refusal.BAD_REQUEST, f"Invalid JSON format: {error}")
        numbers = {name: value for name, value in read.items() if isinstance(value, int)}
        self._decisions.metric_sets.take(MetricSet(**numbers), self._decisions.agent.clock.now)
        return _json(self._yes("Metrics saved successfully"))

    async def get_metrics(self, _call: Call) -> Answer:
        """The newest report; 200 also where there is none, as ever."""
        last = self._decisions.metric_sets.last
        if last is None:
            return _json({**self._yes("No metrics data available yet"), "success": False})
        return _json(
            {
                **self._yes("Metrics retrieved successfully"),
                "data": asdict(last.metrics),
                "metrics_timestamp": format_instant(last.at),
            }
        )

    async def get_pods(self, _call: Call) -> Answer:
        """The pods that run here, with their processes."""
        pods = await self._decisions.pods()
        last = self._decisions.agent.engine.last
        names = {} if last is None else {pod.uid: (pod.name, pod.namespace) for pod in last.snapshot.pods}
        rows = (go_json.write(_pod(pod, *names.get(pod.uid, ("", "")))) for pod in pods)
        return of_rows(self._yes("Pod-PID mappings retrieved successfully"), "pods", rows)

    async def get_strategies(self, _call: Call) -> Answer:
        """Each thread that something takes, once; then the processes that strategies name by number."""
        rows = await self._decisions.strategies(Dialect.BOOL)
        said = self._decisions.received.strategies
        known = self._listed
        # As upstream: what is empty was never kept.
        hit = known is not None and bool(rows) and known[0] is rows and known[1] is said
        self._listed = (rows, said)
        self._hits += hit
        self._misses += not hit
        message = "retrieved from cache" if hit else "recalculated due to pod changes"
        rate = 100 * self._hits / (self._hits + self._misses)
        answer = of_rows(self._yes(f"Scheduling strategies {message}"), "scheduling", _rows(rows, said))
        stats = f"hits={self._hits},misses={self._misses},hit_rate={rate:.2f}%"
        headers = {"X-Cache-Hit": str(hit).lower(), "X-Cache-Stats": stats}
        return Answer(answer.status, answer.body, answer.content_type, headers)

    async def post_strategies(self, call: Call) -> Answer:
        """Take strategies in place of all former ones; none takes them away."""
        async with self._reading:
            try:
                strategies = await asyncio.to_thread(_read_strategies, call.body)
            except go_json.Unreadable as error:
                return _no(Refusal.BAD_REQUEST, f"Invalid request payload: {error}")
        await self._decisions.replace_strategies(strategies, adopt=adopts(call))
        return _json(self._yes("Scheduling strategies saved successfully"))

    def _yes(self, message: str) -> dict[str, object]:
        return {"success": True, "message": message, "timestamp": self._now}

    @property
    def _now(self) -> str:
        return format_instant(self._decisions.agent.clock.now)


def family(decisions: DecisionMaker, login: Login, *, cors: Sequence[str] = ()) -> Family:
    """The family; web pages of the origins ``cors`` may call it."""
    bss = Bss(decisions, login)
    return Family(
        name="bss",
        routes=ROUTES,
        handlers={route.operation: getattr(bss, route.operation) for route in ROUTES},
        owns=lambda path: not v1.owns(path),
        refuse=refuse,
        cors=tuple(cors),
        unknown=Access.OPEN,
        head=False,
    )


def refuse(refused: Refused, _allowed: Sequence[str]) -> Answer:
    """No, as Go's mux and the BSS API say it."""
    match refused.code:
        case Refusal.NOT_FOUND:
            return Answer(404, b"404 page not found\n", _PLAIN)
        case Refusal.METHOD_NOT_ALLOWED:
            return Answer(405, b"", _PLAIN)
        case Refusal.UNAUTHENTICATED if isinstance(refused, NotLoggedIn):
            text = _NO_LOGIN.get(refused.why, f"Invalid or expired token: {refused.reason}")
            return _no(refused.code, text)
        case _:
            return _no(refused.code, f"{refused}: {refused.cure}" if refused.cure else str(refused))


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, go_json.encode(value))


def _no(code: Refusal, text: str) -> Answer:
    headers = {"Retry-After": "1"} if code in (Refusal.BUSY, Refusal.TOO_MANY) else {}
    return Answer(STATUS[code], go_json.encode({"success": False, "error": text}), headers=headers)


def _read_strategies(body: bytearray) -> tuple[ReceivedStrategy, ...]:
    read = go_json.read(body, _STRATEGIES)
    body.clear()
    rows = read.get("strategies", [])
    assert isinstance(rows, list)  # noqa: S101 - that is what _STRATEGIES reads
    return tuple(_strategy(row) for row in rows)


def _strategy(read: Mapping[str, object]) -> ReceivedStrategy:
    fields = dict(read)
    selectors = fields.pop("selectors", [])
    assert isinstance(selectors, list)  # noqa: S101 - that is what _STRATEGY reads
    pairs = tuple((str(one.get("key", "")), str(one.get("value", ""))) for one in selectors)
    return ReceivedStrategy(**fields, selectors=pairs)  # type: ignore[arg-type] # each was read as its type


def _pod(pod: PodProcesses, name: str, namespace: str) -> dict[str, object]:
    container = next((one.container_id for one in pod.processes if one.container_id), "")
    return {
        "pod_name": name,
        "namespace": namespace,
        "pod_uid": pod.uid,
        **({"container_id": container} if container else {}),
        "processes": [
            {"pid": one.pid, "command": one.comm, **({"ppid": one.ppid} if one.ppid else {})} for one in pod.processes
        ],
    }


def _rows(threads: Sequence[ThreadStrategy], said: Sequence[ReceivedStrategy]) -> Iterator[str]:
    listed: set[int] = set()
    for thread in threads:
        listed.add(thread.tid)
        yield _row(bool(thread.priority), thread.execution_time, thread.tid, thread.selectors, "")
    # Nobody enforces these but whoever polls; the last of several for one process holds, as in the scheduler's map.
    by_number = {one.pid: one for one in said if one.pid and not one.selectors}
    for pid, one in by_number.items():
        if pid not in listed:
            yield _row(one.priority, one.execution_time, pid, (), one.command_regex)


def _row(priority: bool, execution_time: int, pid: int, selectors: Sequence[tuple[str, str]], regex: str) -> str:
    row: dict[str, object] = {"priority": priority, "execution_time": execution_time, "pid": pid}
    if selectors:
        row["selectors"] = [{"key": key, "value": value} for key, value in selectors]
    if regex:
        row["command_regex"] = regex
    return go_json.write(row)
