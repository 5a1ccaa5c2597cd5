"""Families of samples, made anew at each scrape from what their owner holds: nothing has to be kept in step."""

from __future__ import annotations

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

PREFIX = "gthulhu_agent"
"""Of every name that is ours, and of none that is upstream's."""


def gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    """One sample without labels."""
    return GaugeMetricFamily(f"{PREFIX}_{name}", text, value=value)


def counter(name: str, text: str, value: float) -> CounterMetricFamily:
    """One sample without labels; the name is without ``_total``."""
    return CounterMetricFamily(f"{PREFIX}_{name}", text, value=value)
