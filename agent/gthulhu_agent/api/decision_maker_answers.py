"""How a Decision Maker answers: its envelopes, key by key in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import structlog

from gthulhu_agent.agent import Refused
from gthulhu_agent.api import go_json
from gthulhu_agent.api.answers import STATUS, Answer, of_rows
from gthulhu_agent.api.callers import NotLoggedIn
from gthulhu_agent.legacy.listing import PodProcess, PodProcesses, ThreadStrategy
from gthulhu_agent.legacy.runtime_config import RuntimeStatus, as_json
from gthulhu_wire.intents import format_instant
from gthulhu_wire.refusals import Refusal

_log = structlog.stdlib.get_logger("gthulhu_agent.api")

SERVICE = "BSS Metrics API Server"
BAD_BODY = "Invalid request payload"

_LOGIN_TEXTS = {
    "missing": "Authorization header is required",
    "not-bearer": "Authorization header must start with 'Bearer '",
}


class Failed(Refused):
    """500 in upstream's words; ``reason`` is ours, for the log: clients know no other key in an error."""

    def __init__(self, words: str, reason: str) -> None:
        super().__init__(Refusal.INTERNAL, words, "the log has the reason")
        self.reason = reason


class NotFit(Refused):
    """400 in upstream's words; ``reason`` is ours, for the log."""

    def __init__(self, words: str, reason: str = "") -> None:
        super().__init__(Refusal.BAD_REQUEST, words, "docs/decision-maker.md has the bodies")
        self.reason = reason


class NotProved(Refused):
    """401 for a token that is not given, in upstream's words; the log of logins has the reason."""

    def __init__(self, words: str) -> None:
        super().__init__(Refusal.UNAUTHENTICATED, words, "docs/login.md has the ways in")
        self.reason = ""


def success(now: int, data: object = None) -> Answer:
    """The envelope; without ``data`` its key is absent."""
    body: dict[str, object] = {"success": True}
    if data is not None:
        body["data"] = data
    body["timestamp"] = format_instant(now)
    return Answer(200, go_json.encode(body))


def error(status: int, text: str, more: Mapping[str, object] | None = None) -> Answer:
    """The envelope of errors; what upstream does not tell comes after what it does."""
    return Answer(status, go_json.encode({"success": False, "error": text, **(more or {})}))


def health(now: int) -> Answer:
    """``GET /health``; it has no envelope."""
    return Answer(200, go_json.encode({"status": "healthy", "timestamp": format_instant(now), "service": SERVICE}))


def version() -> Answer:
    """``GET /version``; clients compare the texts."""
    endpoints = "/health, /version, POST_/api/v1/intents, GET_/api/v1/scheduling/strategies"
    return Answer(200, go_json.encode({"message": SERVICE, "version": "1.0.0", "endpoints": endpoints}))


def strategies(rows: Sequence[ThreadStrategy], now: int) -> Answer:
    """``GET /api/v1/scheduling/strategies``: an empty list is never null, which its client would pass over."""
    head = {
        "success": True,
        "message": "Scheduling intents retrieved successfully",
        "timestamp": format_instant(now),
    }
    return of_rows(head, "scheduling", _strategy_rows(rows))


def pods(rows: Sequence[PodProcesses], node: str, now: int) -> Answer:
    """``GET /api/v1/pods/pids``."""
    return success(
        now,
        {
            "pods": [{"pod_uid": pod.uid, "processes": [_process(one) for one in pod.processes]} for pod in rows],
            "timestamp": format_instant(now),
            "node_name": node,
        },
    )


def runtime(status: RuntimeStatus, now: int) -> Answer:
    """``GET /api/v1/runtime-config``: flags are there where a configuration is, also those that are off."""
    config = status.config
    data: dict[str, object] = {
        "configVersion": status.version or None,
        "applied": status.applied,
        "appliedAt": status.applied_at or None,
        "restartCount": status.restarts or None,
        "lastError": status.last_error or None,
        "configAvailable": config is not None,
    }
    if config is not None:
        data |= {name: value if isinstance(value, bool) else value or None for name, value in as_json(config).items()}
    return success(now, _without_none(data))


def refuse(refused: Refused, _allowed: Sequence[str]) -> Answer:
    """No, below /api: what is not there and what is not taken are the same there."""
    if refused.code in (Refusal.NOT_FOUND, Refusal.METHOD_NOT_ALLOWED):
        return Answer(404, go_json.encode({"message": "Not Found"}))
    return _refuse(refused)


def refuse_outside(refused: Refused, allowed: Sequence[str]) -> Answer:
    """No, outside of /api."""
    if refused.code is Refusal.METHOD_NOT_ALLOWED:
        headers = {"Allow": ", ".join(allowed)}
        return Answer(405, go_json.encode({"message": "Method Not Allowed"}), headers=headers)
    return refuse(refused, allowed)


def _refuse(refused: Refused) -> Answer:
    if isinstance(refused, NotLoggedIn):
        text = _LOGIN_TEXTS.get(refused.why) or f"Invalid or expired token: {refused.reason}"
        return error(401, text)
    if isinstance(refused, Failed | NotFit | NotProved):
        if refused.reason:
            _log.warning("refused a call", told=str(refused), why=refused.reason)
        return error(STATUS[refused.code], str(refused))
    # What upstream never says has no words of its own to keep to.
    text = f"{refused}: {refused.cure}" if refused.cure else str(refused)
    answer = error(STATUS[refused.code], text, refused.more)
    if refused.code in (Refusal.BUSY, Refusal.TOO_MANY):
        return Answer(answer.status, answer.body, headers={"Retry-After": "1"})
    return answer


def _strategy_rows(rows: Sequence[ThreadStrategy]) -> Iterator[str]:
    selectors: dict[tuple[tuple[str, str], ...], str] = {}
    for row in rows:
        text = f'{{"priority":{row.priority},"execution_time":{row.execution_time}'
        if row.tid:
            text += f',"pid":{row.tid}'
        if row.selectors:
            if row.selectors not in selectors:
                selectors[row.selectors] = go_json.write([{"key": key, "value": value} for key, value in row.selectors])
            text += f',"selectors":{selectors[row.selectors]}'
        if row.command_regex:
            text += f',"command_regex":{go_json.write(row.command_regex)}'
        yield f"{text}}}"


def _process(process: PodProcess) -> dict[str, object]:
    return _without_none(
        {
            "pid": process.pid,
            "command": process.comm,
            "ppid": process.ppid or None,
            "container_id": process.container_id or None,
        }
    )


def _without_none(fields: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value is not None}
