"""The example policies, the starter, and the values that a document compiles to."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policy_texts import node_policy, only_policy, scheduling_policy

from gthulhu_reconcile.loading import durations, patterns, zones
from gthulhu_reconcile.loading.policies import load
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.starter import starter_policy
from gthulhu_reconcile.model.policy import NodeTerms, Operator, PolicyKind, Requirement, Selector, Suspension, Window
from gthulhu_reconcile.planning.options import Protection
from gthulhu_wire.intents import CommandOn, OnDelete, Schedule

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLES = sorted((ROOT / "policies").glob("*.yaml"))


def test_the_example_policies_have_no_mistakes() -> None:
    loaded = load([str(ROOT / "policies")], protected=Protection())
    assert loaded.diagnostics == ()
    assert {policy.kind for policy in loaded.policies} == set(PolicyKind)
    assert any(policy.window for policy in loaded.policies)
    assert len(loaded.files) == len(EXAMPLES) >= 5


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_tells_editors_its_schema(path: Path) -> None:
    line = path.read_text(encoding="utf-8").splitlines()[0]
    schema = line.removeprefix("# yaml-language-server: $schema=")
    assert schema != line
    assert (path.parent / schema).resolve() == ROOT / "schemas" / "policy-v1.draft-7.json"


def test_the_first_policy_of_a_user_is_right_and_shows_the_schema() -> None:
    text = starter_policy(schema="../schemas/policy-v1.draft-7.json", path="policies/first.yaml")
    loaded = load(["-"], stdin=io.BytesIO(text.encode()), protected=Protection())
    assert (loaded.diagnostics, len(loaded.policies)) == ((), 1)
    assert text.startswith("# yaml-language-server: $schema=../schemas/policy-v1.draft-7.json\n")
    assert "policies/first.yaml" in text


def test_all_fields_arrive() -> None:
    policy = only_policy(
        scheduling_policy(
            selector="""
    namespaces: [free5gc, "team-*"]
    matchLabels: {nf: upf}
    matchExpressions:
      - {key: tier, operator: In, values: [edge, core, edge]}
      - {key: a, operator: NotIn, values: [x]}
      - {key: b, operator: Exists}
      - {key: c, operator: DoesNotExist}
    nodes: {names: ["edge-*"], matchLabels: {pool: rt}, matchExpressions: [{key: old, operator: DoesNotExist}]}
    containers: [upf]
    command: "^(upf|nr-gnb)$"
    commandOn: thread""",
            schedule="{priority: -20, timeSlice: 1.5ms, preempt: true,"
            " active: {cron: ' 0  8 * * 1-5', duration: 1h30m, timeZone: Europe/Berlin}}",
            more="  precedence: 7\n  onDelete: orphan\n  suspend: {reason: x, until: 2026-01-01T01:00:00+01:00}\n",
        )
    )
    assert policy.selector == Selector(
        namespaces=("free5gc", "team-*"),
        labels=(
            Requirement("a", Operator.NOT_IN, ("x",)),
            Requirement("b", Operator.EXISTS),
            Requirement("c", Operator.DOES_NOT_EXIST),
            Requirement("nf", Operator.IN, ("upf",)),
            Requirement("tier", Operator.IN, ("core", "edge")),
        ),
        nodes=NodeTerms(
            ("edge-*",), (Requirement("old", Operator.DOES_NOT_EXIST), Requirement("pool", Operator.IN, ("rt",)))
        ),
        containers=("upf",),
        command="^(upf|nr-gnb)$",
        command_on=CommandOn.THREAD,
    )
    assert policy.schedule == Schedule(-20, 1_500_000, preempt=True)
    assert policy.window == Window("0 8 * * 1-5", 5_400, "Europe/Berlin")
    assert policy.suspension == Suspension("x", 1_767_225_600)
    assert (policy.precedence, policy.on_delete, policy.line) == (7, OnDelete.ORPHAN, 1)


def test_what_is_absent_is_the_default() -> None:
    policy = only_policy(scheduling_policy(selector="{all: true}", schedule="{preempt: false}"))
    assert policy.selector == Selector(everything=True)
    assert policy.schedule == Schedule()
    assert (policy.ref.namespace, policy.precedence, policy.on_delete) == ("default", 0, OnDelete.REVERT)
    assert (policy.window, policy.suspension) == (None, None)


def test_a_policy_for_nodes_selects_processes() -> None:
    policy = only_policy(node_policy(selector='{units: ["a@*.service"], cgroups: ["/x.slice/*"], command: y}'))
    assert policy.kind is PolicyKind.NODE
    assert policy.selector == Selector(units=("a@*.service",), cgroups=("/x.slice/*",), command="y")


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [("5ms", 5_000_000), ("100us", 100_000), ("1h30m", 5_400 * 10**9), ("0.5us", 500), ("7d", 604_800 * 10**9)],
)
def test_durations_are_exact(text: str, nanoseconds: int) -> None:
    assert durations.parse(text) == nanoseconds


@pytest.mark.parametrize(
    "text", ["", "5", "ms", "5 ms", "-5ms", "5ms ", "5ms\n", "1e3s", "0.5ns", "5µs", ".5s", "9" * 70 + "s"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a duration is|is not a whole"):
        durations.parse(text)


@given(st.integers(0, 10**18))
def test_a_rendered_duration_reads_back(nanoseconds: int) -> None:
    assert durations.parse(durations.render(nanoseconds)) == nanoseconds


@pytest.mark.parametrize("name", ["localtime", "posixrules", "../../etc/passwd", "", "Europe", "europe/berlin", "\0"])
def test_zones_mean_the_same_on_every_machine(name: str) -> None:
    assert zones.zone(name) is None


def test_every_zone_that_is_named_can_be_read() -> None:
    assert [name for name in sorted(zones.names()) if zones.zone(name) is None] == []


@pytest.mark.parametrize("pattern", ["(", "a(?=b)", r"\1", "(.{1,1000}){1,1000}", "[z-a]", "(?<x>"])
def test_patterns_are_re2s_and_bounded(pattern: str) -> None:
    assert patterns.problem(pattern)
    assert len(patterns.problem(pattern)) < 100
    assert patterns.problem(r"^\d+[[:alpha:]]\pL$") == ""


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("priorty", "priority"),
        ("PRIORITY", "priority"),
        ("time_slice", "timeSlice"),
        ("matchLabel", "matchLabels"),
        ("x", ""),
        ("colour", ""),
        ("p" * 1_000_000, ""),
    ],
)
def test_did_you_mean(word: str, meant: str) -> None:
    assert resembling(word, ["priority", "timeSlice", "preempt", "matchLabels", "matchExpressions"]) == meant


def test_unprintable_patterns_are_quoted_printably() -> None:
    """RE2 quotes the pattern in what it says, line separators and all."""
    assert "\u2028" in patterns.problem("[0\u2028-9]")
    loaded = load(["-"], stdin=io.BytesIO(scheduling_policy(selector='{command: "[0\u2028-9]"}').encode()))
    assert [finding.message.isprintable() for finding in loaded.diagnostics] == [True]
