"""Which sets an agent takes: laws over all histories of pushes, also delayed, repeated and from several owners."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.accepting import Outcome, judge
from gthulhu_agent.state import Held
from gthulhu_wire.intents import DesiredSet, Intent, PolicyRef, Schedule, Terms, digest
from gthulhu_wire.refusals import Refusal


def _set(owner: str, token: int, generation: int, priority: int) -> DesiredSet:
    terms = Terms(PolicyRef("default", "web"), Schedule(priority=priority))
    return DesiredSet(owner, token, generation, (Intent(terms, 0),))


SMALL = st.integers(0, 3)
OWNERS = st.sampled_from(["a", "b"])
PUSHES = st.lists(st.tuples(st.builds(_set, OWNERS, SMALL, SMALL, SMALL), st.booleans()), max_size=30)
OF_ONE_LEADER_EACH = st.lists(st.tuples(st.builds(_set, OWNERS, st.just(0), SMALL, SMALL), st.booleans()), max_size=30)


def _play(pushes: list[tuple[DesiredSet, bool]]) -> list[tuple[Held, DesiredSet, bool, Outcome | Refusal]]:
    held, history = Held(), []
    for number, (pushed, adopt) in enumerate(pushes):
        verdict = judge(held, pushed, digest(pushed.intents), adopt=adopt)
        history.append((held, pushed, adopt, verdict))
        if verdict is Outcome.TAKE:
            held = held.followed_by(pushed, digest(pushed.intents), number)
    return history


@given(PUSHES)
def test_what_one_owner_sent_never_goes_back(pushes: list[tuple[DesiredSet, bool]]) -> None:
    for held, pushed, _, verdict in _play(pushes):
        if verdict is Outcome.TAKE and pushed.owner == held.owner:
            assert (pushed.token, pushed.generation) > (held.token, held.generation)


@given(PUSHES)
def test_an_owner_changes_only_by_adoption_and_only_forward(pushes: list[tuple[DesiredSet, bool]]) -> None:
    for held, pushed, adopt, verdict in _play(pushes):
        if verdict is Outcome.TAKE and pushed.owner != held.owner:
            assert adopt or held.owner == ""
            assert pushed.generation > held.generation


@given(PUSHES)
def test_a_retry_of_what_holds_changes_nothing_and_is_acknowledged(pushes: list[tuple[DesiredSet, bool]]) -> None:
    for held, pushed, adopt, verdict in _play(pushes):
        if verdict is Outcome.TAKE:
            taken = held.followed_by(pushed, digest(pushed.intents), 0)
            assert judge(taken, pushed, digest(pushed.intents), adopt=adopt) is Outcome.REPEATED


@given(OF_ONE_LEADER_EACH)
def test_a_late_copy_of_any_push_changes_nothing_also_after_adoptions(pushes: list[tuple[DesiredSet, bool]]) -> None:
    held, taken = Held(), []
    for _, pushed, adopt, verdict in _play(pushes):
        if verdict is Outcome.TAKE:
            held = held.followed_by(pushed, digest(pushed.intents), 0)
            taken.append((pushed, adopt))
    for late, adopt in taken:
        assert judge(held, late, digest(late.intents), adopt=adopt) is not Outcome.TAKE


def test_the_same_numbers_with_another_set_are_refused() -> None:
    first, second = _set("a", 0, 1, 1), _set("a", 0, 1, 2)
    held = Held().followed_by(first, digest(first.intents), 0)
    assert judge(held, second, digest(second.intents), adopt=False) is Refusal.STALE_GENERATION
    assert judge(held, second, digest(second.intents), adopt=True) is Refusal.STALE_GENERATION


def test_an_intent_that_stays_keeps_its_age_and_one_that_changes_does_not() -> None:
    held = Held().followed_by(_set("a", 0, 1, 1), "d", 100)
    assert held.followed_by(_set("a", 0, 2, 1), "d", 200).since == (100,)
    assert held.followed_by(_set("a", 0, 2, 2), "d", 200).since == (200,)
