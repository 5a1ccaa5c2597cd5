"""Which nodes are planned, and what the settings keep from policies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_values import ME, applied, fresh, holding, node_policy, pod, pods, policy

from gthulhu_reconcile.model.accepted import Accepted, Unreachable
from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import NamespaceLimits, Options, Protection
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import Schedule

P = policy("p")


def test_a_node_that_another_owner_holds_is_left_alone() -> None:
    theirs = {"n1": Accepted("n1", owner="them", generation=3)}
    made = plan([P], Observed.of([pod("web")]), theirs, ME)
    assert made.unreachable == (Unreachable("n1", "owned by them; --adopt takes it over"),)
    assert (made.desired, made.changes) == ({}, ())


def test_a_node_that_is_adopted_is_told_so_even_where_nothing_else_differs() -> None:
    observed = Observed.of([pod("web")])
    wanted = plan([P], observed, fresh("n1"), ME).desired["n1"]
    theirs = {"n1": holding("n1", wanted, owner="them")}
    made = plan([P], observed, theirs, replace(ME, adopt=True))
    assert (made.changes, made.adopted, made.changed_nodes) == ((), ("n1",), ("n1",))
    again = plan([P], observed, applied(made, theirs), replace(ME, adopt=True))
    assert (again.adopted, again.changed_nodes) == ((), ())


def test_a_node_without_agent_is_said() -> None:
    observed = Observed.of([pod("web", node="n9"), pod("db")], [Node("n7"), Node("n8")])
    made = plan([P, node_policy("u", nodes=None)], observed, fresh("n1"), ME)
    assert made.unreachable == tuple(Unreachable(node, "no agent") for node in ("n7", "n8", "n9"))
    made = plan([P], observed, fresh("n1"), ME)
    assert made.unreachable == (Unreachable("n9", "no agent"),), "an empty node misses nothing"


def test_an_unreachable_node_is_not_planned_and_not_empty() -> None:
    observed = Observed.of([pod("web"), pod("db", node="n2")])
    made = plan([P], observed, fresh("n2"), ME, unreachable=[Unreachable("n1", "timed out")])
    assert made.unreachable == (Unreachable("n1", "timed out"),)
    assert set(made.desired) == {"n2"}


def test_only_some_nodes() -> None:
    observed = Observed.of([pod("a", node="n1"), pod("b", node="n2"), pod("c", node="m1"), pod("d", node="m2")])
    made = plan([P], observed, fresh("n1", "n2", "m1"), replace(ME, only_nodes=("n*", "m2")))
    assert set(made.desired) == {"n1", "n2"}
    assert made.unreachable == (Unreachable("m2", "no agent"),)
    assert made.summary.matched == 2


RELEASED = replace(ME, protection=Protection(released=("kube-system", "kubelet.service")))


@pytest.mark.parametrize(
    ("namespaces", "options", "reaches"),
    [
        ([], ME, False),
        ([], RELEASED, False),
        (["kube-*"], RELEASED, False),
        (["kube-system"], ME, False),
        (["kube-system"], RELEASED, True),
        (["shop", "kube-system"], RELEASED, True),
    ],
)
def test_protected_namespaces_take_an_exact_name_and_a_release(
    namespaces: list[str], options: Options, reaches: bool
) -> None:
    observed = Observed.of([pod("dns", namespace="kube-system")])
    made = plan([policy("p", namespaces=namespaces)], observed, fresh("n1"), options)
    assert bool(made.desired["n1"]) is reaches


@pytest.mark.parametrize(
    ("units", "options", "released"),
    [
        (["kubelet.service"], ME, None),
        (["kubelet.service", "sshd.service"], RELEASED, ("kubelet.service",)),
        (["sshd.service"], RELEASED, None),
        (["kube*"], RELEASED, ()),
        (["cron.service"], RELEASED, ()),
        ([], RELEASED, ()),
    ],
)
def test_protected_units_take_an_exact_name_and_a_release(
    units: list[str], options: Options, released: tuple[str, ...] | None
) -> None:
    made = plan([node_policy("u", units=units)], Observed.of([]), fresh("n1"), options)
    assert [intent.terms.released for intent in made.desired["n1"]] == ([] if released is None else [released])


@pytest.mark.parametrize(
    ("limits", "schedule", "allowed"),
    [
        (NamespaceLimits(priority_max=5), Schedule(priority=5), True),
        (NamespaceLimits(priority_max=5), Schedule(priority=6), False),
        (NamespaceLimits(priority_min=-3), Schedule(priority=-4), False),
        (NamespaceLimits(preempt=False), Schedule(preempt=True), False),
        (NamespaceLimits(preempt=False), Schedule(priority=1), True),
        (NamespaceLimits(time_slice_min_ns=200_000), Schedule(time_slice_ns=100_000), False),
        (NamespaceLimits(time_slice_max_ns=200_000), Schedule(time_slice_ns=200_001), False),
        (NamespaceLimits(time_slice_min_ns=200_000), Schedule(priority=1), True),
    ],
)
def test_limits_bind_the_pods_of_the_namespace(limits: NamespaceLimits, schedule: Schedule, allowed: bool) -> None:
    observed = Observed.of([pod("in"), pod("out", namespace="free")])
    options = replace(ME, limits=(("shop", limits),))
    made = plan([policy("p", schedule=schedule)], observed, fresh("n1"), options)
    reached = {intent.pod.name for intent in made.desired["n1"] if intent.pod is not None}
    assert reached == ({"in", "out"} if allowed else {"out"})


def test_the_exact_name_of_a_namespace_limits_it_before_any_glob() -> None:
    limits = (("*", NamespaceLimits(priority_max=0)), ("shop", NamespaceLimits()), ("sh*", NamespaceLimits()))
    observed = Observed.of([pod("in"), pod("out", namespace="shed")])
    made = plan([P], observed, fresh("n1"), replace(ME, limits=limits))
    assert [intent.pod.name for intent in made.desired["n1"] if intent.pod] == ["in"]


def test_a_node_policy_is_limited_by_the_namespace_that_owns_it() -> None:
    options = replace(ME, limits=(("team", NamespaceLimits(priority_max=0)),))
    candidates = [node_policy("theirs", namespace="team"), node_policy("ours", units=["a.service"])]
    made = plan(candidates, Observed.of([]), fresh("n1"), options)
    assert [intent.terms.policy.name for intent in made.desired["n1"]] == ["ours"]


def test_a_pod_that_two_agents_report_is_planned_once() -> None:
    twice = [pod("web", node="n2"), pod("web", node="n1")]
    for order in (twice, twice[::-1]):
        made = plan([P], Observed.of(order), fresh("n1", "n2"), ME)
        assert [len(made.desired[node]) for node in ("n1", "n2")] == [0, 1]


def test_a_policy_that_came_twice_is_planned_once() -> None:
    twice = [policy("p", source="b.yaml"), policy("p", source="a.yaml")]
    for order in (twice, twice[::-1]):
        made = plan(order, Observed.of(pods(1)), fresh("n1"), ME)
        assert [intent.terms.policy.source for intent in made.desired["n1"]] == ["a.yaml"]


def test_a_unit_that_only_the_agent_protects_can_be_released() -> None:
    """``released`` had no effect on a unit of the agent's own list, so the agent refused it for ever."""
    protection = Protection(units=(), released=("podman.service",))
    assert protection.released_units(("podman.service", "restic.service")) == ("podman.service",)
