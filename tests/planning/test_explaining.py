"""What is said of every policy for one pod or node."""

from __future__ import annotations

from dataclasses import replace

import pytest
from planning_values import ME, label, node_policy, pod, policy

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.model.plan import Verdict
from gthulhu_reconcile.model.pods import Node, Phase
from gthulhu_reconcile.model.policy import Candidate, NodeTerms, Operator, Requirement, Standing, Suspension, Window
from gthulhu_reconcile.planning.explaining import explain_node, explain_pod
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import NamespaceLimits, Options, Protection
from gthulhu_wire.intents import PodRef, Schedule

WEB = pod("web", labels={"app": "web", "tier": "core"}, containers={"main": "id-1", "late": ""})
OBSERVED = Observed.of([WEB], [Node("n1", {"pool": "general"})])


def said(candidate: Candidate, options: Options = ME, observed: Observed = OBSERVED) -> tuple[Verdict, str]:
    (considered,) = explain_pod("web", [candidate], observed, options).considered
    return considered.verdict, considered.detail


LOSERS = [
    (node_policy("p"), Verdict.OTHER_KIND, "is a NodeSchedulingPolicy"),
    (policy("p", namespaces=["a", "b-*"]), Verdict.NAMESPACE, "takes a, b-*"),
    (policy("p", labels=[label("tier", "edge")]), Verdict.LABELS, "wants tier=edge; there is tier=core"),
    (policy("p", labels=[label("app", "db", "admin")]), Verdict.LABELS, "wants app in (db, admin); there is app=web"),
    (policy("p", labels=[label("x", "nginx")]), Verdict.LABELS, "wants x=nginx; there is no label x"),
    (
        policy("p", labels=[Requirement("app", Operator.NOT_IN, ("web",))]),
        Verdict.LABELS,
        "wants app not in (web); there is app=web",
    ),
    (
        policy("p", labels=[Requirement("x", Operator.EXISTS)]),
        Verdict.LABELS,
        "wants label x; there is no label x",
    ),
    (
        policy("p", labels=[Requirement("app", Operator.DOES_NOT_EXIST)]),
        Verdict.LABELS,
        "wants no label app; there is app=web",
    ),
    (policy("p", nodes=NodeTerms(("m*",))), Verdict.NODE, "takes m*; the node is n1"),
    (
        policy("p", nodes=NodeTerms((), (label("pool", "rt"),))),
        Verdict.NODE,
        "node n1: wants pool=rt; there is pool=general",
    ),
    (policy("p", containers=["proxy"]), Verdict.CONTAINERS, "takes proxy; the pod has main, late"),
    (policy("p", containers=["late"]), Verdict.CONTAINERS, "late has not been created yet"),
    (
        policy("p", standing=Standing.INACTIVE, window=Window("0 8 * * *", 60, "Europe/Berlin")),
        Verdict.INACTIVE,
        "outside of its window: 0 8 * * * (Europe/Berlin)",
    ),
    (
        policy("p", standing=Standing.SUSPENDED, suspension=Suspension("maintenance", 0)),
        Verdict.SUSPENDED,
        "maintenance, until 1970-01-01T00:00:00Z",
    ),
    (policy("p", standing=Standing.SUSPENDED, suspension=Suspension("why")), Verdict.SUSPENDED, "why"),
]


@pytest.mark.parametrize(("candidate", "verdict", "detail"), LOSERS)
def test_a_loser_is_told_what_decided_it(candidate: Candidate, verdict: Verdict, detail: str) -> None:
    assert said(candidate) == (verdict, detail)


def test_labels_of_a_node_that_is_not_observed() -> None:
    wants = policy("p", nodes=NodeTerms((), (label("pool", "rt"),)))
    assert said(wants, observed=Observed.of([WEB])) == (Verdict.NODE, "the labels of node n1 are not known")


def test_protection_and_limits() -> None:
    shop = Options("me", protection=Protection(namespaces=("shop",)))
    assert said(policy("p"), shop) == (
        Verdict.PROTECTED,
        "namespace shop is protected and the settings do not release it",
    )
    released = Options("me", protection=Protection(namespaces=("shop",), released=("shop",)))
    assert said(policy("p", namespaces=["sh*"]), released) == (
        Verdict.PROTECTED,
        "namespace shop is protected and the policy does not name it exactly",
    )
    limited = Options("me", limits=(("shop", NamespaceLimits(priority_max=3)),))
    assert said(policy("p", schedule=Schedule(priority=9)), limited) == (
        Verdict.NAMESPACE_LIMIT,
        "priority 9 is above 3 in namespace shop",
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [({"phase": Phase.FAILED}, "the pod has finished"), ({"node": ""}, "the pod has no node yet")],
)
def test_a_pod_that_is_not_planned(change: dict[str, object], why: str) -> None:
    observed = Observed.of([replace(WEB, **change)])  # type: ignore[arg-type]  # fields of a pod
    assert said(policy("p"), observed=observed) == (Verdict.NOT_PLANNED, why)


def test_winners_by_rank_then_losers_from_strongest_to_weakest() -> None:
    candidates = [
        policy("plain"),
        policy("other", labels=[label("app", "db")], precedence=2),
        policy("command", command="x"),
        policy("below", precedence=-1),
        node_policy("host"),
    ]
    explanation = explain_pod("web", candidates, OBSERVED, ME)
    assert [(one.policy.ref.name, one.verdict, one.rank) for one in explanation.considered] == [
        ("command", Verdict.WINS, 0),
        ("plain", Verdict.WINS, 1),
        ("other", Verdict.LABELS, None),
        ("host", Verdict.OTHER_KIND, None),
        ("below", Verdict.SHADOWED, None),
    ]
    details = {one.policy.ref.name: one.detail for one in explanation.considered}
    assert details["plain"] == "after default/command: names no command"
    assert details["below"] == "default/plain takes every thread: lower precedence (-1, not 0)"


@pytest.mark.parametrize(
    ("stronger", "why"),
    [
        (policy("s", precedence=3), "lower precedence (0, not 3)"),
        (policy("s", labels=[label("app", "web"), label("tier", "core")]), "fewer label terms (1, not 2)"),
        (policy("s", labels=[label("app", "web")], namespaces=["shop"]), "less exact about the namespace"),
        (policy("s", labels=[label("app", "web")], nodes=NodeTerms(("n1",))), "fewer node terms (0, not 1)"),
        (policy("a", labels=[label("app", "web")]), "only its name comes later"),
    ],
)
def test_why_the_weaker_is_weaker(stronger: Candidate, why: str) -> None:
    weaker = policy("p", labels=[label("app", "web")])
    (_, lost) = explain_pod("web", [weaker, stronger], OBSERVED, ME).considered
    name = stronger.policy.ref.name
    assert (lost.verdict, lost.detail) == (Verdict.SHADOWED, f"default/{name} takes every thread: {why}")


def test_a_pod_is_found_by_uid_by_ref_and_by_name() -> None:
    old = pod("web", uid="old", phase=Phase.SUCCEEDED)
    observed = Observed.of([old, WEB])
    for way in ("web", WEB.ref, PodRef("shop", "web", "")):
        assert explain_pod(way, [], observed, ME).pod == WEB.ref
    assert explain_pod("old", [], observed, ME).pod == old.ref


def test_a_pod_that_nobody_has_seen() -> None:
    with pytest.raises(UserError, match="no pod shop/gone is observed"):
        explain_pod(PodRef("shop", "gone", ""), [], OBSERVED, ME)


def test_a_node_itself() -> None:
    candidates = [
        node_policy("all"),
        node_policy("kubelet", units=["kubelet.service"]),
        node_policy("elsewhere", nodes=NodeTerms(("m*",))),
        policy("pods"),
    ]
    explanation = explain_node("n1", candidates, OBSERVED, ME)
    assert (explanation.pod, explanation.node) == (None, "n1")
    assert [(one.policy.ref.name, one.verdict) for one in explanation.considered] == [
        ("all", Verdict.WINS),
        ("kubelet", Verdict.PROTECTED),
        ("elsewhere", Verdict.NODE),
        ("pods", Verdict.OTHER_KIND),
    ]
