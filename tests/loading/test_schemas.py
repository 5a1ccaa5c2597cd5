"""The committed schemas: what the models give, described throughout, and of one mind with the models."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Protocol, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.exceptions import ValidationError as JsonSchemaError
from jsonschema.validators import extend
from pydantic import ValidationError

from gthulhu_reconcile.loading import schemas
from gthulhu_reconcile.loading.compiling import read_model
from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.loading.schemas import Draft, policy_schema
from gthulhu_reconcile.loading.validator import fits
from gthulhu_reconcile.loading.yamltree import parse
from gthulhu_reconcile.model.diagnostics import Severity

Json = dict[str, object]

FULL: Json = {
    "apiVersion": "policy.gthulhu.io/v1",
    "kind": "SchedulingPolicy",
    "metadata": {"name": "upf-latency", "namespace": "free5gc-team"},
    "spec": {
        "precedence": 100,
        "selector": {
            "namespaces": ["free5gc", "team-*"],
            "matchLabels": {"nf": "upf", "example.com/tier": ""},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["edge"]},
                {"key": "x", "operator": "DoesNotExist"},
            ],
            "nodes": {"names": ["edge-?"], "matchLabels": {"pool": "rt"}},
            "containers": ["upf"],
            "command": "^(upf|nr-gnb)$",
            "commandOn": "comm",
            "all": False,
        },
        "schedule": {
            "priority": 10,
            "timeSlice": "5ms",
            "preempt": True,
            "executionTime": 5_000_000,
            "active": {"cron": "0 8 * * 1-5", "duration": "10h", "timeZone": "Europe/Berlin"},
        },
        "onDelete": "revert",
        "suspend": {"reason": "x", "until": "2026-01-01T00:00:00Z"},
    },
}
NODE: Json = {
    "apiVersion": "policy.gthulhu.io/v1",
    "kind": "NodeSchedulingPolicy",
    "metadata": {"name": "backups"},
    "spec": {"selector": {"units": ["a@*.service"], "cgroups": ["/x.slice/*"]}, "schedule": {"priority": -5}},
}
ODD_VALUES: list[object] = [
    *(None, True, False, 0, 1, -20, 21, 10.0, 10.5, 1e300, "", " ", "a", "A", "a\n", "5ms", "5ms\n", "é", "*"),
    *("a" * 64, "a" * 600, "In", "Exists", "comm", "SchedulingPolicy", "2026-01-01T00:00:00Z"),
    *([], ["a"], ["a", 5], ["a"] * 257, [[]], {}, {"a": "b"}, {"a": 5}, {"-a": "b"}, {"names": []}, {"all": True}),
    *({"key": "a", "operator": "In", "values": ["x"]}, [{"operator": "Exists"}]),
]
KEYS = [
    "a",
    "all",
    "names",
    "values",
    "units",
    "priority",
    "timeSlice",
    "namespace",
    "matchLabels",
    "operator",
    "until",
]


class EditorsValidator(Protocol):
    """What these tests use of jsonschema's validators."""

    def is_valid(self, instance: object) -> bool:
        """Whether the schema takes ``instance``."""

    def check_schema(self, schema: object) -> None:
        """Raise where the schema is none."""


def ecma_pattern(_: object, pattern: str, instance: object, __: object) -> Iterator[JsonSchemaError]:
    """``pattern`` as editors have it: in Python, ``$`` also matches before a last line feed."""
    if isinstance(instance, str) and not fits(pattern, instance):
        yield JsonSchemaError("pattern")


def plain(draft: Draft) -> EditorsValidator:
    """A validator as any editor has it, without our annotations."""
    base = Draft202012Validator if draft == "2020-12" else Draft7Validator
    made = extend(base, {"pattern": ecma_pattern})(policy_schema(draft))  # type: ignore[no-untyped-call] # untyped there
    return cast("EditorsValidator", made)


def model_takes(value: object) -> bool:
    try:
        read_model(value)
    except ValidationError:
        return False
    return True


def containers(value: object) -> Iterator[Json | list[object]]:
    """All mappings and lists in ``value``."""
    if isinstance(value, dict | list):
        yield value
        for entry in value.values() if isinstance(value, dict) else value:
            yield from containers(entry)


@st.composite
def documents(draw: st.DrawFn) -> Json:
    """A right document with none to four things wrong."""
    value = copy.deepcopy(draw(st.sampled_from([FULL, NODE])))
    for _ in range(draw(st.integers(0, 4))):
        target = draw(st.sampled_from(list(containers(value))))
        odd = copy.deepcopy(draw(st.sampled_from(ODD_VALUES)))
        action = draw(st.sampled_from(["put", "drop", "add"]))
        if isinstance(target, list):
            if action == "drop" and target:
                target.pop()
            else:
                target.append(odd)
        elif action == "add" or not target:
            target[draw(st.sampled_from(KEYS))] = odd
        else:
            key = draw(st.sampled_from(sorted(target)))
            if action == "drop":
                del target[key]
            else:
                target[key] = odd
    return value


@given(documents())
def test_schemas_and_models_agree_on_structure(value: Json) -> None:
    takes = model_takes(value)
    assert plain("2020-12").is_valid(value) == takes
    assert plain("7").is_valid(value) == takes


@given(documents())
def test_the_checker_finds_something_exactly_where_the_schema_does(value: Json) -> None:
    """The checker follows discriminators and skips what is told already; it must not lose a mistake by that."""
    tree, problems = parse(json.dumps(value).encode(), "t.json")
    if tree is None or problems:
        return
    found = [finding for finding in check(tree.documents[0], policy_schema()) if finding.severity is Severity.ERROR]
    assert bool(found) == (not plain("2020-12").is_valid(tree.documents[0].value))


@pytest.mark.parametrize("value", [FULL, NODE], ids=["pods", "node"])
def test_the_examples_of_this_test_are_right(value: Json) -> None:
    assert model_takes(value)
    assert plain("2020-12").is_valid(value)


@pytest.mark.parametrize("draft", ["2020-12", "7"])
def test_the_schema_is_a_schema_and_every_property_is_described_and_closed(draft: Draft) -> None:
    schema = policy_schema(draft)
    plain(draft).check_schema(dict(schema))
    for part in containers(schema):
        if isinstance(part, dict) and isinstance(part.get("properties"), dict) and part.get("type") == "object":
            assert part["additionalProperties"] is False
            for name, described in cast("Mapping[str, Mapping[str, object]]", part["properties"]).items():
                assert described.get("description"), name


def test_nothing_beside_a_reference_is_lost_in_draft_7() -> None:
    assert not [part for part in containers(policy_schema("7")) if "$ref" in part and len(part) > 1]
    assert "$defs" not in policy_schema("7")


def test_the_committed_schemas_are_what_the_models_give() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gthulhu_reconcile.loading.schemas", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_schema_out_of_date_is_noticed(tmp_path: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "schema_directory", lambda: tmp_path)
    assert schemas.main(["--check"]) == 1
    assert schemas.main([]) == 0
    assert schemas.main(["--check"]) == 0
