"""An agent's no, as an error: what may go away by itself is tried again, the rest is said to a person."""

from __future__ import annotations

from collections.abc import Mapping

from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer
from gthulhu_reconcile.transport.answers import OddAnswer, read_json, shown
from gthulhu_wire.refusals import Refusal

RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504, 507})
_DID_NOTHING = frozenset({Refusal.NOT_STORED, Refusal.BUSY, Refusal.TOO_SLOW})
"""Of those that are tried again, the ones after which the call has had no effect; a fault of the agent may have."""
MAX_RETRY_AFTER = 3600.0


def refusal(
    title: str, status: int, headers: Mapping[str, str], body: bytes
) -> AgentUnreachable | AgentRefused | BadAnswer:
    """The error that an answer other than 200 stands for. ``Retry-After`` is read in seconds, its dates are not."""
    code, message = _said(body)
    if status in RETRIED:
        said_no = code if code in _DID_NOTHING else ""
        return AgentUnreachable(
            title, message or f"it answered {status}", retry_after=_retry_after(headers), code=said_no
        )
    if not code:
        return BadAnswer(title, f"it answered {status} without saying why; is that a gthulhu-agent?")
    return AgentRefused(title, code, message or f"it answered {status}")


def _said(body: bytes) -> tuple[str, str]:
    try:
        value = read_json(body)
    except OddAnswer:
        return "", ""
    if not isinstance(value, dict):
        return "", ""
    code, message, cure = (value.get(key) for key in ("code", "message", "cure"))
    if not isinstance(code, str):
        return "", ""
    known = code if code in {refusal.value for refusal in Refusal} else shown(code)
    parts = [shown(part) for part in (message, cure) if isinstance(part, str) and part]
    held = _held(value.get("holds"))
    return known, "; ".join([*parts, *([held] if held else [])])


def _held(holds: object) -> str:
    if not isinstance(holds, dict):
        return ""
    owner, token, generation = (holds.get(key) for key in ("owner", "token", "generation"))
    if not isinstance(owner, str) or not isinstance(generation, int):
        return ""
    return f"it holds generation {generation} (token {token if isinstance(token, int) else '?'}) of '{shown(owner)}'"


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers.get("Retry-After", "").strip()
    if not value.isascii() or not value.isdigit():
        return 0.0
    return min(float(value[:9]), MAX_RETRY_AFTER)
