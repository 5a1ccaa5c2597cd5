"""The bodies that a Decision Maker's clients send, as values."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from sys import intern
from typing import Any

from gthulhu_agent.agent import Refused
from gthulhu_agent.api import go_json
from gthulhu_agent.api.calls import Call
from gthulhu_agent.api.go_json import INT64, UINT64, Struct, Unreadable
from gthulhu_agent.api.logins import read_login
from gthulhu_agent.legacy.metricset import MetricSet
from gthulhu_agent.legacy.narrowing import Narrowing
from gthulhu_agent.legacy.received import Labels, ReceivedIntent, ReceivedNodeIntent
from gthulhu_agent.legacy.runtime_config import RuntimeConfig, of_json
from gthulhu_agent.tokens.values import TokenRequest
from gthulhu_wire.intents import CommandOn

_text, _int, _uint = go_json.text, go_json.integer(INT64), go_json.integer(UINT64)


def _command_on(value: object, _former: object) -> CommandOn:
    try:
        return CommandOn(_text(value))
    except ValueError as error:
        raise Unreadable(f"commandOn is one of {', '.join(CommandOn)}") from error


_INTENTS = Struct(
    {
        "intents": go_json.list_of(
            Struct(
                {
                    "podName": _text,
                    "podID": _text,
                    "nodeID": _text,
                    "k8sNamespace": _text,
                    "commandRegex": _text,
                    "priority": _int,
                    "executionTime": _int,
                    "podLabels": go_json.texts_by_name,
                    "commandOn": _command_on,
                }
            )
        )
    }
)
_NODE_INTENTS = Struct(
    {
        "policies": go_json.list_of(
            Struct(
                {
                    "policyID": _text,
                    "nodeID": _text,
                    "commandRegex": _text,
                    "priority": _int,
                    "executionTime": _int,
                    "commandOn": _command_on,
                }
            )
        )
    }
)
_DELETION = Struct(
    {
        "podId": _text,
        "pid": _int,
        "all": go_json.boolean,
        "commandRegex": _text,
        "priority": _int,
        "executionTime": _int,
    },
    withdrawn=("pid", "commandRegex", "priority", "executionTime"),
)
_NODE_DELETION = Struct({"policyId": _text, "all": go_json.boolean})
_METRICS = Struct({one.name: _uint for one in fields(MetricSet)})
_RUNTIME = Struct(
    {
        "configVersion": _text,
        "mode": _text,
        "schedulerName": _text,
        "sliceNsDefault": _uint,
        "sliceNsMin": _uint,
        "kernelMode": go_json.boolean,
        "maxTimeWatchdog": go_json.boolean,
        "earlyProcessing": go_json.boolean,
        "builtinIdle": go_json.boolean,
        "schedulerEnabled": go_json.boolean,
        "monitoringEnabled": go_json.boolean,
    }
)
_TOKEN = Struct(
    {
        "public_key": _text,
        "client_id": _text,
        "expired_at": _int,
        "grant_type": _text,
        "client_assertion": _text,
        "client_assertion_type": _text,
    }
)


@dataclass(frozen=True, slots=True)
class Deletion:
    """What is to go: everything, or what ``name`` and ``narrowing`` say; ``name`` is empty where none was sent."""

    name: str
    everything: bool
    narrowing: Narrowing = field(default_factory=Narrowing)


def read_intents(body: bytearray) -> tuple[ReceivedIntent, ...]:
    """Body of ``POST /api/v1/intents``. Takes its time: for a worker thread.

    Raises:
        Unreadable: it is not one.
    """
    rows = _taken(body, _INTENTS).get("intents", [])
    shared: dict[Labels, Labels] = {}
    return tuple(_intent(row, shared) for row in rows)


def read_node_intents(body: bytearray) -> tuple[ReceivedNodeIntent, ...]:
    """Body of ``POST /api/v1/node-intents``. Takes its time: for a worker thread.

    Raises:
        Unreadable: it is not one.
    """
    rows = _taken(body, _NODE_INTENTS).get("policies", [])
    return tuple(
        ReceivedNodeIntent(
            policy_id=row.get("policyID", ""),
            node_id=intern(row.get("nodeID", "")),
            command_regex=intern(row.get("commandRegex", "")),
            priority=row.get("priority", 0),
            execution_time=row.get("executionTime", 0),
            command_on=row.get("commandOn", CommandOn.COMM),
        )
        for row in rows
    )


def read_deletion(body: bytearray) -> Deletion:
    """Body of ``DELETE /api/v1/intents``.

    Raises:
        Unreadable: it is not one.
    """
    found = _taken(body, _DELETION)
    narrowing = Narrowing(
        found.get("pid"), found.get("commandRegex"), found.get("priority"), found.get("executionTime")
    )
    return Deletion(found.get("podId", ""), found.get("all", False), narrowing)


def read_node_deletion(body: bytearray) -> Deletion:
    """Body of ``DELETE /api/v1/node-intents``.

    Raises:
        Unreadable: it is not one.
    """
    found = _taken(body, _NODE_DELETION)
    return Deletion(found.get("policyId", ""), found.get("all", False))


def read_metrics(body: bytearray) -> MetricSet:
    """Body of ``POST /api/v1/metrics``.

    Raises:
        Unreadable: it is not one.
    """
    return MetricSet(**_taken(body, _METRICS))


def read_runtime_config(body: bytearray) -> RuntimeConfig:
    """Body of ``POST /api/v1/runtime-config``.

    Raises:
        Unreadable: it is not one.
    """
    return of_json(_taken(body, _RUNTIME))


def read_token_request(call: Call) -> TokenRequest:
    """Body of ``POST /api/v1/auth/token``: JSON as Gthulhu's clients send it, or a form as OAuth's do.

    Raises:
        Unreadable: it is neither.
    """
    try:
        return read_login(call, lambda body: _taken(body, _TOKEN))
    except Refused as refused:
        raise Unreadable(str(refused)) from refused


def _intent(row: dict[str, Any], shared: dict[Labels, Labels]) -> ReceivedIntent:
    # Texts and labels repeat in thousands of intents: one of each is kept.
    labels = tuple((intern(key), intern(value)) for key, value in sorted(row.get("podLabels", {}).items()))
    return ReceivedIntent(
        pod_name=intern(row.get("podName", "")),
        pod_id=intern(row.get("podID", "")),
        node_id=intern(row.get("nodeID", "")),
        namespace=intern(row.get("k8sNamespace", "")),
        command_regex=intern(row.get("commandRegex", "")),
        priority=row.get("priority", 0),
        execution_time=row.get("executionTime", 0),
        labels=shared.setdefault(labels, labels),
        command_on=row.get("commandOn", CommandOn.COMM),
    )


def _taken(body: bytearray, shape: Struct) -> dict[str, Any]:
    found = go_json.read(body, shape)
    body.clear()
    return found
