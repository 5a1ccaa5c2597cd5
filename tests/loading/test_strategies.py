"""Gthulhu's strategies become policies: same meaning, nothing dropped, places kept."""

from __future__ import annotations

import json

import pytest
from policy_texts import load_text, only_policy

from gthulhu_reconcile.model.diagnostics import Code, Severity
from gthulhu_reconcile.model.policy import Operator, Requirement
from gthulhu_wire.intents import Schedule

LIST_ANSWER = """\
{"success":true,"data":{"strategies":[{"ID":"69afe18156b0ab11513bd8f2","StrategyNamespace":"team-a",
 "LabelSelectors":[{"key":"app","value":"upf"},{"key":"tier","value":""}],"K8sNamespace":["free5gc","core"],
 "CommandRegex":"upf|nr-gnb","Priority":10,"ExecutionTime":20000000}]},"timestamp":"2026-03-10T08:00:00Z"}
"""


def test_an_answer_of_the_api_is_taken_as_it_is() -> None:
    policy = only_policy(LIST_ANSWER)
    assert (policy.ref.namespace, policy.ref.name, policy.ref.source) == (
        "team-a",
        "69afe18156b0ab11513bd8f2",
        "<stdin>",
    )
    assert policy.selector.namespaces == ("free5gc", "core")
    assert policy.selector.labels == (
        Requirement("app", Operator.IN, ("upf",)),
        Requirement("tier", Operator.EXISTS),
    )
    assert policy.selector.command == "upf|nr-gnb"
    assert policy.schedule == Schedule(10, 20_000_000)


def test_one_a_list_and_a_request_mean_the_same() -> None:
    strategy = {"strategyId": "a1", "labelSelectors": [{"key": "app", "value": "x"}], "priority": 3}
    one, several, wrapped = (
        only_policy(json.dumps(form)) for form in (strategy, [strategy], {"strategies": [strategy]})
    )
    assert one == several == wrapped


def test_terms_for_one_key_must_all_hold() -> None:
    strategy = {"labelSelectors": [{"key": "a", "value": "x"}, {"key": "a", "value": "y"}], "priority": 1}
    labels = only_policy(json.dumps(strategy)).selector.labels
    assert labels == (Requirement("a", Operator.IN, ("x",)), Requirement("a", Operator.IN, ("y",)))


def test_zero_is_not_asked_for() -> None:
    strategy = {"labelSelectors": [{"key": "a", "value": "x"}], "priority": 0, "executionTime": 0}
    assert only_policy(json.dumps(strategy)).schedule == Schedule()


def test_a_strategy_without_id_keeps_its_name_when_the_list_is_reordered() -> None:
    one = {"labelSelectors": [{"key": "a", "value": "x"}], "priority": 1}
    two = {"labelSelectors": [{"key": "a", "value": "y"}], "priority": 1}
    names = [policy.ref.name for policy in load_text(json.dumps([one, two])).policies]
    assert names == [policy.ref.name for policy in load_text(json.dumps([two, one])).policies]
    assert len(set(names)) == 2


@pytest.mark.parametrize("text", ["[]", '{"strategies": []}', '{"success": true, "data": {"strategies": []}}'])
def test_an_empty_list_of_strategies_was_called_a_wrong_type(text: str) -> None:
    loaded = load_text(text)
    (finding,) = loaded.diagnostics
    assert (finding.code, finding.severity) == (Code.NO_POLICIES, Severity.WARNING)
    assert finding.message == "there is nothing in this list of strategies"
    assert loaded.unreadable == ()


def test_every_strategy_has_its_own_line() -> None:
    text = '[{"ID": "a", "commandRegex": "x", "priority": 1},\n {"ID": "b", "commandRegex": "x", "priority": 1}]'
    assert [policy.line for policy in load_text(text).policies] == [1, 2]


@pytest.mark.parametrize(
    ("strategy", "code", "pointer"),
    [
        ({"labelSelectors": [{"key": "", "value": "x"}]}, Code.BAD_FORMAT, "/labelSelectors/0/key"),
        ({"labelSelectors": [{"value": "x"}]}, Code.MISSING_KEY, "/labelSelectors/0"),
        ({"labelSelectors": [{"key": "a in (b)", "value": ""}]}, Code.BAD_FORMAT, "/labelSelectors/0/key"),
        ({"labelSelectors": [{"key": "a", "value": 5}]}, Code.WRONG_TYPE, "/labelSelectors/0/value"),
        ({"labelSelectors": [{"key": "a", "op": "x"}]}, Code.UNKNOWN_KEY, "/labelSelectors/0/op"),
        ({"labelSelectors": "x"}, Code.WRONG_TYPE, "/labelSelectors"),
        ({"commandRegex": "("}, Code.BAD_PATTERN, "/commandRegex"),
        ({"commandRegex": "x", "priority": 99}, Code.OUT_OF_RANGE, "/priority"),
        ({"commandRegex": "x", "executionTime": 5}, Code.OUT_OF_RANGE, "/executionTime"),
        ({"commandRegex": "x", "executionTime": "20ms"}, Code.WRONG_TYPE, "/executionTime"),
        ({"commandRegex": "x", "executionTime": True}, Code.WRONG_TYPE, "/executionTime"),
        ({"commandRegex": "x", "labelSelector": []}, Code.UNKNOWN_KEY, "/labelSelector"),
        ({"commandRegex": "x", "CommandRegex": "y"}, Code.DUPLICATE_KEY, "/CommandRegex"),
        ({"commandRegex": "x", "k8sNamespace": ["A"]}, Code.BAD_FORMAT, "/k8sNamespace/0"),
        ({"commandRegex": "x", "strategyNamespace": "My team"}, Code.BAD_FORMAT, "/strategyNamespace"),
        ({"labelSelectors": []}, Code.EMPTY_SELECTOR, ""),
        ({"labelSelectors": [], "k8sNamespace": [""]}, Code.EMPTY_SELECTOR, ""),
    ],
)
def test_a_mistake_points_into_the_strategy(strategy: dict[str, object], code: Code, pointer: str) -> None:
    loaded = load_text(json.dumps({"priority": 1, **strategy}))
    found = [(finding.code, finding.pointer) for finding in loaded.diagnostics]
    assert found == [(code, pointer)]
    assert loaded.policies == ()


def test_a_misspelt_selector_never_selects_more() -> None:
    """Gthulhu drops keys that it does not know, and then matches every pod of the namespace."""
    loaded = load_text('{"k8sNamespace": ["a"], "labelSelectorz": [{"key": "a", "value": "b"}], "priority": 1}')
    assert loaded.policies == ()
    assert loaded.diagnostics[0].suggestion == "labelSelectors"
