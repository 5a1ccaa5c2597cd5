"""What passes mean over time: drift, faults that begin and end, metrics of where agents stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import structlog
from agent_harness import desired, intent
from service_world import policy
from small_fleet import Fleet
from structlog.testing import LogCapture

from gthulhu_reconcile.model.accepted import DAMAGED
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.runtime.metrics import AgentState, Metrics
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.passing import Ended
from gthulhu_reconcile.runtime.reconciling import one_pass
from gthulhu_reconcile.runtime.reporting import Reporter, standing


class Desk:
    """A reporter, and what it said."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.capture = LogCapture()
        self.now = 1000.0
        log = structlog.wrap_logger(None, processors=[self.capture])
        self.reporter = Reporter(self.metrics, log, lambda: self.now)

    def value(self, name: str, **labels: str) -> float | None:
        """A metric."""
        return self.metrics.registry.get_sample_value(name, labels)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Log lines about an event."""
        return [dict(entry) for entry in self.capture.entries if entry["event"] == event]

    async def passes(self, fleet: Fleet, **overrides: Any) -> Ended:  # noqa: ANN401 - values of settings
        """One pass, reported."""
        return self.reporter.ended(await one_pass(fleet.settings(**overrides)))


async def test_a_set_that_somebody_else_replaced_is_drift_once_and_is_put_right(fleet: Fleet) -> None:
    desk = Desk()
    await desk.passes(fleet)
    await desk.passes(fleet)
    assert desk.said("agent was changed by somebody else") == []

    status, _ = await fleet.agents["n1"].put(desired(9, intent("theirs"), owner="here"))
    assert status == 200
    await desk.passes(fleet)
    (line,) = desk.said("agent was changed by somebody else")
    assert (line["node"], line["generation"], line["intents"]) == ("n1", 9, 2)
    assert desk.value("gthulhu_drift_intents", reason="accepted") == 2
    assert await fleet.held("n1") == [("web-1", 5)]

    await desk.passes(fleet)
    assert desk.value("gthulhu_drift_intents", reason="accepted") == 0


async def test_our_own_changes_are_no_drift(fleet: Fleet) -> None:
    desk = Desk()
    for priority in (5, 6, 7):
        fleet.write("policies/web.yaml", policy(priority=priority))
        await desk.passes(fleet)
    assert desk.said("agent was changed by somebody else") == []


async def test_a_failing_node_is_told_when_it_begins_and_when_it_ends(fleet: Fleet) -> None:
    desk = Desk()
    await fleet.agents["n1"].put(desired(1, intent("theirs"), owner="elsewhere"))
    first = await desk.passes(fleet)
    assert (first.result, first.counts["nodes_told"]) == (Result.PARTIAL, 1)
    assert first.problem.startswith("1 of 2 nodes failed: n1: owned by elsewhere")
    await desk.passes(fleet)
    assert len(desk.said("node is failing")) == 1
    assert desk.value("gthulhu_agents", state="rejected") == 1
    assert desk.value("gthulhu_agents", state="converged") == 1

    assert (await desk.passes(fleet, adopt=True)).problem == ""
    assert len(desk.said("node is well again")) == 1
    assert desk.value("gthulhu_agents", state="rejected") == 0
    assert desk.value("gthulhu_agents", state="converged") == 2


async def test_a_held_plan_is_told_once_leaves_agents_pending_and_policies_not_ready(fleet: Fleet) -> None:
    desk = Desk()
    fleet.write("policies/low.yaml", policy("low", priority=-5, more="  precedence: -1\n"))
    await desk.passes(fleet)
    assert desk.value("gthulhu_policy_ready", policy="default/web") == 1
    (fleet.policies / "web.yaml").unlink()
    (fleet.policies / "low.yaml").unlink()
    held = await desk.passes(fleet)
    await desk.passes(fleet)
    assert held.result is Result.HELD
    assert len(desk.said("plan is held")) == 1
    assert desk.value("gthulhu_guard_held", guard="empty-desired") == 1
    assert desk.value("gthulhu_agents", state="pending") == 2
    assert desk.value("gthulhu_policy_ready", policy="default/web") is None

    fleet.write("policies/web.yaml", policy())
    await desk.passes(fleet)
    assert len(desk.said("no plan is held any more")) == 1
    assert desk.value("gthulhu_guard_held", guard="empty-desired") == 0


async def test_the_time_to_converge_runs_from_the_first_change_to_the_first_good_pass(fleet: Fleet) -> None:
    desk = Desk()
    desk.reporter.changed(990.0)
    desk.reporter.changed(995.0)
    await fleet.agents["n1"].put(desired(1, intent("theirs"), owner="elsewhere"))
    await desk.passes(fleet)
    name = "gthulhu_reconcile_commit_to_converged_seconds"
    assert desk.value(f"{name}_count") == 0
    desk.now = 1005.0
    await desk.passes(fleet, adopt=True)
    await desk.passes(fleet)
    assert desk.value(f"{name}_count") == 1
    assert desk.value(f"{name}_sum") == 15.0


async def test_where_agents_stand_when_none_was_told_is_pending(fleet: Fleet) -> None:
    outcome = await one_pass(fleet.settings(), dry_run=True)
    assert standing(outcome) == {"n1": AgentState.PENDING, "n2": AgentState.PENDING}


def test_a_finding_is_told_when_it_is_new_and_again_when_it_comes_back() -> None:
    desk = Desk()
    finding = Diagnostic(Code.TIE, Severity.WARNING, Span("a.yaml", 1, 1, 2), "is tied")
    desk.reporter.findings("inputs", (finding,))
    desk.reporter.findings("inputs", (finding,))
    desk.reporter.findings("settings", ())
    assert len(desk.said("input is wrong")) == 1
    desk.reporter.findings("inputs", ())
    desk.reporter.findings("inputs", (finding,))
    assert len(desk.said("input is wrong")) == 2


async def test_a_set_that_an_agent_lost_is_not_said_to_be_changed_by_somebody_else(fleet: Fleet) -> None:
    desk = Desk()
    first = await one_pass(fleet.settings())
    desk.reporter.ended(first)
    lost = {node: replace(base, digest=DAMAGED) for node, base in first.plan.bases.items()}
    desk.reporter.ended(replace(first, planned=replace(first.planned, plan=replace(first.plan, bases=lost))))
    assert desk.said("agent was changed by somebody else") == []
    assert sorted(line["node"] for line in desk.said("agent lost its stored set")) == ["n1", "n2"]
