"""The document that describes the API says what the server does: routes, answers, refusals, and the file in docs/."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_harness import SECRET, desired, intent, running
from hypothesis import given
from jsonschema import Draft202012Validator
from wire_strategies import SETS

from gthulhu_agent.api import openapi
from gthulhu_agent.api.calls import ROUTES
from gthulhu_agent.api.handlers import Handlers
from gthulhu_wire.intents import DesiredSet, Intent

COMMITTED = Path(__file__).parents[2] / "docs/agent-openapi.json"
DOCUMENT: dict[str, Any] = openapi.document()


def validator(name: str) -> Draft202012Validator:
    schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)


def test_the_committed_document_is_what_the_code_gives(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert openapi.main(["--check", str(COMMITTED)]) == 0
    stale = tmp_path / "stale.json"
    stale.write_text("{}")
    assert openapi.main(["--check", str(stale)]) == 1
    assert "is not what the code gives" in capsys.readouterr().err
    assert openapi.main(["--write", str(stale)]) == 0
    assert stale.read_text() == COMMITTED.read_text()


def test_every_route_has_a_handler_and_nothing_else_has() -> None:
    handlers = {name for name in vars(Handlers) if not name.startswith("_")} - {"close"}
    assert handlers == {route.operation for route in ROUTES}
    described = {
        (method.upper(), path): operation["operationId"]
        for path, operations in DOCUMENT["paths"].items()
        for method, operation in operations.items()
    }
    assert described == {(route.method, route.path): route.operation for route in ROUTES}


def properties(value: object, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(value, dict):
        for name, schema in value.get("properties", {}).items():
            yield f"{path}.{name}", schema
        for name, inner in value.items():
            yield from properties(inner, f"{path}.{name}")
    if isinstance(value, list):
        for inner in value:
            yield from properties(inner, path)


def test_every_property_is_described() -> None:
    bare = [
        path
        for path, schema in properties(DOCUMENT["components"]["schemas"])
        if not ({"description", "$ref", "const"} & schema.keys())
        and not any({"description", "$ref"} & one.keys() for one in schema.get("anyOf", []))
    ]
    assert bare == []


@given(SETS)
def test_every_set_that_one_side_writes_is_one(intents: tuple[Intent, ...]) -> None:
    validator("DesiredSet").validate(json.loads(json.dumps(DesiredSet("main", 0, 1, intents).as_json())))


async def test_every_answer_is_as_described(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent:
        validator("Acknowledgement").validate((await agent.put(desired(1, intent("web"))))[1])
        await agent.next_pass()
        for path, schema in (
            ("/v1/desired", "DesiredSet"),
            ("/v1/digest", "Acknowledgement"),
            ("/v1/state", "State"),
            ("/v1/pods", "Pods"),
            ("/v1/processes/1000", "Process"),
            ("/v1/health", "Health"),
            ("/v1/ready", "Ready"),
            ("/v1/version", "Version"),
        ):
            status, value = await agent.get(path)
            assert status == 200, path
            validator(schema).validate(value)
        validator("Reverted").validate((await agent.post("/v1/revert"))[1])
        for headers in ({}, {"Authorization": ""}):
            status, value = await agent.get("/v1/ready", headers=headers)
            assert status == 503
            validator("Ready").validate(value)
        validator("State").validate((await agent.get("/v1/state"))[1])
        validator("Resumed").validate((await agent.post("/v1/resume"))[1])
        assert (await agent.get("/v1/openapi.json"))[1] == DOCUMENT


async def test_every_refusal_is_as_described(tmp_path: Path) -> None:
    async with running(tmp_path, secret=SECRET) as agent:
        await agent.put(desired(1))
        for status, refusal in (
            await agent.put(b"{"),
            await agent.put(desired(1, intent("web"))),
            await agent.put(desired(2, owner="other")),
            await agent.get("/v1/nothing"),
            await agent.get("/v1/digest", headers={"Authorization": "Bearer no"}),
            await agent.get("/v1/processes/4000000"),
            await agent.post("/v1/digest"),
        ):
            assert status >= 400
            validator("Refusal").validate(refusal)
