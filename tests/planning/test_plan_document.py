"""The plan as other programs read it."""

from __future__ import annotations

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning_strategies import NODES, World, later, worlds
from planning_values import ME, applied, fresh, label, node_policy, pod, policy, settled

from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.plan_document import SCHEMA_NAME, PlanDocument, main, plan_schema, plan_to_json
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import Schedule


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    before: World = draw(worlds)
    accepted = applied(plan(before.candidates, before.observed, fresh(*NODES), before.options), fresh(*NODES))
    after: World = draw(later(before))
    return plan(after.candidates, after.observed, accepted, after.options)


@settings(max_examples=15)
@given(plans())
def test_every_plan_is_as_the_schema_says(made: Plan) -> None:
    text = json.dumps(plan_to_json(made))
    jsonschema.Draft202012Validator(plan_schema()).validate(json.loads(text))
    read = PlanDocument.model_validate_json(text)
    assert read.model_dump(by_alias=True, mode="json") == json.loads(text), "no key is there that is not described"


def test_a_plan_reads_like_this() -> None:
    observed = Observed.of([pod("web", labels={"app": "web"}, containers={"main": "id-1"})])
    before = [policy("p", labels=[label("app", "web")], line=3)]
    after = [
        policy("p", labels=[label("app", "web")], line=7, schedule=Schedule(-2, 5_000_000, True), ends_at=3_600),
        node_policy("host", units=["a.service"]),
    ]
    document = plan_to_json(plan(after, observed, settled(before, observed), ME))
    assert list(document)[:4] == ["formatVersion", "id", "summary", "held"]
    changes = document["changes"]
    assert isinstance(changes, list)
    add, update = changes
    assert (add["action"], add["pod"], add["before"], add["after"]["units"]) == ("add", None, None, ["a.service"])
    assert update == {
        "action": "update",
        "node": "n1",
        "pod": {"namespace": "shop", "name": "web", "uid": "web"},
        "command": None,
        "policy": {"namespace": "default", "name": "p", "source": "policies/all.yaml", "line": 7},
        "before": side(priority=5, rank=0),
        "after": side(priority=-2, timeSlice=5_000_000, preempt=True, endsAt="1970-01-01T01:00:00Z", rank=0),
        "reason": "terms-changed",
    }
    assert document["digests"].keys() == document["bases"].keys() == {"n1"}  # type: ignore[attr-defined]  # objects


def side(**parts: object) -> dict[str, object]:
    usual: dict[str, object] = {
        "priority": 0,
        "timeSlice": None,
        "preempt": False,
        "command": None,
        "commandOn": "comm",
        "units": [],
        "cgroups": [],
        "released": [],
        "onDelete": "revert",
        "endsAt": None,
        "source": "policies/all.yaml",
        "containers": None,
    }
    return {**usual, **parts}


@pytest.mark.parametrize("candidates", [[], [policy("a"), policy("b")]])
def test_empty_and_tied_plans(candidates: list[Candidate]) -> None:
    observed = Observed.of([pod("web")])
    document = plan_to_json(plan(candidates, observed, fresh("n1"), ME))
    jsonschema.Draft202012Validator(plan_schema()).validate(document)
    assert [tie["count"] for tie in document["ties"]] == ([1] if candidates else [])  # type: ignore[attr-defined]  # a list


def test_the_schema_is_what_the_models_give(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"]) == 0, capsys.readouterr().err
    assert SCHEMA_NAME == "plan-v1.json"


def test_every_property_of_the_schema_is_described() -> None:
    schema = plan_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    parts = [schema, *schema["$defs"].values()]  # type: ignore[attr-defined]  # an object
    for part in parts:
        assert part["description"]
        for name, body in part.get("properties", {}).items():
            assert body.get("description"), name
