"""What a Decision Maker's clients say becomes intents that the rest of the agent can take, and nothing is silent."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.legacy.received import Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_agent.legacy.translating import (
    ALL_BUT_PAUSE,
    NOTHING,
    Reached,
    Surroundings,
    Translation,
    translate,
)
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.documents import read_desired
from gthulhu_wire.intents import CommandOn, DesiredSet, Intent, PodRef, Schedule

HERE = Surroundings("node-1", ("kube-system", "infra-*"))
WEB = ReceivedIntent("web-0", "uid-1", "node-1", "shop", "nginx", 10, 5_000_000, (("app", "web"),))


def _translate(*intents: ReceivedIntent, around: Surroundings = HERE, dialect: Dialect = Dialect.KERNEL) -> Translation:
    return translate(Received(intents=intents, dialect=dialect), around)


def _notes(made: Translation, intent: Intent) -> list[str]:
    return [note.what for note in made.origins[intent.key].notes]


def test_an_intent_says_what_was_said_on_our_scale() -> None:
    (intent,) = _translate(WEB).intents
    assert intent.terms.schedule == Schedule(10, 5_000_000, preempt=False)
    assert (intent.terms.command, intent.terms.command_on) == ("nginx", CommandOn.COMM)
    assert (intent.pod, intent.rank, intent.containers) == (PodRef("shop", "web-0", "uid-1"), 0, None)
    assert (intent.terms.policy.namespace, intent.terms.policy.source) == ("legacy", "decision-maker")


def test_w14_the_last_that_arrived_is_the_strongest() -> None:
    made = _translate(WEB, replace(WEB, command_regex="sh"), replace(WEB, pod_id="uid-2"), replace(WEB, priority=3))
    mine = [intent for intent in made.intents if intent.pod and intent.pod.uid == "uid-1"]
    assert [(intent.rank, intent.terms.command, intent.terms.schedule.preempt) for intent in mine] == [
        (0, "nginx", True),
        (1, "sh", False),
        (2, "nginx", False),
    ]


def test_the_same_said_twice_is_one_intent() -> None:
    assert len(_translate(WEB, replace(WEB, command_regex="sh"), WEB).intents) == 2
    assert _translate(WEB, replace(WEB, command_regex="sh"), WEB).intents[0].terms.command == "nginx"


def test_pods_share_the_terms_of_one_policy() -> None:
    first, second = _translate(WEB, replace(WEB, pod_id="uid-2", labels=())).intents
    assert first.terms is second.terms


def test_the_name_of_a_policy_stays_when_others_come_and_go() -> None:
    alone = _translate(WEB).intents[0].terms.policy
    assert alone in {intent.terms.policy for intent in _translate(replace(WEB, command_regex="x"), WEB).intents}


def test_without_a_pod_there_is_no_intent_and_it_is_counted() -> None:
    made = _translate(ReceivedIntent(), replace(WEB, pod_id="u" * 2000), replace(WEB, pod_id="u\0"))
    assert (made.intents, made.unplaced) == ((), 3)


@pytest.mark.parametrize("namespace", ["kube-system", "infra-a"])
def test_w19_pods_of_protected_namespaces_are_held_and_not_enforced(namespace: str) -> None:
    made = _translate(replace(WEB, namespace=namespace))
    (intent,) = made.intents
    assert intent.containers == ()
    assert _notes(made, intent) == ["namespace"]


def test_w19_what_the_node_knows_of_a_pod_goes_before_what_clients_say() -> None:
    lying = replace(HERE, namespaces={"uid-1": "kube-system"})
    assert _translate(WEB, around=lying).intents[0].containers == ()
    knowing = replace(HERE, namespaces={"uid-1": "shop"})
    assert _translate(replace(WEB, namespace="kube-system"), around=knowing).intents[0].containers is None


@pytest.mark.parametrize(
    ("said", "note"),
    [
        (replace(WEB, node_id="node-2"), "node"),
        (replace(WEB, priority=99), "priority"),
        (replace(WEB, priority=-1), "priority"),
        (replace(WEB, execution_time=1), "slice"),
        (replace(WEB, execution_time=-1), "slice"),
        (replace(WEB, execution_time=2**62), "slice"),
        (replace(WEB, command_regex="x" * 513), "pattern"),
        (replace(WEB, command_regex="a\0"), "pattern"),
    ],
)
def test_w19_what_is_not_taken_as_it_was_said_is_told(said: ReceivedIntent, note: str) -> None:
    made = _translate(said)
    assert _notes(made, made.intents[0]) == [note]


def test_w19_a_pattern_that_cannot_be_used_takes_nothing_rather_than_everything() -> None:
    assert _translate(replace(WEB, command_regex="x" * 513)).intents[0].containers == ()
    node = ReceivedNodeIntent("p", "node-1", "x" * 513)
    assert translate(Received(node_intents=(node,)), HERE).intents[0].terms.command == NOTHING


def test_w19_priority_0_is_normal_and_not_the_strongest() -> None:
    (intent,) = _translate(replace(WEB, priority=0)).intents
    assert intent.terms.schedule == Schedule(0, 5_000_000, preempt=False)


def test_an_intent_for_a_node_without_a_pattern_takes_nothing() -> None:
    made = translate(Received(node_intents=(ReceivedNodeIntent("p", "node-1"),)), HERE)
    assert made.intents[0].terms.command == NOTHING
    assert _notes(made, made.intents[0]) == ["pattern"]


def test_intents_for_the_node_have_no_pod_and_the_last_is_the_strongest() -> None:
    received = Received(node_intents=(ReceivedNodeIntent("a", "", "sshd", 20), ReceivedNodeIntent("b", "", "sshd", 1)))
    first, second = translate(received, HERE).intents
    assert (first.pod, second.pod, first.terms.schedule.preempt, second.rank) == (None, None, True, 1)


def test_intents_of_the_decision_maker_outrank_strategies_of_the_bss() -> None:
    strategy = ReceivedStrategy(priority=True, selectors=(("app", "web"),), command_regex="nginx")
    around = replace(HERE, reached=(Reached(strategy, (PodRef("shop", "web-0", "uid-1"),)),))
    received = Received(intents=(WEB,), strategies=(strategy,))
    first, second = translate(received, around).intents
    assert (first.terms.policy.source, second.terms.policy.source) == ("decision-maker", "bss")


def test_w18_more_than_the_comm_can_be_asked_for() -> None:
    (intent,) = _translate(replace(WEB, command_on=CommandOn.ARGV0)).intents
    assert intent.terms.command_on is CommandOn.ARGV0


@given(st.text(max_size=8) | st.sampled_from(["pause", "paus", "pause2", "pausE", "\n", "pause\n", "xpause", ""]))
def test_an_empty_pattern_takes_everything_but_pause(comm: str) -> None:
    comm = comm.encode(errors="replace").decode()
    assert Patterns().matches(ALL_BUT_PAUSE, comm) is (comm != "pause")
    assert not Patterns().matches(NOTHING, comm)


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6) | st.sampled_from(["x" * 600, "y" * 2000, "a\0"])
number = st.integers(-(2**63), 2**63 - 1)
intents = st.builds(
    ReceivedIntent,
    text,
    st.sampled_from(["", "u1", "u2", "z" * 2000]),
    text,
    st.sampled_from(["", "kube-system", "shop"]),
    text,
    number,
    number,
)
received = st.builds(
    Received,
    st.lists(intents, max_size=8).map(tuple),
    st.lists(st.builds(ReceivedNodeIntent, text, text, text, number, number), max_size=4).map(tuple),
    dialect=st.sampled_from(Dialect),
    node_dialect=st.sampled_from(Dialect),
)


@given(received)
def test_whatever_was_said_becomes_a_set_that_the_wire_takes(value: Received) -> None:
    made = translate(value, HERE)
    pushed = DesiredSet("legacy", 0, 1, made.intents)
    assert read_desired(json.loads(json.dumps(pushed.as_json()))) == pushed
    assert set(made.origins) == {intent.key for intent in made.intents}
    by_pod: dict[str, list[int]] = {}
    for intent in made.intents:
        by_pod.setdefault("" if intent.pod is None else intent.pod.uid, []).append(intent.rank)
    assert all(ranks == list(range(len(ranks))) for ranks in by_pod.values())
