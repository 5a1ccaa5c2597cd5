"""What is held, what is counted, and what releases it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from planning_values import ME, applied, fresh, label, node_policy, pod, pods, policy, settled

from gthulhu_reconcile.model.plan import Guard, Plan
from gthulhu_reconcile.model.pods import Phase, Pod
from gthulhu_reconcile.model.policy import Candidate, Standing, Suspension, Window
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import OnDelete, Schedule

OTHER = Schedule(priority=-5)


def after(
    before: Sequence[Candidate],
    then: Sequence[Candidate],
    first: Sequence[Pod],
    *,
    now: Sequence[Pod] | None = None,
    options: Options = ME,
) -> Plan:
    accepted = settled(before, Observed.of(first))
    return plan(then, Observed.of(first if now is None else now), accepted, options)


def guard(made: Plan) -> Guard | None:
    return None if made.held is None else made.held.guard


def two_groups(touched: int, others: int) -> list[Pod]:
    return [*pods(touched, labels={"g": "a"}), *(pod(f"other-{n}", labels={"g": "b"}) for n in range(others))]


A = policy("a", labels=[label("g", "a")])
B = policy("b", labels=[label("g", "b")])
A_EDITED = policy("a", labels=[label("g", "a")], schedule=OTHER)


@pytest.mark.parametrize(
    ("touched", "others", "held"),
    [
        (5, 0, False),  # the floor
        (6, 0, True),
        (6, 24, False),  # a fifth of 30
        (7, 23, True),
    ],
)
@pytest.mark.parametrize("then", [[A_EDITED, B], [B]], ids=["update", "delete"])
def test_more_than_the_floor_and_the_fraction_is_held(
    touched: int, others: int, held: bool, then: list[Candidate]
) -> None:
    made = after([A, B], [*then, policy("keeps-something", labels=[label("g", "c")])], two_groups(touched, others))
    if not others and then == [B]:
        assert guard(made) is Guard.EMPTY_DESIRED
    else:
        assert guard(made) is (Guard.MASS_CHANGE if held else None)


def test_what_is_held_says_how_many_of_how_many() -> None:
    made = after([A, B], [A_EDITED, B], two_groups(7, 3))
    assert made.held is not None
    assert made.held.message == "7 of 10 managed running pods would be updated or deleted; the limit is 5"


def test_a_held_plan_still_shows_its_changes() -> None:
    assert len(after([A], [A_EDITED], pods(9, labels={"g": "a"})).changes) == 9


def test_a_pod_counts_once_however_many_of_its_intents_change() -> None:
    before = [policy(name, command=name) for name in "abc"]
    edited = [policy(name, command=name, schedule=OTHER) for name in "abc"]
    made = after(before, edited, pods(5))
    assert made.summary.update == 15
    assert made.held is None


def test_adds_never_count() -> None:
    assert after([], [A], pods(50, labels={"g": "a"})).held is None


def test_a_new_policy_on_top_of_all_others_only_moves_them_down() -> None:
    made = after([A], [A, policy("top", precedence=9, command="x")], pods(50, labels={"g": "a"}))
    assert made.summary.update == 50
    assert made.held is None


def test_policies_that_change_places_count() -> None:
    before = [policy("a", command="x", precedence=1), policy("b", command="y")]
    swapped = [policy("a", command="x"), policy("b", command="y", precedence=1)]
    assert guard(after(before, swapped, pods(6))) is Guard.MASS_CHANGE


BYSTANDER = pod("bystander", labels={"g": "c"})


def test_pods_that_went_count_neither_as_touched_nor_as_managed() -> None:
    first = two_groups(6, 24)
    assert after([A, B], [A, B], first, now=[BYSTANDER]).held is None
    finished = [replace(one, phase=Phase.SUCCEEDED) for one in first[6:]]
    assert guard(after([A, B], [A_EDITED, B], first, now=[*first[:6], *finished])) is Guard.MASS_CHANGE


def test_a_rebooted_node_is_not_held_for_the_new_ids_of_its_containers() -> None:
    mains = policy("mains", containers=["main"])
    first = pods(30, containers={"main": "id-1"})
    assert after([mains], [mains], first, now=pods(30, containers={"main": "id-2"})).held is None


def test_a_policy_that_lets_go_of_running_containers_counts() -> None:
    running = pods(6, containers={"main": "id-1", "proxy": "id-2"})
    both, one = policy("p", containers=["main", "proxy"]), policy("p", containers=["main"])
    assert guard(after([both], [one], running)) is Guard.MASS_CHANGE
    assert guard(after([policy("p")], [one], running)) is Guard.MASS_CHANGE
    assert after([one], [both], running).held is None


def test_moved_files_never_count() -> None:
    moved = policy("a", labels=[label("g", "a")], source="policies/elsewhere.yaml")
    made = after([A], [moved], pods(50, labels={"g": "a"}))
    assert made.summary.update == 50
    assert made.held is None


def test_time_never_counts() -> None:
    """Each morning and each evening every pod is changed; whoever wrote the window asked for that."""
    day = policy("day", precedence=9, window=Window("0 8 * * *", 3600, "UTC"), ends_at=2_000)
    night = replace(day, standing=Standing.INACTIVE, ends_at=None)
    always = policy("always")
    many = pods(50)
    assert after([night, always], [day, always], many).held is None
    assert after([day, always], [night, always], many).held is None
    assert after([day], [night], many).held is None, "nothing is wanted, and that was asked for"
    assert after([day, always], [replace(day, ends_at=9_000), always], many).held is None


def test_the_end_of_a_suspension_never_counts() -> None:
    strong = policy("strong", precedence=9, suspension=Suspension("maintenance", until=1_000))
    suspended = replace(strong, standing=Standing.SUSPENDED)
    many = pods(50)
    made = after([suspended, policy("always")], [strong, policy("always")], many)
    assert made.summary.delete == 50
    assert made.held is None
    assert after([strong, policy("always")], [suspended, policy("always")], many).held is None


def test_a_stronger_policy_that_takes_all_pods_counts() -> None:
    assert guard(after([A], [A, policy("top", precedence=9)], pods(6, labels={"g": "a"}))) is Guard.MASS_CHANGE


@pytest.mark.parametrize("on_delete", list(OnDelete))
def test_nothing_wanted_any_more_is_held_however_small(on_delete: OnDelete) -> None:
    made = after([policy("a", on_delete=on_delete)], [], pods(1))
    assert guard(made) is Guard.EMPTY_DESIRED
    assert made.held is not None
    assert "1 running pods" in made.held.message


def test_nothing_wanted_where_nothing_managed_still_runs_is_not_held() -> None:
    assert after([A], [], pods(9, labels={"g": "a"}), now=[BYSTANDER]).held is None


def test_a_source_that_shows_no_pod_at_all_is_not_believed() -> None:
    made = after([policy("a")], [policy("a"), node_policy("u")], pods(2), now=[])
    assert guard(made) is Guard.EMPTY_DESIRED
    assert made.held is not None
    assert made.held.message == "no pod at all was observed, while agents hold 2 intents of pods"
    approved = replace(ME, approve=made.id)
    assert after([policy("a")], [policy("a"), node_policy("u")], pods(2), now=[], options=approved).held is None


def test_hosts_without_pods_are_nothing_to_be_held() -> None:
    assert after([node_policy("u")], [node_policy("u"), node_policy("v", precedence=1, command="x")], []).held is None


def test_nodes_are_counted_apart_from_pods() -> None:
    """Among a thousand pods, a node policy that changes on every host would not show."""
    nodes = [f"n{number}" for number in range(6)]
    observed = Observed.of([pod(f"p{number}", node=nodes[number % 6]) for number in range(60)])
    before = [node_policy("u", units=["a.service"]), policy("pods")]
    edited = [node_policy("u", units=["a.service"], schedule=OTHER), policy("pods")]
    made = plan(edited, observed, settled(before, observed, nodes), ME)
    assert made.held is not None
    assert made.held.message == "6 of 6 managed nodes would be updated or deleted; the limit is 5"


def test_floor_and_fraction_are_settings() -> None:
    first = two_groups(6, 4)
    assert after([A, B], [A_EDITED, B], first, options=replace(ME, mass_floor=6)).held is None
    assert after([A, B], [A_EDITED, B], first, options=replace(ME, mass_fraction=0.6)).held is None
    assert guard(after([A, B], [A_EDITED, B], first, options=replace(ME, mass_floor=0))) is Guard.MASS_CHANGE


def test_only_the_planned_nodes_count() -> None:
    observed = Observed.of([*pods(6, node="n1"), *(pod(f"o{n}", node="n2") for n in range(60))])
    accepted = settled([policy("a")], observed, ("n1", "n2"))
    edited = [policy("a", schedule=OTHER)]
    made = plan(edited, observed, accepted, replace(ME, only_nodes=("n1",)))
    assert guard(made) is Guard.MASS_CHANGE
    assert set(made.desired) == {"n1"}


def test_an_approval_releases_that_one_plan() -> None:
    many = pods(9, labels={"g": "a"})
    held = after([A], [A_EDITED], many)
    released = after([A], [A_EDITED], many, options=replace(ME, approve=held.id))
    assert released.held is None
    assert released.id == held.id
    assert released.changes == held.changes
    more = pods(10, labels={"g": "a"})
    assert guard(after([A], [A_EDITED], more, options=replace(ME, approve=held.id))) is Guard.MASS_CHANGE


def test_an_id_does_not_outlive_what_it_was_made_from() -> None:
    observed = Observed.of(pods(9, labels={"g": "a"}))
    accepted = settled([A], observed)
    held = plan([A_EDITED], observed, accepted, ME)
    later = applied(plan([A], observed, accepted, ME), accepted)
    assert plan([A_EDITED], observed, later, ME).id == held.id, "nothing happened in between"
    moved = {"n1": replace(accepted["n1"], generation=accepted["n1"].generation + 1)}
    assert plan([A_EDITED], observed, moved, ME).id != held.id


def test_unreadable_input_cannot_be_approved() -> None:
    observed = Observed.of(pods(9))
    accepted = settled([policy("a")], observed)
    held = plan([], observed, accepted, replace(ME, unreadable=("policies/", "pods.json")))
    assert guard(held) is Guard.UNREADABLE_INPUT
    assert held.held is not None
    assert "policies/, pods.json" in held.held.message
    again = plan([], observed, accepted, replace(ME, unreadable=("policies/", "pods.json"), approve=held.id))
    assert guard(again) is Guard.UNREADABLE_INPUT
    assert (again.changes, again.summary.unchanged, again.summary.matched) == ((), 9, 9)


def test_a_fresh_fleet_is_not_held() -> None:
    assert plan([policy("a")], Observed.of(pods(50)), fresh("n1"), ME).held is None
