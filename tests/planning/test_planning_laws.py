"""The laws of planning, for any cluster and any policies."""

from __future__ import annotations

import random
from dataclasses import replace

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from plan_plain import plain_pods
from planning_strategies import NODES, UIDS, World, candidates, labels, later, pod_of, pods, worlds
from planning_values import applied, by_changes, fresh, holding

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Action, Guard, Plan, Verdict
from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.model.policy import Candidate, Standing
from gthulhu_reconcile.planning.explaining import explain_node, explain_pod
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.planner import plan
from gthulhu_reconcile.planning.resolving import resolve
from gthulhu_wire.documents import read_desired
from gthulhu_wire.intents import DesiredSet, Intent, digest, ordered

LAW = settings(max_examples=40, phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink))
"""A law takes about a second to try; what a case costs is in drawing it, and each holds several plans."""


def plan_of(world: World, accepted: dict[str, Accepted]) -> Plan:
    return plan(world.candidates, world.observed, accepted, world.options)


def desired_by_pod(made: Plan) -> dict[str, tuple[Intent, ...]]:
    found: dict[str, list[Intent]] = {}
    for intents in made.desired.values():
        for intent in intents:
            if intent.pod is not None:
                found.setdefault(intent.pod.uid, []).append(intent)
    return {uid: tuple(intents) for uid, intents in found.items()}


@st.composite
def transitions(draw: st.DrawFn) -> tuple[World, dict[str, Accepted]]:
    """A world, and agents that hold what an earlier one wanted."""
    before = draw(worlds)
    return draw(later(before)), applied(plan_of(before, fresh(*NODES)), fresh(*NODES))


@LAW
@given(worlds)
def test_the_planner_agrees_with_trying_every_policy_on_every_pod(world: World) -> None:
    known = {node.name: node for node in world.nodes}
    here = [pod for pod in world.pods if pod.node in NODES]
    expected = plain_pods(world.candidates, here, known, world.options)
    assert desired_by_pod(plan_of(world, fresh(*NODES))) == expected


@LAW
@given(transitions(), st.randoms(use_true_random=False))
def test_a_plan_does_not_depend_on_the_order_of_input(
    transition: tuple[World, dict[str, Accepted]], rng: random.Random
) -> None:
    world, accepted = transition

    def shuffled(values: tuple[object, ...]) -> tuple[object, ...]:
        return tuple(rng.sample(values, len(values)))

    other = World(
        candidates=shuffled(world.candidates),  # type: ignore[arg-type]  # the same items
        pods=tuple(
            replace(
                pod,
                labels=dict(shuffled(tuple(pod.labels.items()))),  # type: ignore[arg-type]  # the same items
                containers=shuffled(pod.containers),  # type: ignore[arg-type]  # the same items
            )
            for pod in rng.sample(world.pods, len(world.pods))
        ),
        nodes=shuffled(world.nodes),  # type: ignore[arg-type]  # the same items
        options=world.options,
    )
    again = {node: accepted[node] for node in reversed(accepted)}
    one, two = plan_of(world, accepted), plan_of(other, again)
    assert one.changes == two.changes
    assert (one.id, one.digests, one.held, one.ties, one.unreachable, one.summary) == (
        two.id,
        two.digests,
        two.held,
        two.ties,
        two.unreachable,
        two.summary,
    )
    assert list(one.bases) == list(two.bases)


@LAW
@given(transitions())
def test_planning_again_after_applying_gives_nothing(transition: tuple[World, dict[str, Accepted]]) -> None:
    world, accepted = transition
    again = plan_of(world, applied(plan_of(world, accepted), accepted))
    assert again.changes == ()
    assert again.changed_nodes == ()
    assert again.held is None
    assert again.summary.changes == 0
    assert again.summary.unchanged == sum(map(len, again.desired.values()))


@LAW
@given(transitions())
def test_what_is_executed_is_what_was_planned(transition: tuple[World, dict[str, Accepted]]) -> None:
    world, accepted = transition
    made = plan_of(world, accepted)
    for node, intents in made.desired.items():
        assert digest(intents) == made.digests[node]
        assert ordered(intents) == intents
        assert by_changes(made, node) == intents
        assert read_desired(DesiredSet("me", 0, 1, intents).as_json()).intents == intents
    changed = {change.node for change in made.changes}
    assert changed == set(made.changed_nodes)


@LAW
@given(transitions())
def test_the_summary_counts_the_changes(transition: tuple[World, dict[str, Accepted]]) -> None:
    world, accepted = transition
    made = plan_of(world, accepted)
    count = {action: sum(change.action is action for change in made.changes) for action in Action}
    summary = made.summary
    assert (summary.add, summary.update) == (count[Action.ADD], count[Action.UPDATE])
    assert (summary.delete, summary.forget) == (count[Action.DELETE], count[Action.FORGET])
    assert summary.add + summary.update + summary.unchanged == sum(map(len, made.desired.values()))
    assert summary.matched == len(desired_by_pod(made))


@LAW
@given(worlds, candidates)
def test_an_unrelated_policy_never_changes_another_pods_winner(world: World, more: tuple[Candidate, ...]) -> None:
    taken = {(one.policy.kind, one.policy.ref.namespace, one.policy.ref.name) for one in world.candidates}
    added = [one for one in more if (one.policy.kind, one.policy.ref.namespace, one.policy.ref.name) not in taken][:1]
    before = desired_by_pod(plan_of(world, fresh(*NODES)))
    after_world = replace(world, candidates=(*world.candidates, *added))
    after = desired_by_pod(plan_of(after_world, fresh(*NODES)))
    for pod in world.pods:
        selected = {
            (considered.policy.ref, considered.policy.kind)
            for considered in explain_pod(pod.ref.uid, added, world.observed, world.options).considered
            if considered.verdict is Verdict.WINS
        }
        if not selected:
            assert after.get(pod.ref.uid) == before.get(pod.ref.uid)


@LAW
@given(transitions(), st.booleans())
def test_unreadable_input_never_changes_anything(
    transition: tuple[World, dict[str, Accepted]], nothing_read: bool
) -> None:
    world, accepted = transition
    read = replace(world, candidates=(), pods=()) if nothing_read else world
    held = plan_of(replace(read, options=replace(world.options, unreadable=("policies/",))), accepted)
    approved = replace(world.options, unreadable=("policies/",), approve=held.id)
    for made in (held, plan_of(replace(read, options=approved), accepted)):
        assert made.changes == ()
        assert made.changed_nodes == ()
        assert made.held is not None
        assert made.held.guard is Guard.UNREADABLE_INPUT
        assert dict(made.desired) == {node: base.intents for node, base in made.bases.items()}
        assert made.digests == {node: base.digest for node, base in made.bases.items()}


@st.composite
def events(draw: st.DrawFn) -> list[tuple[str, object]]:
    kinds = st.sampled_from(("pod", "pod", "no pod", "node", "no node"))
    made: list[tuple[str, object]] = []
    for kind in draw(st.lists(kinds, min_size=1, max_size=8)):
        uid = draw(st.sampled_from(UIDS))
        name = draw(st.sampled_from(NODES))
        subject: object = name if kind == "no node" else uid
        if kind == "pod":
            subject = draw(pod_of(uid))
        elif kind == "node":
            subject = Node(name, draw(labels))
        made.append((kind, subject))
    return made


@LAW
@given(worlds, events())
def test_full_and_incremental_agree(world: World, happened: list[tuple[str, object]]) -> None:
    pods_by_uid = {pod.ref.uid: pod for pod in world.pods}
    nodes_by_name = {node.name: node for node in world.nodes}
    observed = world.observed
    resolution = resolve(world.candidates, observed, world.options)
    accepted = fresh(*NODES)
    for kind, subject in happened:
        if kind == "pod":
            observed = observed.with_pod(subject)  # type: ignore[arg-type]  # a pod, by its kind
            pods_by_uid[subject.ref.uid] = subject  # type: ignore[attr-defined,assignment]  # same
        elif kind == "no pod":
            observed = observed.without_pod(str(subject))
            pods_by_uid.pop(str(subject), None)
        elif kind == "node":
            observed = observed.with_node(subject)  # type: ignore[arg-type]  # a node, by its kind
            nodes_by_name[subject.name] = subject  # type: ignore[attr-defined,assignment]  # same
        else:
            observed = observed.without_node(str(subject))
            nodes_by_name.pop(str(subject), None)
        resolution = resolution.after(observed)
        stepwise = plan(world.candidates, observed, accepted, world.options, resolution=resolution)
        whole = Observed.of(pods_by_uid.values(), nodes_by_name.values())
        assert stepwise == plan(world.candidates, whole, accepted, world.options)
        assert observed.pod_count == len(pods_by_uid)
        accepted = applied(stepwise, accepted)


@LAW
@given(worlds)
def test_explanations_say_what_the_planner_does(world: World) -> None:
    observed = world.observed
    made = desired_by_pod(plan_of(world, fresh(*NODES)))
    for pod in world.pods:
        explanation = explain_pod(pod.ref, world.candidates, observed, world.options)
        winners = [one for one in explanation.considered if one.verdict is Verdict.WINS]
        sent = made.get(pod.ref.uid, ()) if pod.node in NODES else None
        if sent is not None:
            assert [one.policy.ref for one in winners] == [intent.terms.policy for intent in sent]
        assert [one.rank for one in winners] == list(range(len(winners)))
        assert len(explanation.considered) == len({(one.policy.kind, one.policy.ref) for one in explanation.considered})
        assert all(one.detail for one in explanation.considered if one.rank is None)


@LAW
@given(worlds)
def test_explanations_of_nodes_say_what_the_planner_does(world: World) -> None:
    made = plan_of(world, fresh(*NODES))
    for node in NODES:
        explanation = explain_node(node, world.candidates, world.observed, world.options)
        winners = [one.policy.ref for one in explanation.considered if one.verdict is Verdict.WINS]
        assert winners == [intent.terms.policy for intent in made.desired[node] if intent.pod is None]


@LAW
@given(worlds, pods)
def test_pods_that_come_and_go_hold_nothing(world: World, others: tuple[object, ...]) -> None:
    """The same policies over other pods: whatever is added or forgotten, no guard stands in the way."""
    accepted = applied(plan_of(world, fresh(*NODES)), fresh(*NODES))
    fresh_uids = tuple(replace(pod, ref=replace(pod.ref, uid=f"new-{pod.ref.uid}")) for pod in others)  # type: ignore[type-var,attr-defined]  # pods
    made = plan_of(replace(world, pods=fresh_uids), accepted)  # type: ignore[arg-type]  # pods
    assert made.held is None
    assert {change.action for change in made.changes if change.pod is not None} <= {Action.ADD, Action.FORGET}


@LAW
@given(worlds)
def test_time_that_passes_holds_nothing(world: World) -> None:
    """Every window closes and every suspension begins at once: asked for when the policies were written."""
    strict = replace(world, options=replace(world.options, mass_floor=0, mass_fraction=0.0))
    accepted = applied(plan_of(strict, fresh(*NODES)), fresh(*NODES))
    later = []
    for candidate in strict.candidates:
        standing = candidate.standing
        if candidate.policy.window is not None:
            standing = Standing.INACTIVE
        if candidate.policy.suspension is not None:
            standing = Standing.SUSPENDED
        later.append(
            replace(
                candidate, standing=standing, ends_at=None if standing is not candidate.standing else candidate.ends_at
            )
        )
    assert plan_of(replace(strict, candidates=tuple(later)), accepted).held is None
    back = applied(plan_of(replace(strict, candidates=tuple(later)), accepted), accepted)
    assert plan_of(strict, back).held is None


@LAW
@given(worlds)
def test_a_node_without_known_agent_is_never_planned(world: World) -> None:
    made = plan_of(world, fresh("n1"))
    assert set(made.desired) == {"n1"}
    live = {pod.node for pod in world.pods if pod.node and not pod.phase.finished} - {"n1"}
    assert live <= {one.node for one in made.unreachable}


@LAW
@given(worlds)
def test_intents_of_a_node_are_not_needed_where_its_digest_is_the_wanted_one(world: World) -> None:
    made = plan_of(world, fresh(*NODES))
    bodies = {node: holding(node, made.desired[node]) for node in NODES}
    without = {node: replace(base, intents=()) for node, base in bodies.items()}
    assert plan_of(world, without) == replace(plan_of(world, bodies), bases=without)
