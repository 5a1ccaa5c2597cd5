"""Every change says why, from a closed list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from planning_values import ME, label, node_policy, pod, policy, settled

from gthulhu_reconcile.model.plan import Action, Plan, Reason
from gthulhu_reconcile.model.pods import Node, Phase, Pod
from gthulhu_reconcile.model.policy import Candidate, NodeTerms, Standing, Suspension, Window
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import NamespaceLimits, Options, Protection
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import OnDelete, Schedule

WEB = pod("web", labels={"app": "web"}, containers={"main": "id-1", "proxy": "id-2"})
P = policy("p", labels=[label("app", "web")], window=Window("0 8 * * *", 60, "UTC"))
NODES = [Node("n1", {"pool": "rt"})]


def changed(
    before: Sequence[Candidate],
    after: Sequence[Candidate],
    *,
    first: Pod = WEB,
    then: Sequence[Pod] = (WEB,),
    nodes: Sequence[Node] = NODES,
    options: Options = ME,
) -> Plan:
    accepted = settled(before, Observed.of([first], NODES))
    return plan(after, Observed.of(then, nodes), accepted, options)


def edited(**parts: object) -> Candidate:
    return replace(P, policy=replace(P.policy, **parts))  # type: ignore[arg-type]  # fields of a policy


def selecting(**parts: object) -> Candidate:
    return edited(selector=replace(P.policy.selector, **parts))  # type: ignore[arg-type]  # fields of a selector


def only(made: Plan) -> tuple[Action, Reason]:
    (change,) = made.changes
    return change.action, change.reason


def test_an_add_is_a_new_match() -> None:
    assert only(changed([], [P])) == (Action.ADD, Reason.NEW_MATCH)


@pytest.mark.parametrize(
    "after",
    [
        edited(schedule=Schedule(priority=6)),
        edited(on_delete=OnDelete.ORPHAN),
        selecting(command="^x$"),
    ],
)
def test_other_terms(after: Candidate) -> None:
    assert only(changed([P], [after])) == (Action.UPDATE, Reason.TERMS_CHANGED)


def test_other_containers() -> None:
    assert only(changed([P], [selecting(containers=("main",))])) == (Action.UPDATE, Reason.CONTAINERS_CHANGED)


def test_a_restarted_container() -> None:
    restarted = pod("web", labels={"app": "web"}, containers={"main": "id-3", "proxy": "id-2"})
    both = selecting(containers=("main", "proxy"))
    assert only(changed([both], [both], then=[restarted])) == (Action.UPDATE, Reason.CONTAINERS_CHANGED)


def test_another_rank() -> None:
    made = changed([P], [P, policy("q", precedence=1, command="x")])
    assert [(change.action, change.reason) for change in made.changes] == [
        (Action.ADD, Reason.NEW_MATCH),
        (Action.UPDATE, Reason.RANK_CHANGED),
    ]


def test_another_end_of_the_window() -> None:
    assert only(changed([P], [replace(P, ends_at=7)])) == (Action.UPDATE, Reason.WINDOW_CHANGED)


def test_another_file() -> None:
    moved = edited(ref=replace(P.policy.ref, source="policies/other.yaml"), line=40)
    made = changed([P], [moved])
    assert only(made) == (Action.UPDATE, Reason.MOVED)
    assert (made.changes[0].policy.source, made.changes[0].line) == ("policies/other.yaml", 40)


def test_another_name_of_the_pod() -> None:
    """An agent finds a pod by its cgroup, and learns its name later: the digest differs, so the plan must say why."""
    nameless = replace(WEB, ref=replace(WEB.ref, namespace="shop", name=""))
    assert only(changed([P], [P], first=nameless)) == (Action.UPDATE, Reason.MOVED)


def test_a_policy_that_is_gone() -> None:
    made = changed([P], [])
    assert only(made) == (Action.DELETE, Reason.POLICY_REMOVED)
    assert made.changes[0].line == 0
    assert made.changes[0].policy == P.policy.ref


def test_a_policy_outside_of_its_window() -> None:
    assert only(changed([P], [replace(P, standing=Standing.INACTIVE)])) == (Action.DELETE, Reason.POLICY_INACTIVE)


def test_a_suspended_policy() -> None:
    after = replace(edited(suspension=Suspension("why")), standing=Standing.SUSPENDED)
    assert only(changed([P], [after])) == (Action.DELETE, Reason.POLICY_SUSPENDED)


@pytest.mark.parametrize(
    "after",
    [selecting(labels=(label("app", "db"),)), selecting(nodes=NodeTerms(names=("n2",))), selecting(namespaces=("x",))],
)
def test_a_policy_that_selects_the_pod_no_more(after: Candidate) -> None:
    assert only(changed([P], [after])) == (Action.DELETE, Reason.NO_LONGER_SELECTED)


def test_a_pod_whose_labels_changed() -> None:
    other = replace(WEB, labels={"app": "db"})
    assert only(changed([P], [P], then=[other])) == (Action.DELETE, Reason.NO_LONGER_SELECTED)


def test_a_node_whose_labels_changed() -> None:
    on_pool = selecting(nodes=NodeTerms(labels=(label("pool", "rt"),)))
    assert only(changed([on_pool], [on_pool], nodes=[Node("n1")])) == (Action.DELETE, Reason.NO_LONGER_SELECTED)


@pytest.mark.parametrize(
    "options",
    [
        Options("me", protection=Protection(namespaces=("shop",))),
        Options("me", limits=(("shop", NamespaceLimits(priority_max=4)),)),
    ],
)
def test_a_setting_that_forbids_it_now(options: Options) -> None:
    assert only(changed([P], [P], options=options)) == (Action.DELETE, Reason.NOT_ALLOWED)


def test_a_setting_that_forbids_a_node_policy_now() -> None:
    of_node = node_policy("u", units=["cron.service"])
    options = Options("me", protection=Protection(units=("cron.service",)))
    assert only(changed([of_node], [of_node], options=options)) == (Action.DELETE, Reason.NOT_ALLOWED)


def test_a_stronger_policy_that_takes_all() -> None:
    made = changed([P], [P, policy("q", precedence=1)])
    assert {(change.action, change.reason) for change in made.changes} == {
        (Action.ADD, Reason.NEW_MATCH),
        (Action.DELETE, Reason.SHADOWED),
    }


@pytest.mark.parametrize("then", [[], [replace(WEB, phase=Phase.SUCCEEDED)], [replace(WEB, node="n2")]])
def test_a_pod_that_is_gone_is_forgotten_not_deleted(then: list[Pod]) -> None:
    assert only(changed([P], [P], then=then)) == (Action.FORGET, Reason.POD_GONE)
    assert only(changed([P], [], then=then)) == (Action.FORGET, Reason.POD_GONE)


def test_an_orphan_is_forgotten() -> None:
    orphan = edited(on_delete=OnDelete.ORPHAN)
    assert only(changed([orphan], [])) == (Action.FORGET, Reason.ORPHANED)


def test_a_policy_of_the_same_name_for_nodes_is_another_one() -> None:
    made = changed([P], [node_policy("p")])
    assert [(change.pod is None, change.action, change.reason) for change in made.changes] == [
        (True, Action.ADD, Reason.NEW_MATCH),
        (False, Action.DELETE, Reason.POLICY_REMOVED),
    ]
