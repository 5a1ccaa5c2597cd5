"""The API, described for machines: docs/agent-openapi.json is what :func:`document` gives.

``python -m gthulhu_agent.api.openapi --write`` writes it, ``--check`` fails where the file is another.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent import __version__
from gthulhu_agent.api.answers import STATUS
from gthulhu_agent.api.bodies import LIMIT, SET_LIMIT
from gthulhu_agent.api.calls import ROUTES, Route
from gthulhu_agent.api.schema_parts import Schema, ref
from gthulhu_agent.api.schemas import schemas
from gthulhu_wire.refusals import Refusal

PATH = Path("docs/agent-openapi.json")


@dataclass(frozen=True, slots=True)
class _Text:
    """What is said of a route: what it does, the schema of its answer, and the refusals of its own."""

    summary: str
    answer: str
    refusals: tuple[Refusal, ...] = ()
    also: int | None = None


_TEXTS: Mapping[str, _Text] = {
    "get_desired": _Text("The set that holds, as it would be pushed.", "DesiredSet"),
    "put_desired": _Text(
        "Take a set. 200 says that it is on disk; enforcement follows at once. The same set again is 200 again.",
        "Acknowledgement",
        (Refusal.FOREIGN_OWNER, Refusal.STALE_GENERATION, Refusal.NOT_STORED, Refusal.BUSY),
    ),
    "get_digest": _Text("What holds, without the intents.", "Acknowledgement"),
    "get_state": _Text("What stands in the way, and what each intent has come to in the kernel.", "State"),
    "get_pods": _Text("The pods that run here, as the node itself knows them.", "Pods", (Refusal.BUSY,)),
    "get_process": _Text("One process: its group, what takes each thread, what the kernel says.", "Process"),
    "get_usage": _Text("What the pods use; with a uid one of them, with its threads.", "Usage", (Refusal.BUSY,)),
    "post_revert": _Text("Put everything back, and keep hands off until resume.", "Reverted"),
    "post_resume": _Text("Enforce what holds again.", "Resumed", (Refusal.NOT_STORED,)),
    "post_token": _Text(
        "A token for who proves a private key, by a signed assertion (RFC 7523) or by its client certificate.",
        "Token",
        (Refusal.UNAUTHENTICATED, Refusal.TOO_MANY, Refusal.NOT_STORED),
    ),
    "get_health": _Text("Whether the process answers.", "Health"),
    "get_ready": _Text("Whether what holds is enforced; 503 with the reasons.", "Ready", also=503),
    "get_version": _Text("Who this is.", "Version"),
    "get_openapi": _Text("This document.", ""),
    "get_metrics": _Text("Everything that is counted, for Prometheus or as OpenMetrics.", "text"),
}
_BODIES: Mapping[str, tuple[tuple[str, ...], str]] = {
    "put_desired": (("application/json",), "DesiredSet"),
    "post_token": (("application/x-www-form-urlencoded", "application/json"), "TokenRequest"),
}
_QUERY: Mapping[str, Schema] = {
    "adopt": {"type": "boolean", "default": False},
    "pod": {"type": "string", "description": "UID of a pod."},
}
_EVERYWHERE = (
    Refusal.BAD_REQUEST,
    Refusal.FORBIDDEN,
    Refusal.NOT_FOUND,
    Refusal.METHOD_NOT_ALLOWED,
    Refusal.TOO_SLOW,
    Refusal.TOO_LARGE,
    Refusal.INTERNAL,
)


def document() -> dict[str, object]:
    """OpenAPI 3.1."""
    paths: dict[str, dict[str, object]] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, _TEXTS[route.operation])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "gthulhu-agent",
            "version": __version__,
            "description": "The one way into a node's agent. Keys may be added to answers; clients skip what they do "
            f"not know. Requests with unknown keys are refused. A body has at most {LIMIT:,} bytes; that of PUT "
            f"/v1/desired {SET_LIMIT:,}.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {
                "secret": {"type": "http", "scheme": "bearer", "description": "The shared secret, or a token."},
                "certificate": {"type": "mutualTLS", "description": "Of a name among mtls.clients."},
            },
            "schemas": schemas(),
        },
    }


def text() -> str:
    """The document as it is kept in docs/."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write the document, or with ``--check`` say that it is not as written."""
    parser = argparse.ArgumentParser(description="The agent's OpenAPI document, from the code that serves it.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    mode.add_argument("--write", action="store_true", help="write the file")
    parser.add_argument("path", nargs="?", type=Path, default=PATH)
    given = parser.parse_args(arguments)
    if given.path.is_file() and given.path.read_text(encoding="utf-8") == text():
        return 0
    if given.check:
        sys.stderr.write(f"{given.path} is not what the code gives\n")
        return 1
    given.path.write_text(text(), encoding="utf-8")
    sys.stderr.write(f"wrote {given.path}\n")
    return 0


def _operation(route: Route, told: _Text) -> dict[str, object]:
    refusals = {*_EVERYWHERE, *told.refusals, *([Refusal.UNAUTHENTICATED] if route.access else [])}
    operation: dict[str, object] = {
        "operationId": route.operation,
        "summary": told.summary,
        "security": [{"secret": []}, {"certificate": []}] if route.access else [],
        "responses": {
            "200": _response("Done.", _answer_schema(told)),
            **({str(told.also): _response("Not ready.", _answer_schema(told))} if told.also else {}),
            **_refusals(refusals),
        },
    }
    parameters = [
        *(_parameter(name, "path", {"type": "integer", "minimum": 0}) for name in route.pattern.groupindex),
        *(_parameter(name, "query", _QUERY[name]) for name in route.query),
    ]
    if parameters:
        operation["parameters"] = parameters
    if route.operation in _BODIES:
        kinds, schema = _BODIES[route.operation]
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": ref(schema)} for kind in kinds}}
    return operation


def _parameter(name: str, place: str, schema: Schema) -> dict[str, object]:
    return {"name": name, "in": place, "required": place == "path", "schema": schema}


def _answer_schema(told: _Text) -> Schema | None:
    if told.answer == "text":
        return None
    return ref(told.answer) if told.answer else {"type": "object"}


def _response(description: str, schema: Schema | None) -> dict[str, object]:
    content = (
        {"text/plain": {"schema": {"type": "string"}}} if schema is None else {"application/json": {"schema": schema}}
    )
    return {"description": description, "content": content}


def _refusals(refusals: set[Refusal]) -> dict[str, object]:
    by_status: dict[int, list[str]] = {}
    for refusal in Refusal:
        if refusal in refusals:
            by_status.setdefault(STATUS[refusal], []).append(refusal.value)
    return {str(status): _response(", ".join(codes), ref("Refusal")) for status, codes in sorted(by_status.items())}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
