"""What web pages may do: a browser on this machine calls for them, and reaches what only this machine can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from gthulhu_agent.api.answers import Answer
from gthulhu_agent.loopback import is_loopback

PREFLIGHT: Mapping[str, str] = {
    "Access-Control-Allow-Methods": "GET, POST, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Request-ID",
    "Access-Control-Max-Age": "600",
}


def may_call(origin: str, allowed: Sequence[str]) -> bool:
    """Whether pages of ``origin`` may call where those of ``allowed`` may, ``*`` for all."""
    return "*" in allowed or origin in allowed


def readable(answer: Answer, origin: str | None, allowed: Sequence[str]) -> Answer:
    """``answer`` with the headers that let the page of ``origin`` read it, where it may call."""
    if not allowed:
        return answer
    headers = {**answer.headers, "Vary": "Origin"}
    if "*" in allowed:
        headers = {**answer.headers, "Access-Control-Allow-Origin": "*"}
    elif origin is not None and origin in allowed:
        headers["Access-Control-Allow-Origin"] = origin
    return replace(answer, headers=headers)


def calls_loopback(host: str) -> bool:
    """Whether the value of ``Host`` is a loopback address: a page's own name may have been pointed at one."""
    return is_loopback(host if host.endswith("]") else host.rsplit(":", 1)[0])
