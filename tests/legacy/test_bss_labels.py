"""Which pods a strategy reaches, by the labels that are known; and what it says where they are not."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.snapshot import DiscoveredPod
from gthulhu_agent.legacy.labels import Labelled, merged, of_intents, of_pods
from gthulhu_agent.legacy.received import ReceivedIntent, ReceivedStrategy
from gthulhu_agent.legacy.strategies import Reachable, missing_labels, states
from gthulhu_wire.intents import PodRef

labels = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "1", "2"]), max_size=3)
selectors = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["", "1", "2"])), min_size=1, max_size=3)


def labelled(uid: str, **said: str) -> Labelled:
    return Labelled(PodRef("default", uid, uid), tuple(sorted(said.items())))


@given(st.lists(labels, max_size=6), selectors)
def test_a_pod_is_reached_when_it_has_every_label_exactly(
    pods: list[dict[str, str]], wanted: list[tuple[str, str]]
) -> None:
    known = {f"u{number}": labelled(f"u{number}", **one) for number, one in enumerate(pods)}
    reached = {pod.uid for pod in Reachable(known).by(ReceivedStrategy(selectors=tuple(wanted)))}
    assert reached == {
        f"u{number}" for number, one in enumerate(pods) if all(one.get(key) == value for key, value in wanted)
    }


def test_a_strategy_without_selectors_reaches_no_pod() -> None:
    assert Reachable({"u": labelled("u")}).by(ReceivedStrategy(pid=7)) == ()


def test_each_pods_labels_are_taken_whole_from_the_best_that_knows_it() -> None:
    watch = {"a": labelled("a", x="1")}
    file = of_pods(
        (DiscoveredPod("a", "default", "a", (("y", "2"),)), DiscoveredPod("b", "default", "b", (("y", "2"),)))
    )
    said = of_intents(
        (
            ReceivedIntent(pod_id="b", labels=(("z", "3"),)),
            ReceivedIntent(pod_id="c", labels=(("z", "3"),)),
            ReceivedIntent(pod_id="c", labels=(("z", "4"),)),
            ReceivedIntent(pod_id="c"),
            ReceivedIntent(pod_id="", labels=(("z", "5"),)),
        )
    )
    found = merged(watch, file, said)
    assert {uid: dict(one.labels) for uid, one in found.items()} == {"a": {"x": "1"}, "b": {"y": "2"}, "c": {"z": "4"}}


def test_no_labels_at_all_are_no_mock_data_but_said() -> None:
    missing = missing_labels({}, {"u"}, "it answers 503")
    (state,) = states((ReceivedStrategy(selectors=(("a", "1"),)),), {}, missing)
    assert state.pods == 0
    assert state.refused[0].what == "labels"
    assert state.refused[0].why == "no pod's labels are known here, so that its selectors reach nothing: it answers 503"
    assert "bss.kubernetes" in state.refused[0].cure


def test_pods_whose_labels_nobody_told_are_counted() -> None:
    said = (ReceivedStrategy(selectors=(("a", "1"),)),)
    known = {"u": labelled("u", a="1")}
    (state,) = states(said, known, missing_labels(known, ["u", "v", "w"], ""))
    assert state.pods == 1
    assert state.refused[0].why == "the labels of 2 pods that run here are not known; it does not reach those"
    (state,) = states(said, known, missing_labels(known, ["u"], ""))
    assert state.refused == ()


def test_a_strategy_that_names_a_process_or_nothing_says_that_it_is_not_enforced() -> None:
    named, nothing = states((ReceivedStrategy(pid=7), ReceivedStrategy()), {}, missing_labels({}, (), ""))
    assert (named.refused[0].what, nothing.refused[0].what) == ("pid", "selectors")
    assert "listed and not enforced" in named.refused[0].why


def test_many_strategies_cost_what_they_reach() -> None:
    known = {f"u{number}": labelled(f"u{number}", app=str(number), all="1") for number in range(250)}
    said = tuple(ReceivedStrategy(selectors=(("all", "1"), ("app", str(number)))) for number in range(20_000))
    assert sum(state.pods for state in states(said, known, None)) == 250
