"""What Prometheus is told. Labels come from closed lists or are names of policies; never of pods, never error texts.

Series of a policy go away with the policy, and every label of a closed list is there from the beginning, so
that "no value" always means "not scraped".
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Mapping
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from gthulhu_reconcile import __version__
from gthulhu_reconcile.model.plan import Action, Guard, Plan
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.transport.watched_calls import OPERATIONS, OUTCOMES

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_CONVERGENCE = (0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600)
PHASES = ("load", "observe", "plan", "push")
RESOURCES = ("policies", "pods", "inventory", "settings")


class AgentState(StrEnum):
    """Where a node's agent stands after a pass."""

    CONVERGED = "converged"
    PENDING = "pending"
    """It has to be told something that was not sent: the plan is held, or the pass was cut short."""
    UNREACHABLE = "unreachable"
    REJECTED = "rejected"
    """It said no: another owner, a newer generation, a full disk."""


class Metrics:
    """All metrics of the service, in a registry of their own."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self.passes = Counter("gthulhu_reconcile", "Passes by how they ended.", ["result"], registry=registry)
        self.duration = Histogram(
            "gthulhu_reconcile_duration_seconds",
            "Time that the phases of a pass took.",
            ["phase"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.last_success = Gauge(
            "gthulhu_reconcile_last_success_timestamp_seconds",
            "When a pass last ended with all agents converged; 0 is never.",
            registry=registry,
        )
        self.missed = Counter(
            "gthulhu_reconcile_missed", "Passes that could not begin when the clock said so.", registry=registry
        )
        self.superseded = Counter(
            "gthulhu_reconcile_superseded", "Plans dropped because their files changed meanwhile.", registry=registry
        )
        self.commit_to_converged = Histogram(
            "gthulhu_reconcile_commit_to_converged_seconds",
            "Time from the last change of a file to all agents holding what follows from it.",
            registry=registry,
            buckets=_CONVERGENCE,
        )
        self.plan_changes = Gauge("gthulhu_plan_changes", "Changes in the last plan.", ["action"], registry=registry)
        self.drift = Gauge(
            "gthulhu_drift_intents",
            "Intents that agents hold otherwise than we last pushed them, though nobody told us.",
            ["reason"],
            registry=registry,
        )
        self.policy_ready = Gauge(
            "gthulhu_policy_ready", "Whether every planned node holds what the policy asks for.", ["policy"],
            registry=registry,
        )  # fmt: skip
        self.policy_suspended = Gauge(
            "gthulhu_policy_suspended_timestamp_seconds",
            "Since when this process has seen the policy suspended.",
            ["policy"],
            registry=registry,
        )
        self.guard_held = Gauge("gthulhu_guard_held", "Whether the guard holds the last plan.", ["guard"],
                                registry=registry)  # fmt: skip
        self.agent_requests = Counter(
            "gthulhu_agent_requests", "Requests to agents.", ["op", "outcome"], registry=registry
        )
        self.agent_request_duration = Histogram(
            "gthulhu_agent_request_duration_seconds",
            "Time that requests to agents took, whatever their outcome.",
            ["op"],
            registry=registry,
            buckets=_SECONDS,
        )
        self.agents = Gauge("gthulhu_agents", "Agents by where they stand.", ["state"], registry=registry)
        self.watch_last_event = Gauge(
            "gthulhu_watch_last_event_timestamp_seconds",
            "When a change was last noticed; 0 is never.",
            ["resource"],
            registry=registry,
        )
        self.watch_restarts = Counter(
            "gthulhu_watch_restarts", "Times that the kernel had to be asked anew for notices.", ["reason"],
            registry=registry,
        )  # fmt: skip
        self.queue_depth = Gauge("gthulhu_queue_depth", "Causes that wait for a pass.", registry=registry)
        self.queue_oldest = Gauge(
            "gthulhu_queue_oldest_seconds", "How long the first of them has waited.", registry=registry
        )
        self.settings_reloads = Counter(
            "gthulhu_settings_reloads", "Reloads of the settings.", ["result"], registry=registry
        )
        build = Gauge("gthulhu_build_info", "1, with the version as label.", ["version"], registry=registry)
        build.labels(__version__).set(1)
        self._policies: set[str] = set()
        self._suspended: set[str] = set()
        self._begin()

    def requested(self, operation: str, outcome: str, seconds: float) -> None:
        """Tell of one request to an agent."""
        self.agent_requests.labels(operation, outcome).inc()
        self.agent_request_duration.labels(operation).observe(seconds)

    def planned(self, plan: Plan) -> None:
        """Tell of a plan, whatever becomes of it."""
        tally = Tally(change.action for change in plan.changes)
        for action in Action:
            self.plan_changes.labels(action.value).set(tally[action])
        for guard in Guard:
            self.guard_held.labels(guard.value).set(plan.held is not None and plan.held.guard is guard)

    def stand(self, states: Mapping[str, AgentState]) -> None:
        """Tell where the agents stand."""
        tally = Tally(states.values())
        for state in AgentState:
            self.agents.labels(state.value).set(tally[state])

    def policies(self, ready: Mapping[str, bool], suspended: Mapping[str, float]) -> None:
        """Tell of all policies that there are; series of others go away."""
        for name in self._policies - ready.keys():
            self.policy_ready.remove(name)
        for name in self._suspended - suspended.keys():
            self.policy_suspended.remove(name)
        for name, value in ready.items():
            self.policy_ready.labels(name).set(value)
        for name, since in suspended.items():
            self.policy_suspended.labels(name).set(since)
        self._policies, self._suspended = set(ready), set(suspended)

    def _begin(self) -> None:
        for result in Result:
            self.passes.labels(result.value)
        for phase in PHASES:
            self.duration.labels(phase)
        for action in Action:
            self.plan_changes.labels(action.value)
        for guard in Guard:
            self.guard_held.labels(guard.value)
        for state in AgentState:
            self.agents.labels(state.value)
        for operation in OPERATIONS:
            self.agent_request_duration.labels(operation)
            for outcome in OUTCOMES:
                self.agent_requests.labels(operation, outcome)
        for resource in RESOURCES:
            self.watch_last_event.labels(resource)
        for reason in ("directories-changed", "no-notices"):
            self.watch_restarts.labels(reason)
        for reload in ("success", "error"):
            self.settings_reloads.labels(reload)
        self.drift.labels("accepted")
