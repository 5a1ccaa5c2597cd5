"""The small YAML snapshot of pods and nodes, for people to write: hosts without Kubernetes, tests, demonstrations.

``schemas/pods-v1.json`` is :data:`SCHEMA`; ``python -m gthulhu_reconcile.observing.snapshot --check`` says whether it
still is.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, cast

from gthulhu_reconcile.loading import yamltree
from gthulhu_reconcile.loading.document import Document, Value
from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.loading.schemas import schema_directory
from gthulhu_reconcile.loading.source import shown, whole_file
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, has_errors
from gthulhu_reconcile.model.pods import NO_LABELS, Container, Node, Phase, Pod
from gthulhu_reconcile.observing.kubernetes import container_id
from gthulhu_reconcile.observing.pods import Observation
from gthulhu_wire.intents import PodRef

MAX_BYTES = 16 << 20
LIMITS = yamltree.Limits(file_bytes=MAX_BYTES, events=2_000_000)
SCHEMA_FILE = schema_directory() / "pods-v1.json"

_TEXT: dict[str, object] = {"type": "string", "minLength": 1, "maxLength": 1024}
_LABELS: dict[str, object] = {
    "type": "object",
    "description": "Labels; values are strings, so a number needs quotes.",
    "additionalProperties": {"type": "string"},
}
_CONTAINER: dict[str, object] = {
    "type": "object",
    "description": "A container of the pod.",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {
        "name": {**_TEXT, "description": "Name in the pod's specification."},
        "id": {
            "type": "string",
            "maxLength": 1024,
            "description": "Id, with or without its runtime (containerd://…); absent until it has been created.",
        },
    },
}
_POD: dict[str, object] = {
    "type": "object",
    "description": "A pod.",
    "additionalProperties": False,
    "required": ["name", "uid"],
    "properties": {
        "namespace": {**_TEXT, "description": "Namespace; absent is default."},
        "name": {**_TEXT, "description": "Name."},
        "uid": {**_TEXT, "description": "Uid as the node's cgroups have it."},
        "node": {"type": "string", "maxLength": 1024, "description": "Node that it runs on; absent is not scheduled."},
        "labels": _LABELS,
        "phase": {
            "enum": [phase.value for phase in Phase],
            "description": "Phase; absent is Running. Finished pods are not planned.",
        },
        "containers": {"type": "array", "description": "Its containers.", "items": _CONTAINER},
    },
}
SCHEMA: Mapping[str, object] = MappingProxyType(
    {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pods and nodes for gthulhu-reconcile",
        "description": "What --pods FILE takes beside the output of kubectl get pods,nodes -A -o json.",
        "type": "object",
        "additionalProperties": False,
        "required": ["pods"],
        "properties": {
            "pods": {
                "type": "array",
                "description": "All pods there are: one that is not here is gone.",
                "items": _POD,
            },
            "nodes": {
                "type": "array",
                "description": "Nodes and their labels.",
                "items": {
                    "type": "object",
                    "description": "A node.",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {
                        "name": {**_TEXT, "description": "Name, as pods say it in node."},
                        "labels": _LABELS,
                    },
                },
            },
        },
    }
)


def read(data: bytes, path: str) -> Observation:
    """Pods and nodes of a snapshot; unreadable as a whole where any part of it is not right."""
    tree, problems = yamltree.parse(data, path, limits=LIMITS)
    found = list(problems)
    if tree is not None and not _errors(found):
        if len(tree.documents) != 1:
            message = f"has {len(tree.documents)} documents; a snapshot is one"
            found.append(whole_file(path, Code.NOT_ALLOWED, message))
        else:
            found += _check(tree.documents[0])
    if tree is None or _errors(found):
        return Observation(unreadable=(path,), diagnostics=tuple(found))
    body = cast("dict[str, Any]", tree.documents[0].value)
    return Observation(
        pods=tuple(_pod(row) for row in body["pods"]),
        nodes=tuple(Node(row["name"], _labels(row)) for row in body.get("nodes", ())),
        diagnostics=tuple(found),
    )


def _check(document: Document) -> tuple[Diagnostic, ...]:
    if isinstance(document.value, dict) and "items" in document.value and "kind" in document.value:
        hint = "take it as JSON: kubectl get pods,nodes -A -o json"
        return (document.diagnose(Code.UNKNOWN_KIND, ("kind",), "is a list of Kubernetes in YAML", hint=hint),)
    found = check(document, SCHEMA)
    return found if _errors(found) else (*found, *_repeated(document))


def _repeated(document: Document) -> tuple[Diagnostic, ...]:
    body = cast("dict[str, list[dict[str, Value]]]", document.value)
    found: list[Diagnostic] = []
    for rows, key, code in (("pods", "uid", Code.DUPLICATE_POD), ("nodes", "name", Code.DUPLICATE_NODE)):
        seen: set[Value] = set()
        for number, row in enumerate(body.get(rows, ())):
            if row[key] in seen:
                message = f"{rows[:-1]} {key} {shown(row[key])} is there twice"
                found.append(document.diagnose(code, (rows, number, key), message))
            seen.add(row[key])
    return tuple(found)


def _pod(row: Mapping[str, Any]) -> Pod:
    return Pod(
        ref=PodRef(row.get("namespace", "default"), row["name"], row["uid"]),
        node=row.get("node", ""),
        labels=_labels(row),
        phase=Phase(row.get("phase", Phase.RUNNING)),
        containers=tuple(
            Container(entry["name"], container_id(entry.get("id", ""))) for entry in row.get("containers", ())
        ),
    )


def _labels(row: Mapping[str, Any]) -> Mapping[str, str]:
    labels = row.get("labels")
    return MappingProxyType(labels) if labels else NO_LABELS


def _errors(found: Sequence[Diagnostic]) -> bool:
    return has_errors(found)


def schema_text() -> str:
    """The schema as its file has it."""
    return json.dumps(dict(SCHEMA), indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the schema's file, or with ``--check`` say whether it has drifted."""
    current = SCHEMA_FILE.read_text(encoding="utf-8") if SCHEMA_FILE.is_file() else ""
    if current == schema_text():
        return 0
    if "--check" in arguments:
        sys.stderr.write(f"{SCHEMA_FILE} is not what gthulhu_reconcile.observing.snapshot says\n")
        return 1
    SCHEMA_FILE.write_text(schema_text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
