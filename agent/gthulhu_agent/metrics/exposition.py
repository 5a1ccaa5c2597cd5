"""What the agent counts, as Prometheus and OpenMetrics read it.

Units are base units, counters never go down, and no label has values that somebody outside can choose: routes are
those of the table, methods those of HTTP, and pods and policies are told by ``GET /v1/state``, not here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder

from gthulhu_agent import __version__
from gthulhu_agent.state import ConditionKind

if TYPE_CHECKING:
    from gthulhu_agent.agent import Agent

PREFIX = "gthulhu_agent"
_METHODS = frozenset({"GET", "PUT", "POST"})
_CALL_BUCKETS = (0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
_PASS_BUCKETS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Metrics:
    """A registry of this agent's own: two agents in one process do not meet, and nothing global leaks in."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(namespace=PREFIX, registry=self._registry)
        self._calls = Counter(
            f"{PREFIX}_api_requests",
            "API calls by route, method and status.",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._call_seconds = Histogram(
            f"{PREFIX}_api_request_duration_seconds",
            "Time from a request's headers to its answer.",
            ("route",),
            buckets=_CALL_BUCKETS,
            registry=self._registry,
        )
        self._pass_seconds = Histogram(
            f"{PREFIX}_pass_duration_seconds",
            "Time that a pass takes: scan, bind and apply.",
            buckets=_PASS_BUCKETS,
            registry=self._registry,
        )
        self._rejected = Counter(
            f"{PREFIX}_api_connections_rejected",
            "Connections refused because as many as allowed were open, or because what they sent was not HTTP.",
            ("reason",),
            registry=self._registry,
        )

    def watch(self, agent: Agent) -> None:
        """Tell of ``agent`` too, each time anew."""
        self._registry.register(_AgentCollector(agent))

    def call(self, route: str, method: str, status: int, seconds: float) -> None:
        """An API call was answered."""
        self._calls.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._call_seconds.labels(route).observe(seconds)

    def pass_ended(self, seconds: float) -> None:
        """A pass took this long."""
        self._pass_seconds.observe(seconds)

    def rejected(self, reason: str) -> None:
        """A connection was refused: ``full`` or ``malformed``."""
        self._rejected.labels(reason).inc()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The text that a scraper which sent ``accept`` reads, and its content type."""
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it compares whatever stands behind version= with numbers
            encode, content_type = choose_encoder("")
        return encode(self._registry), content_type


class _AgentCollector:
    """Reads the agent when it is asked, so nothing has to be kept in step."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def collect(self) -> Iterator[Metric]:
        agent = self._agent
        info = InfoMetricFamily(f"{PREFIX}_build", "Version of the agent and the enforcer that it runs with.")
        info.add_metric([], {"version": __version__, "enforcer": agent.engine.enforcer.name})
        yield info
        yield _gauge("generation", "Generation of the set that holds.", agent.held.generation)
        yield _gauge("intents", "Intents of the set that holds.", len(agent.held.intents))
        conditions = GaugeMetricFamily(f"{PREFIX}_condition", "1 while the condition stands.", labels=["type"])
        for kind in ConditionKind:
            conditions.add_metric([kind.value], float(kind in agent.conditions))
        yield conditions
        yield _gauge("ready", "1 while nothing stands in the way.", float(not agent.conditions.blocking))
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
        yield _counter("pass_failures", "Passes that ended in an error.", tally.failures)
        yield _counter("weights_rebased", "Weights scaled anew after their owner wrote them.", tally.rebased)
        yield _counter("threads_drifted", "Threads set again after somebody else changed them.", tally.drifted)
        if last is None:
            return
        yield _gauge("last_pass_timestamp_seconds", "When the last pass began.", last.at)
        states = list(last.states.values())
        yield _gauge("threads_held", "Threads that intents hold.", sum(state.threads for state in states))
        yield _gauge("intents_enforced", "Intents whose every thread runs as told.", sum(s.enforced for s in states))
        yield _gauge("pods", "Pods that run on this node.", len(last.snapshot.pods))
        yield _gauge("processes", "Processes that were looked at.", sum(1 for _ in last.snapshot.processes()))

    def _enforcer(self) -> Iterator[Metric]:
        last = self._agent.engine.last
        if last is None:
            return
        stats = last.stats
        yield _counter("enforcer_applies", "Times that the enforcer was told the whole wish.", stats.applies)
        yield _counter("enforcer_threads_set", "Threads whose values were set.", stats.threads_set)
        yield _counter("enforcer_threads_restored", "Threads put back as they were.", stats.threads_restored)
        yield _counter("enforcer_weights_set", "cgroup weights that were set.", stats.weights_set)
        yield _counter("enforcer_weights_restored", "cgroup weights put back as they were.", stats.weights_restored)
        refusals = CounterMetricFamily(
            f"{PREFIX}_enforcer_refusals", "What the kernel did not take, by what it was.", labels=["what"]
        )
        for what, count in sorted(stats.by_refusal.items()):
            refusals.add_metric([what], count)
        yield refusals


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
