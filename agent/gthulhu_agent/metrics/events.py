"""What the kernel told of threads and cgroups, what it could not, and what was done about it between whole passes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol

from prometheus_client.core import CounterMetricFamily, InfoMetricFamily, Metric

from gthulhu_agent.discovery.events.event import Kind, Tally
from gthulhu_agent.metrics.families import PREFIX, counter

if TYPE_CHECKING:
    from gthulhu_agent.discovery.events.event import Events
    from gthulhu_agent.quickpass import QuickTally


class Hearing(Protocol):
    """What is needed of the engine."""

    @property
    def events(self) -> Events | None:
        """None where nothing tells of new threads (any more)."""
        ...

    @property
    def quick(self) -> QuickTally:
        """What quick passes did."""
        ...


class EventsCollector:
    """Reads the engine's tallies. What was counted stays when events break off."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._tally = Tally({})

    def collect(self) -> Iterator[Metric]:
        """Which way events come, how many did, and what quick passes came to."""
        events, quick = self._hearing.events, self._hearing.quick
        if events is not None:
            self._tally = events.tally()
        info = InfoMetricFamily(f"{PREFIX}_events_source", "Way that the kernel's events come: bpf, connector or none.")
        info.add_metric([], {"source": "none" if events is None else events.name})
        yield info
        told = CounterMetricFamily(f"{PREFIX}_events", "What the kernel told, by kind.", labels=["kind"])
        for kind in Kind:
            told.add_metric([kind.name.lower()], self._tally.told.get(kind, 0))
        yield told
        yield counter("events_lost", "Events that did not get through; a whole pass follows.", self._tally.lost)
        yield counter(
            "events_held_back", "Events not told one by one because a cgroup was crowded.", self._tally.held_back
        )
        yield counter("quick_passes", "Looks at what events told of alone.", quick.passes)
        yield counter("quick_threads_set", "Threads that were set between two whole passes.", quick.hastened)
        yield counter("quick_left_out", "Processes left to a whole pass: too many at a time.", quick.left_out)
