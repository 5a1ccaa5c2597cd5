"""What the agent holds, was sent, and did."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from gthulhu_agent import __version__
from gthulhu_agent.metrics.families import PREFIX, counter, gauge
from gthulhu_agent.state import ConditionKind

if TYPE_CHECKING:
    from gthulhu_agent.agent import Agent


class AgentCollector:
    """Reads the agent when it is asked."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        """Everything but pods."""
        agent = self._agent
        info = InfoMetricFamily(f"{PREFIX}_build", "Version of the agent and the enforcer that it runs with.")
        info.add_metric([], {"version": __version__, "enforcer": agent.engine.enforcer.name})
        yield info
        yield gauge("generation", "Generation of the set that holds.", agent.held.generation)
        yield gauge("intents", "Intents of the set that holds.", len(agent.held.intents))
        conditions = GaugeMetricFamily(f"{PREFIX}_condition", "1 while the condition stands.", labels=["type"])
        for kind in ConditionKind:
            conditions.add_metric([kind.value], float(kind in agent.conditions))
        yield conditions
        yield gauge("ready", "1 while nothing stands in the way.", float(not agent.conditions.blocking))
        yield from self._pushes()
        yield from self._passes()
        yield from self._enforcer()

    def _pushes(self) -> Iterator[Metric]:
        tally = self._agent.pushes
        pushes = CounterMetricFamily(
            f"{PREFIX}_pushes", "Sets that arrived, by what became of them.", labels=["result"]
        )
        pushes.add_metric(["taken"], tally.taken)
        pushes.add_metric(["repeated"], tally.repeated)
        for code, count in sorted(tally.refused.items()):
            pushes.add_metric([code], count)
        yield pushes

    def _passes(self) -> Iterator[Metric]:
        tally, last = self._agent.engine.tally, self._agent.engine.last
        yield counter("pass_failures", "Passes that ended in an error.", tally.failures)
        yield counter("weights_rebased", "Weights scaled anew after their owner wrote them.", tally.rebased)
        yield counter("threads_drifted", "Threads set again after somebody else changed them.", tally.drifted)
        if last is None:
            return
        yield gauge("last_pass_timestamp_seconds", "When the last pass began.", last.at)
        states = list(last.states.values())
        yield gauge("threads_held", "Threads that intents hold.", sum(state.threads for state in states))
        yield gauge("intents_enforced", "Intents whose every thread runs as told.", sum(s.enforced for s in states))
        yield gauge("pods", "Pods that run on this node.", len(last.snapshot.pods))
        yield gauge("processes", "Processes that were looked at.", sum(1 for _ in last.snapshot.processes()))

    def _enforcer(self) -> Iterator[Metric]:
        last = self._agent.engine.last
        if last is None:
            return
        stats = last.stats
        yield counter("enforcer_applies", "Times that the enforcer was told the whole wish.", stats.applies)
        yield counter("enforcer_threads_set", "Threads whose values were set.", stats.threads_set)
        yield counter("enforcer_threads_restored", "Threads put back as they were.", stats.threads_restored)
        yield counter("enforcer_weights_set", "cgroup weights that were set.", stats.weights_set)
        yield counter("enforcer_weights_restored", "cgroup weights put back as they were.", stats.weights_restored)
        refusals = CounterMetricFamily(
            f"{PREFIX}_enforcer_refusals", "What the kernel did not take, by what it was.", labels=["what"]
        )
        for what, count in sorted(stats.by_refusal.items()):
            refusals.add_metric([what], count)
        yield refusals
