"""What the kernel told of threads and cgroups, and what it could not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from gthulhu_agent.metrics.families import PREFIX, counter

if TYPE_CHECKING:
    from gthulhu_agent.discovery.events.event import Events


class EventsCollector:
    """Reads the tally of ``events``; None where the kernel is only looked at, not heard."""

    def __init__(self, events: Events | None) -> None:
        self._events = events

    def collect(self) -> Iterator[Metric]:
        """Which way events come, and how many did."""
        info = InfoMetricFamily(f"{PREFIX}_events_source", "Way that the kernel's events come: bpf, connector or none.")
        info.add_metric([], {"source": "none" if self._events is None else self._events.name})
        yield info
        if self._events is None:
            return
        from gthulhu_agent.discovery.events.event import Kind  # noqa: PLC0415 - nodes without events do without

        tally = self._events.tally()
        told = CounterMetricFamily(f"{PREFIX}_events", "What the kernel told, by kind.", labels=["kind"])
        for kind in Kind:
            told.add_metric([kind.name.lower()], tally.told.get(kind, 0))
        yield told
        yield counter("events_lost", "Events that did not get through; a whole pass follows.", tally.lost)
        yield counter(
            "events_held_back", "Events that were not told one by one because a cgroup was crowded.", tally.held_back
        )
