"""Our own API as a family. Where a listener speaks no other, it answers for every path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gthulhu_agent.agent import Refused
from gthulhu_agent.api.answers import Answer, of_refusal
from gthulhu_agent.api.calls import ROUTES, Family
from gthulhu_agent.api.handlers import Handlers
from gthulhu_agent.callers import Access
from gthulhu_wire.refusals import Refusal


def family(handlers: Handlers, *, open_metrics: bool = False) -> Family:
    """The family; with ``open_metrics`` everybody may read /metrics."""
    return Family(
        name="v1",
        routes=tuple(
            replace(route, access=Access.OPEN) if open_metrics and route.path == "/metrics" else route
            for route in ROUTES
        ),
        handlers={route.operation: getattr(handlers, route.operation) for route in ROUTES},
        owns=lambda _path: True,
        refuse=refuse,
    )


def owns(path: str) -> bool:
    """Whether ``path`` is ours beside an API that was there first: what nobody knows is that API's."""
    return path in ("/v1", "/metrics") or path.startswith("/v1/")


def refuse(refused: Refused, allowed: Sequence[str]) -> Answer:
    """No, in JSON, with a code and a cure."""
    return of_refusal(
        refused.code, str(refused), refused.cure, more=refused.more, headers=_headers(refused.code, allowed)
    )


def _headers(code: Refusal, allowed: Sequence[str]) -> Mapping[str, str]:
    match code:
        case Refusal.UNAUTHENTICATED:
            return {"WWW-Authenticate": 'Bearer realm="gthulhu-agent"'}
        case Refusal.METHOD_NOT_ALLOWED:
            return {"Allow": ", ".join(allowed)}
        case Refusal.BUSY | Refusal.TOO_MANY:
            return {"Retry-After": "1"}
        case _:
            return {}
