"""Which policies a pod gets, in which order, and what stronger ones keep from it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_values import ME, fresh, label, node_policy, pod, policy

from gthulhu_reconcile.model.plan import Plan, Tie
from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.model.policy import Candidate, NodeTerms, Operator, Requirement
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options, Protection
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import PolicyRef

WEB = pod("web", labels={"app": "web", "tier": "front"}, containers={"main": "id-main", "proxy": "id-proxy"})


def planned(*candidates: Candidate, of: Pod = WEB, options: Options = ME) -> Plan:
    return plan(candidates, Observed.of([of], [Node("n1", {"pool": "rt"})]), fresh("n1"), options)


def names(made: Plan) -> list[str]:
    return [intent.terms.policy.name for intent in made.desired["n1"]]


STRONGER = {
    "higher precedence": (policy("z", precedence=1, command="x"), policy("a", command="x")),
    "a command": (policy("z", command="x"), policy("a", labels=[label("app", "web"), label("tier", "front")])),
    "containers": (policy("z", containers=["main"]), policy("a", labels=[label("app", "web")])),
    "more label terms": (
        policy("z", command="x", labels=[label("app", "web"), label("tier", "front")]),
        policy("a", command="x", labels=[label("app", "web")], namespaces=["shop"]),
    ),
    "an exact namespace over a glob": (
        policy("z", command="x", namespaces=["shop"]),
        policy("a", command="x", namespaces=["sho*"], nodes=NodeTerms(names=("n1",))),
    ),
    "a glob over no namespace": (policy("z", command="x", namespaces=["*"]), policy("a", command="x")),
    "more node terms": (
        policy("z", command="x", nodes=NodeTerms(("n1",), (label("pool", "rt"),))),
        policy("a", command="x", nodes=NodeTerms(("n1",))),
    ),
    "the namespace of the policy": (
        policy("z", command="x", namespace="a"),
        policy("a", command="x", namespace="b"),
    ),
    "the name": (policy("a", command="x"), policy("b", command="x")),
}


@pytest.mark.parametrize("case", STRONGER)
def test_the_stronger_policy_comes_first(case: str) -> None:
    stronger, weaker = STRONGER[case]
    made = planned(weaker, stronger)
    assert names(made) == [stronger.policy.ref.name, weaker.policy.ref.name]
    assert [intent.rank for intent in made.desired["n1"]] == [0, 1]


def test_a_list_of_namespaces_is_as_exact_as_what_it_says_of_this_pod() -> None:
    mixed = policy("mixed", command="x", namespaces=["elsewhere", "sh*"])
    exact = policy("zz", command="x", namespaces=["shop"])
    assert names(planned(mixed, exact)) == ["zz", "mixed"]


@pytest.mark.parametrize(
    ("requirement", "selects"),
    [
        (Requirement("app", Operator.IN, ("db", "web")), True),
        (Requirement("app", Operator.IN, ("db",)), False),
        (Requirement("gone", Operator.IN, ("web",)), False),
        (Requirement("app", Operator.NOT_IN, ("db",)), True),
        (Requirement("app", Operator.NOT_IN, ("web",)), False),
        (Requirement("gone", Operator.NOT_IN, ("web",)), True),
        (Requirement("app", Operator.EXISTS), True),
        (Requirement("gone", Operator.EXISTS), False),
        (Requirement("app", Operator.DOES_NOT_EXIST), False),
        (Requirement("gone", Operator.DOES_NOT_EXIST), True),
    ],
)
def test_expressions_mean_what_they_mean_in_kubernetes(requirement: Requirement, selects: bool) -> None:
    assert bool(names(planned(policy("p", labels=[requirement])))) is selects


def test_a_policy_without_command_or_containers_shadows_all_below_it() -> None:
    made = planned(
        policy("one", precedence=9), policy("two", command="x"), policy("three"), policy("four", containers=["main"])
    )
    assert names(made) == ["one"]


def test_a_policy_with_a_command_shadows_nothing() -> None:
    assert names(planned(policy("one", precedence=9, command=".*"), policy("two"))) == ["one", "two"]


def test_containers_shadow_together() -> None:
    made = planned(
        policy("one", precedence=9, containers=["main"]),
        policy("two", precedence=8, containers=["proxy"]),
        policy("three", precedence=7, containers=["main", "proxy"]),
        policy("rest", precedence=6),
    )
    assert names(made) == ["one", "two", "rest"], "a pod has processes outside of these containers too"


def test_the_next_in_rank_is_there_before_the_window_ends() -> None:
    """The agent ends an intent by itself; were the next one shadowed, the pod would have none until we come back."""
    day = policy("day", precedence=9, ends_at=2_000)
    assert names(planned(day, policy("always"))) == ["day", "always"]
    assert names(planned(day, policy("shorter", ends_at=2_000))) == ["day"]
    assert names(planned(day, policy("longer", ends_at=2_001))) == ["day", "longer"]


def test_containers_shadow_together_for_as_long_as_all_of_them_do() -> None:
    always = policy("always", precedence=9, containers=["main"])
    day = policy("day", precedence=8, containers=["proxy"], ends_at=2_000)
    for order in ((always, day), (replace(day, policy=replace(day.policy, precedence=10)), always)):
        longer = policy("both", containers=["main", "proxy"], ends_at=2_001)
        assert "both" in names(planned(*order, longer))
        assert "both" not in names(planned(*order, replace(longer, ends_at=2_000)))


def test_containers_become_ids_in_the_order_of_their_names() -> None:
    made = planned(policy("p", containers=["proxy", "main", "absent"]))
    assert made.desired["n1"][0].containers == ("id-main", "id-proxy")


def test_a_container_that_has_not_been_created_is_not_selected() -> None:
    waiting = pod("web", containers={"main": "", "proxy": "id-proxy"})
    assert planned(policy("p", containers=["main"]), of=waiting).desired["n1"] == ()
    assert planned(policy("p", containers=["main", "proxy"]), of=waiting).desired["n1"][0].containers == ("id-proxy",)


def test_labels_of_a_node_that_is_not_observed_are_unknown() -> None:
    """``DoesNotExist`` would hold of a node whose labels nobody has read."""
    lacks = NodeTerms(labels=(Requirement("pool", Operator.DOES_NOT_EXIST),))
    elsewhere = pod("web", node="n2")
    made = plan([policy("p", nodes=lacks)], Observed.of([elsewhere]), fresh("n2"), ME)
    assert made.desired["n2"] == ()
    made = plan([policy("p", nodes=lacks)], Observed.of([elsewhere], [Node("n2")]), fresh("n2"), ME)
    assert len(made.desired["n2"]) == 1


def test_node_policies_take_a_host_without_kubernetes() -> None:
    made = plan([node_policy("backup", units=["restic-*.service"])], Observed.of([]), fresh("host"), ME)
    (intent,) = made.desired["host"]
    assert intent.pod is None
    assert intent.terms.units == ("restic-*.service",)


def test_node_policies_shadow_what_they_include() -> None:
    made = plan(
        [
            node_policy("one", precedence=9, units=["a.service", "b.service"]),
            node_policy("two", precedence=8, units=["b.service"]),
            node_policy("three", precedence=7, units=["c.service"]),
            node_policy("four", precedence=6, units=["b.service"], cgroups=["/x"]),
            node_policy("all", precedence=5),
            node_policy("rest", precedence=4, cgroups=["/y"]),
        ],
        Observed.of([]),
        fresh("n1"),
        ME,
    )
    assert names(made) == ["one", "three", "all"]


def test_a_released_unit_is_not_shadowed_by_a_policy_that_does_not_name_it() -> None:
    options = Options("me", protection=Protection(units=("sshd.service",), released=("sshd.service",)))
    candidates = [node_policy("all", precedence=9), node_policy("ssh", units=["sshd.service"])]
    made = plan(candidates, Observed.of([]), fresh("n1"), options)
    assert names(made) == ["all", "ssh"]
    assert [intent.terms.released for intent in made.desired["n1"]] == [(), ("sshd.service",)]


def tie(winner: str, loser: str) -> Tie:
    source = "policies/all.yaml"
    return Tie(PolicyRef("default", winner, source), PolicyRef("default", loser, source), (WEB.ref,), 1)


@pytest.mark.parametrize(
    ("one", "other", "tied"),
    [
        (policy("a"), policy("b"), True),
        (policy("a"), policy("b", precedence=1), False),
        (policy("a", labels=[label("app", "web")]), policy("b"), False),
        (policy("a", labels=[label("app", "web")]), policy("b", labels=[label("tier", "front")]), True),
        (policy("a", containers=["main"]), policy("b", containers=["proxy"]), False),
        (policy("a", containers=["main", "proxy"]), policy("b", containers=["proxy"]), True),
        (policy("a", command="^upf$"), policy("b", command="^nrf$"), False),
        (policy("a", command="^upf$"), policy("b", command="^(nrf|upf)$"), True),
        (policy("a", command="^upf"), policy("b", command="^upf-worker$"), True),
        (policy("a", command="^upf$"), policy("b", command="^upf-worker"), False),
        (policy("a", command=r"^a\.b$"), policy("b", command="^a.b$"), True),
        (policy("a", command=r"^a\.b$"), policy("b", command=r"^a\.c$"), False),
        (policy("a", command="^upf|x$"), policy("b", command="^nrf$"), True),
        (policy("a", command="upf"), policy("b", command="nrf"), True),
    ],
)
def test_a_tie_is_what_only_names_order_and_what_can_take_the_same_threads(
    one: Candidate, other: Candidate, tied: bool
) -> None:
    assert planned(one, other).ties == ((tie("a", "b"),) if tied else ())


def test_what_is_shadowed_by_a_third_policy_is_no_tie() -> None:
    assert planned(policy("all", precedence=9), policy("a"), policy("b")).ties == ()


def test_a_tie_counts_every_pod_and_names_the_first() -> None:
    observed = Observed.of([pod(f"p{number}", node="n1" if number % 2 else "n2") for number in range(9)])
    made = plan([policy("a"), policy("b")], observed, fresh("n1", "n2"), ME)
    (found,) = made.ties
    assert found.count == 9
    assert [ref.name for ref in found.pods] == ["p0", "p1", "p2", "p3", "p4"]


def test_a_tie_of_node_policies_counts_nodes() -> None:
    made = plan([node_policy("a"), node_policy("b")], Observed.of([]), fresh("n1", "n2"), ME)
    assert [(found.pods, found.count) for found in made.ties] == [((), 2)]
