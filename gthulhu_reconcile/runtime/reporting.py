"""What passes mean over time: metrics, and log lines about what begins, ends or happened without us."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.diagnostics import Diagnostic, Severity
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.policy import Standing
from gthulhu_reconcile.runtime.logs import Log
from gthulhu_reconcile.runtime.metrics import AgentState, Metrics
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.passing import Ended, place
from gthulhu_reconcile.runtime.reconciling import PassResult
from gthulhu_wire.intents import Intent, PolicyRef

_SHOWN = 3
_LOGGED = 20
"""Nodes that are logged one by one in a pass: the outage of a whole site is one line more, not ten thousand."""
_BY_OUTCOME = {
    Outcome.ACKNOWLEDGED: AgentState.CONVERGED,
    Outcome.ALREADY: AgentState.CONVERGED,
    Outcome.UNREACHABLE: AgentState.UNREACHABLE,
}


class Reporter:
    """Tells of passes, and remembers of the last one what the next is compared with.

    A fault that lasts is told when it begins and when it ends: the same line every minute is read by nobody.

    Args:
        wall: seconds since 1970.
    """

    def __init__(self, metrics: Metrics, log: Log, wall: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._log = log
        self._wall = wall
        self._pushed: dict[str, tuple[str, tuple[Intent, ...]]] = {}
        self._sent: Plan | None = None
        self._failing: dict[str, str] = {}
        self._findings: dict[str, frozenset[Diagnostic]] = {}
        self._suspended: dict[str, float] = {}
        self._held = ""
        self._changed_at: float | None = None

    def changed(self, when: float) -> None:
        """A file was changed at ``when``; how long the agents take to follow is measured from the first such change."""
        self._changed_at = when if self._changed_at is None else min(self._changed_at, when)

    def findings(self, source: str, diagnostics: Sequence[Diagnostic]) -> None:
        """Log what is newly wrong with what ``source`` names."""
        former = self._findings.get(source, frozenset())
        for diagnostic in diagnostics:
            if diagnostic not in former:
                write = self._log.error if diagnostic.severity is Severity.ERROR else self._log.warning
                write("input is wrong", code=diagnostic.code.value, where=place(diagnostic))
        self._findings[source] = frozenset(diagnostics)

    def sending(self, plan: Plan) -> None:
        """The plan is about to be executed.

        From here on what its nodes hold is known only by what they acknowledge: a set may arrive and its answer be
        lost, or the pass be cut short, and the next pass must not take our own set for somebody else's.
        """
        self._drift(plan)
        self._sent = plan
        for node in plan.changed_nodes:
            self._pushed.pop(node, None)

    def ended(self, outcome: PassResult) -> Ended:
        """Tell of a pass that made a plan; how it ended in a sentence."""
        self.findings("inputs", outcome.diagnostics)
        if outcome.plan is not self._sent:
            self._drift(outcome.plan)
        self._sent = None
        self._metrics.planned(outcome.plan)
        for phase, seconds in outcome.seconds.items():
            self._metrics.duration.labels(phase).observe(seconds)
        states = standing(outcome)
        self._metrics.stand(states)
        self._policies(outcome, states)
        self._transitions(_failures(outcome))
        self._hold(outcome.plan)
        self._remember(outcome, states)
        if outcome.result in (Result.SUCCESS, Result.NOOP) and self._changed_at is not None:
            self._metrics.commit_to_converged.observe(max(0.0, self._wall() - self._changed_at))
            self._changed_at = None
        return Ended(outcome.result, self._problem(outcome), _counts(outcome))

    def _drift(self, plan: Plan) -> None:
        total = 0
        for node, base in plan.bases.items():
            if base.damaged:
                self._log.warning("agent lost its stored set", node=node, owner=base.owner, generation=base.generation)
                continue
            if (pushed := self._pushed.get(node)) is None or pushed[0] == base.digest:
                continue
            count = _differing(pushed[1], _held(plan, base))
            total += count
            self._log.warning(
                "agent was changed by somebody else",
                node=node,
                owner=base.owner,
                generation=base.generation,
                intents=count,
            )
        self._metrics.drift.labels("accepted").set(total)

    def _policies(self, outcome: PassResult, states: Mapping[str, AgentState]) -> None:
        late = {
            _name(intent.terms.policy)
            for node, intents in outcome.plan.desired.items()
            if states[node] is not AgentState.CONVERGED
            for intent in intents
        }
        standings = {_name(one.policy.ref): one.standing for one in outcome.planned.inputs.candidates}
        self._suspended = {
            name: self._suspended.get(name, self._wall())
            for name, standing_ in standings.items()
            if standing_ is Standing.SUSPENDED
        }
        self._metrics.policies({name: name not in late for name in standings}, self._suspended)

    def _transitions(self, failing: Mapping[str, str]) -> None:
        begun = sorted(failing.keys() - self._failing.keys())
        for node in begun[:_LOGGED]:
            self._log.warning("node is failing", node=node, reason=failing[node])
        ended = sorted(self._failing.keys() - failing.keys())
        for node in ended[:_LOGGED]:
            self._log.info("node is well again", node=node)
        if more := max(0, len(begun) - _LOGGED) + max(0, len(ended) - _LOGGED):
            self._log.warning("more nodes began to fail or are well again", count=more)
        self._failing = dict(failing)

    def _hold(self, plan: Plan) -> None:
        held = "" if plan.held is None else plan.id
        if plan.held is not None and held != self._held:
            self._log.warning("plan is held", plan=plan.id, guard=plan.held.guard.value, reason=plan.held.message)
        if self._held and not held:
            self._log.info("no plan is held any more", plan=self._held)
        self._held = held

    def _remember(self, outcome: PassResult, states: Mapping[str, AgentState]) -> None:
        plan = outcome.plan
        for node in self._pushed.keys() - {agent.node for agent in outcome.planned.inputs.agents}:
            del self._pushed[node]
        for node, state in states.items():
            if state is AgentState.CONVERGED:
                self._pushed[node] = (plan.digests[node], plan.desired[node])
            elif state is AgentState.REJECTED:
                self._pushed.pop(node, None)

    def _problem(self, outcome: PassResult) -> str:
        plan = outcome.plan
        if plan.held is not None:
            return f"plan {plan.id}: {plan.held.message}"
        if not self._failing:
            return ""
        first = [f"{node}: {reason}" for node, reason in sorted(self._failing.items())[:_SHOWN]]
        more = f"; and {len(self._failing) - _SHOWN} more" if len(self._failing) > _SHOWN else ""
        of = len(plan.bases.keys() | self._failing.keys())
        return f"{len(self._failing)} of {of} nodes failed: {'; '.join(first)}{more}"


def standing(outcome: PassResult) -> dict[str, AgentState]:
    """Where each agent stands after a pass."""
    plan = outcome.plan
    told: dict[str, NodeOutcome] = {} if outcome.push is None else {one.node: one for one in outcome.push.nodes}
    changed = set(plan.changed_nodes)
    states = dict.fromkeys(plan.bases, AgentState.CONVERGED)
    for node in plan.bases.keys() & changed:
        result = told.get(node)
        states[node] = AgentState.PENDING if result is None else _BY_OUTCOME.get(result.outcome, AgentState.REJECTED)
    for node in outcome.planned.silent:
        # What answered and is not planned all the same belongs to another owner.
        answered = node in outcome.planned.inputs.accepted
        states[node] = AgentState.REJECTED if answered else AgentState.UNREACHABLE
    return states


def _counts(outcome: PassResult) -> Mapping[str, int]:
    summary = outcome.plan.summary
    nodes = 0 if outcome.push is None else len(outcome.push.nodes)
    return {
        "add": summary.add,
        "update": summary.update,
        "delete": summary.delete,
        "forget": summary.forget,
        "nodes_told": nodes,
    }


def _name(policy: PolicyRef) -> str:
    return f"{policy.namespace}/{policy.name}"


def _failures(outcome: PassResult) -> dict[str, str]:
    reasons = {one.node: one.reason for one in outcome.plan.unreachable}
    failing = {node: reasons[node] for node in outcome.planned.silent}
    if outcome.push is not None:
        failing.update({one.node: one.reason for one in outcome.push.failed})
    return failing


def _held(plan: Plan, base: Accepted) -> tuple[Intent, ...]:
    return plan.desired[base.node] if plan.digests[base.node] == base.digest else base.intents


def _differing(former: Sequence[Intent], now: Sequence[Intent]) -> int:
    before, after = {one.key: one for one in former}, {one.key: one for one in now}
    return sum(before.get(key) != after.get(key) for key in before.keys() | after.keys())
