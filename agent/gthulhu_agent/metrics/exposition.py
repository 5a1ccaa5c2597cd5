"""What the agent counts, as Prometheus and OpenMetrics read it.

Our units are base units, counters never go down, and no label grows without bound: routes are those of the table,
methods those of HTTP, pods as many as are measured and only while they run; policies are told by ``GET /v1/state``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from gthulhu_agent.metrics import pods
from gthulhu_agent.metrics.agent import AgentCollector
from gthulhu_agent.metrics.events import EventsCollector
from gthulhu_agent.metrics.families import PREFIX
from gthulhu_agent.metrics.logins import LoginCollector
from gthulhu_agent.metrics.scheduler import SchedulerCollector

if TYPE_CHECKING:
    from gthulhu_agent.agent import Agent
    from gthulhu_agent.legacy.metricset import MetricSets
    from gthulhu_agent.tls.reloading import Tls
    from gthulhu_agent.tokens.values import LoginTally
    from gthulhu_agent.usage.meter import Meter

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"})
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
            "Connections refused or sent away: too many, too slow, or not HTTP or TLS.",
            ("reason",),
            registry=self._registry,
        )
        self._usage: tuple[Agent, Meter, pods.ManagedPods] | None = None
        self._rendering = asyncio.Lock()

    def watch(self, agent: Agent) -> None:
        """Tell of ``agent`` too, each time anew."""
        self._registry.register(AgentCollector(agent))
        self._registry.register(EventsCollector(agent.engine))

    def watch_usage(self, agent: Agent, meter: Meter) -> None:
        """Tell what pods use, too."""
        self._usage = agent, meter, pods.ManagedPods()

    def watch_logins(self, tally: LoginTally, tls: Tls | None) -> None:
        """Tell who came in; and of the certificate, where there is TLS."""
        self._registry.register(LoginCollector(tally, tls))

    def watch_reports(self, reports: MetricSets, machine_id: str) -> None:
        """Tell what the node's scheduler reported last, of the machine ``machine_id``."""
        self._registry.register(SchedulerCollector(reports, machine_id))

    def call(self, route: str, method: str, status: int, seconds: float) -> None:
        """An API call was answered."""
        self._calls.labels(route, method if method in _METHODS else "other", str(status)).inc()
        self._call_seconds.labels(route).observe(seconds)

    def pass_ended(self, seconds: float) -> None:
        """A pass took this long."""
        self._pass_seconds.observe(seconds)

    def rejected(self, reason: str) -> None:
        """A connection was refused or sent away: ``full``, ``slow``, ``malformed`` or ``handshake``."""
        self._rejected.labels(reason).inc()

    async def render(self, accept: str) -> tuple[bytes, str]:
        """The text that a scraper which sent ``accept`` reads, and its content type.

        It is put together in a thread, one page at a time: a thousand pods are three megabytes of text.
        """
        try:
            encode, content_type = choose_encoder(accept)
        except (TypeError, ValueError):  # it compares whatever stands behind version= with numbers
            encode, content_type = choose_encoder("")
        async with self._rendering:
            page = _Page(chain(list(self._registry.collect()), self._pods()))
            return await asyncio.get_running_loop().run_in_executor(None, encode, page), content_type

    def _pods(self) -> Iterator[Metric]:
        if self._usage is None:
            return iter(())
        agent, meter, managed = self._usage
        meter.looked_at()
        return pods.collect(meter, managed.of(agent.held, agent.node))


class _Page:
    """What an encoder asks of a registry."""

    def __init__(self, families: Iterator[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families, once."""
        return self._families
