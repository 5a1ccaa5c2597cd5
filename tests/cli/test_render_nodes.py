"""What agents hold and what drifted, as people and machines read it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from cli import samples
from rich.text import Text
from syrupy.assertion import SnapshotAssertion

from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome, PushResult
from gthulhu_reconcile.cli.rendering import nodes as rendering
from gthulhu_reconcile.cli.rendering.drift import Kind, drift, drift_line, find
from gthulhu_reconcile.cli.rendering.explained_json import as_json
from gthulhu_reconcile.cli.rendering.explanation import explanation
from gthulhu_reconcile.cli.rendering.held import held
from gthulhu_reconcile.cli.rendering.nodes import NodeStatus
from gthulhu_reconcile.cli.rendering.process import process
from gthulhu_reconcile.cli.rendering.push import OUTCOMES, applied_line, pushed
from gthulhu_reconcile.model.plan import Considered, Explanation, Verdict
from gthulhu_reconcile.model.policy import Policy, PolicyKind, Selector
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_reconcile.transport.processes import ProcessReport, ThreadReport
from gthulhu_reconcile.transport.reports import AgentState, Condition, IntentState
from gthulhu_wire.intents import PolicyRef, Schedule

Drawn = Callable[..., str]

ENFORCED = IntentState(
    pod=samples.SHOP,
    policy=samples.WEB,
    rank=0,
    accepted_since="2026-01-31T08:00:00Z",
    enforced_since="2026-01-31T08:00:01Z",
    threads=12,
    processes=3,
    effective={"priority": 10, "timeSlice": 5_000_000, "preempt": True},
    weight=312,
    nice=-2,
    refused=(),
    expired=False,
)
REFUSED = replace(
    ENFORCED,
    pod=samples.ETL,
    policy=samples.BATCH,
    enforced_since=None,
    refused=("slice: Linux 6.1 has no custom slice (run Linux 6.12 or newer)",),
)
IDLE = replace(ENFORCED, pod=samples.GONE, enforced_since=None, threads=0, processes=0)
LATE = replace(ENFORCED, pod=None, policy=samples.SYSTEM, enforced_since=None)


def node(name: str, *intents: IntentState, owner: str = "prod", conditions: tuple[Condition, ...] = ()) -> NodeStatus:
    digest = "ab" * 32
    return NodeStatus(
        name,
        Holding(name, owner, 1, 5, digest, len(intents)),
        AgentState(name, 5, digest, "eevdf", conditions, intents),
    )


FLEET = (
    node("worker-07", ENFORCED, IDLE),
    node(
        "worker-08",
        REFUSED,
        LATE,
        owner="staging",
        conditions=(Condition("StoreUnwritable", "No space left on device", "free space in /var/lib/gthulhu-agent"),),
    ),
    NodeStatus("worker-09", silence="no connection to http://10.0.0.9:18080: Connection refused"),
)


def test_status_tells_each_node_and_its_gaps(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn(rendering.status(FLEET, "prod")) == golden


def test_an_intent_without_threads_is_no_gap() -> None:
    (idle,) = (node("n", IDLE),)
    assert (len(idle.gaps), idle.idle, idle.enforced) == (0, 1, 0)


def test_an_intent_that_ended_is_no_gap() -> None:
    assert node("n", replace(LATE, expired=True)).gaps == ()


def test_a_refusal_without_threads_is_a_gap() -> None:
    assert len(node("n", replace(REFUSED, threads=0)).gaps) == 1


def test_status_as_json_names_every_gap() -> None:
    document = rendering.as_json(FLEET)
    rows = document["nodes"]
    assert isinstance(rows, list)
    assert [row["answers"] for row in rows] == [True, True, False]
    assert [gap["threads"] for gap in rows[1]["gaps"]] == [12, 12]


def test_drift_is_what_somebody_else_did(golden: SnapshotAssertion, drawn: Drawn) -> None:
    found = find(FLEET, "prod", {"worker-07": "cd" * 32, "worker-08": "ab" * 32})
    assert drawn(drift(found, FLEET)) == golden
    assert [each.kind for each in found] == [Kind.SET, Kind.OWNER, Kind.REFUSED, Kind.NOT_ENFORCED]


def test_a_fresh_node_has_not_drifted() -> None:
    assert find((node("n", ENFORCED, owner=""),), "prod", {}) == ()
    assert drift_line((), FLEET[:1]) == "Drift: 0 findings on 0 of 1 node."


def test_a_push_shows_its_failures_only(golden: SnapshotAssertion, drawn: Drawn) -> None:
    result = PushResult(
        (
            NodeOutcome("worker-07", Outcome.ACKNOWLEDGED, 5, "ab" * 32),
            NodeOutcome("worker-08", Outcome.STALE, reason="it holds generation 6 of 'prod'; plan again"),
            NodeOutcome("worker-09", Outcome.UNREACHABLE, reason="no answer within 5s"),
        )
    )
    assert drawn([pushed(result)]) == golden


def test_the_last_line_of_a_push_is_an_interface() -> None:
    good = NodeOutcome("a", Outcome.ACKNOWLEDGED)
    assert applied_line(PushResult((good,))) == "Applied: 1 of 1 node hold their set."
    assert applied_line(PushResult((good, NodeOutcome("b", Outcome.REFUSED)))) == (
        "Applied: 1 of 2 nodes hold their set, 1 does not."
    )


def test_every_outcome_has_words() -> None:
    assert set(OUTCOMES) == set(Outcome)


def policy(ref: PolicyRef, line: int, precedence: int, selector: Selector) -> Policy:
    return Policy(PolicyKind.SCHEDULING, ref, line, precedence, selector, Schedule(5, 5_000_000, preempt=True))


EXPLAINED = Explanation(
    samples.SHOP,
    "worker-07",
    (
        Considered(policy(samples.WEB, 3, 100, Selector(command="^nginx$", containers=("web",))), Verdict.WINS, rank=0),
        Considered(policy(samples.BATCH, 1, 0, Selector(everything=True)), Verdict.WINS, rank=1),
        Considered(policy(samples.NIGHT, 9, 90, Selector(everything=True)), Verdict.SUSPENDED, "until 18:00"),
    ),
)


def test_an_explanation_names_winners_losers_and_places(golden: SnapshotAssertion, drawn: Drawn) -> None:
    assert drawn([explanation(EXPLAINED), held(EXPLAINED, node("worker-07", ENFORCED, REFUSED))]) == golden


def test_an_explanation_says_where_nobody_wins(drawn: Drawn) -> None:
    lost = Explanation(samples.SHOP, "", EXPLAINED.considered[2:])
    text = drawn([explanation(lost)])
    assert "No policy applies" in text
    assert "not yet on a node" in text


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (None, "No agent was asked"),
        (FLEET[2], "did not answer"),
        (node("worker-07"), "nothing of it is about this pod"),
    ],
)
def test_what_the_agent_says_may_be_nothing(drawn: Drawn, status: NodeStatus | None, words: str) -> None:
    text: Text = held(EXPLAINED, status)
    assert words in drawn([text])


def test_an_explanation_as_json() -> None:
    document = as_json([EXPLAINED], {"worker-07": node("worker-07", ENFORCED)})
    pods = document["pods"]
    assert isinstance(pods, list)
    (pod,) = pods
    assert [row["verdict"] for row in pod["policies"]] == ["wins", "wins", "suspended"]
    assert [row["weight"] for row in pod["agent"]] == [312]


def test_a_process_shows_each_thread(golden: SnapshotAssertion, drawn: Drawn) -> None:
    won = ThreadReport(4711, "nginx", ("default", "web-latency"), 10, 5_000_000, True, 312, "OTHER", -2, 5_000_000)
    free = ThreadReport(4712, "log\x1b[2J", None, None, None, None, None, "BATCH", 0, None)
    ended = ThreadReport(4713, "short", None, None, None, None, None, None, None, None)
    report = ProcessReport(
        4711, "nginx", "/usr/sbin/nginx", "container", "/kubepods/x", "", "ab" * 32, samples.SHOP, (won, free, ended)
    )
    assert drawn([process(report)]) == golden
