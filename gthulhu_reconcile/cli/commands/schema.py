"""``schema``: JSON Schemas, as they are committed under ``schemas/``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import cast

import click

from gthulhu_reconcile.cli.terminal import Terminal
from gthulhu_reconcile.errors import UsageError
from gthulhu_reconcile.loading.schemas import read_schema

POLICIES = ("SchedulingPolicy", "NodeSchedulingPolicy")
FILES = {
    ("policy", "2020-12"): "policy-v1.json",
    ("policy", "7"): "policy-v1.draft-7.json",
    ("PolicyTest", "2020-12"): "policy-test-v1.json",
    ("PolicyTest", "7"): "policy-test-v1.draft-7.json",
    ("settings", "2020-12"): "settings-v1.json",
    ("plan", "2020-12"): "plan-v1.json",
    ("pods", "2020-12"): "pods-v1.json",
}
KINDS = (*POLICIES, *dict.fromkeys(kind for kind, _ in FILES))


@click.command("schema")
@click.argument("kind", type=click.Choice(KINDS), default="policy")
@click.option("--draft", type=click.Choice(["2020-12", "7"]), default="2020-12", help="Editors mostly want 7.")
def command(*, kind: str, draft: str) -> None:
    """Print the JSON Schema of KIND; policy, the default, is both kinds of policies."""
    name = FILES.get(("policy" if kind in POLICIES else kind, draft))
    if name is None:
        raise UsageError(f"the schema of {kind} has no draft {draft} form")
    schema = read_schema(name)
    document = narrowed(schema, kind) if kind in POLICIES else schema
    Terminal().data(json.dumps(document, indent=2, ensure_ascii=False))


def narrowed(schema: Mapping[str, object], kind: str) -> dict[str, object]:
    """The schema of one kind of policies, with everything that it refers to."""
    definitions = "$defs" if "$defs" in schema else "definitions"
    parts = cast("Mapping[str, object]", schema[definitions])
    body = dict(cast("Mapping[str, object]", parts[f"{kind}Document"]))
    return {"$schema": schema["$schema"], "title": kind, **body, definitions: parts}
