"""What each pod uses: under Gthulhu's names for pods with intents, and under ours, in base units, for all.

A pod is one series however many intents it has; its series end with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gthulhu_agent.metrics.families import PREFIX, counter, gauge
from gthulhu_agent.state import Held
from gthulhu_agent.usage.counts import Counts
from gthulhu_agent.usage.ledger import PodUsage
from gthulhu_agent.usage.meter import Meter, Reading, Tally

NANO = 1e-9
UPSTREAM_LABELS = ("pod_name", "pod_uid", "namespace", "node_name")
LABELS = ("namespace", "pod", "uid")

_Rows = Sequence[tuple[PodUsage, list[str]]]
"""Pods with the values of their labels."""

UPSTREAM: Mapping[str, tuple[str, Callable[[Counts], int]]] = {
    "gthulhu_pod_voluntary_ctx_switches": (
        "Total voluntary context switches for all processes in a pod",
        lambda counts: counts.voluntary,
    ),
    "gthulhu_pod_involuntary_ctx_switches": (
        "Total involuntary context switches for all processes in a pod",
        lambda counts: counts.involuntary,
    ),
    "gthulhu_pod_cpu_time_nanoseconds": (
        "Total CPU time in nanoseconds for all processes in a pod",
        lambda counts: counts.cpu,
    ),
    "gthulhu_pod_wait_time_nanoseconds": (
        "Total wait (runqueue) time in nanoseconds for all processes in a pod",
        lambda counts: counts.wait,
    ),
    "gthulhu_pod_run_count": (
        "Total number of times processes in a pod were scheduled on CPU",
        lambda counts: counts.runs,
    ),
    "gthulhu_pod_cpu_migrations": (
        "Total CPU migrations for all processes in a pod",
        lambda counts: counts.migrations,
    ),
}
"""Counters by name, without ``_total``, and the help texts that they have there."""


@dataclass(frozen=True, slots=True)
class Managed:
    """What intents say of a pod: how many there are, its name as they have it, and the node's."""

    intents: int
    namespace: str
    name: str
    node: str


class ManagedPods:
    """The pods that intents are for, counted once for each set that holds."""

    def __init__(self) -> None:
        self._of: Held | None = None
        self._pods: Mapping[str, Managed] = {}

    def of(self, held: Held, node: str) -> Mapping[str, Managed]:
        """By uid."""
        if held is not self._of:
            counts = Counter(intent.pod for intent in held.intents if intent.pod is not None)
            received = held.received.intents if held.received is not None else ()
            # A Decision Maker's clients say which node they mean; Kubernetes may call it otherwise than it is set here.
            nodes = {intent.pod_id: intent.node_id for intent in received if intent.node_id}
            self._pods = {
                pod.uid: Managed(count, pod.namespace, pod.name, nodes.get(pod.uid, node))
                for pod, count in counts.items()
            }
            self._of = held
        return self._pods


def collect(meter: Meter, managed: Mapping[str, Managed]) -> Iterator[Metric]:
    """The families of the newest reading; they can be made in another thread, nothing that is read here changes.

    One after the other: with a thousand pods all of them at once are megabytes.
    """
    tally, last = meter.tally, meter.last
    return _families(replace(tally), last, managed)


def _families(tally: Tally, last: Reading | None, managed: Mapping[str, Managed]) -> Iterator[Metric]:
    yield counter("usage_readings", "Times that what pods use was read.", tally.readings)
    yield counter("usage_failures", "Readings that ended in an error.", tally.failures)
    yield CounterMetricFamily(
        f"{PREFIX}_usage_reading_seconds", "Time that readings took.", value=tally.seconds, unit="seconds"
    )
    if last is None:
        return
    yield gauge("usage_timestamp_seconds", "When the last reading ended.", last.at)
    yield gauge("usage_pods_left_out", "Pods that run and are not measured: over the limit.", last.usage.left_out)
    yield gauge("usage_threads_unreadable", "Threads whose counters were not readable.", last.usage.unreadable)
    yield from _upstream(last.usage.pods, managed)
    yield from _ours(last.usage.pods, managed)


def _upstream(pods: Sequence[PodUsage], managed: Mapping[str, Managed]) -> Iterator[Metric]:
    rows = [
        (pod, [known.name, pod.uid, known.namespace, known.node])
        for pod in pods
        if (known := managed.get(pod.uid)) is not None
    ]
    if not rows:
        return
    for name, (text, value) in UPSTREAM.items():
        family = CounterMetricFamily(name, text, labels=UPSTREAM_LABELS)
        for pod, labels in rows:
            family.add_metric(labels, value(pod.counts))
        yield family
    count = GaugeMetricFamily(
        "gthulhu_pod_process_count", "Number of tracked processes in a pod", labels=UPSTREAM_LABELS
    )
    for pod, labels in rows:
        count.add_metric(labels, pod.processes)
    yield count


def _ours(pods: Sequence[PodUsage], managed: Mapping[str, Managed]) -> Iterator[Metric]:
    rows = [(pod, _labels(pod, managed.get(pod.uid))) for pod in pods]
    yield _of(rows, "pod_cpu_seconds", "CPU time of its threads.", lambda pod: pod.counts.cpu * NANO, unit="seconds")
    yield _of(
        rows,
        "pod_run_queue_wait_seconds",
        "Time that its threads were runnable and waited for a CPU.",
        lambda pod: pod.counts.wait * NANO,
        unit="seconds",
    )
    yield _of(rows, "pod_runs", "Times that one of its threads got a CPU.", lambda pod: pod.counts.runs)
    switches = CounterMetricFamily(
        f"{PREFIX}_pod_context_switches", "Times that one of its threads left its CPU.", labels=(*LABELS, "kind")
    )
    for pod, labels in rows:
        switches.add_metric([*labels, "voluntary"], pod.counts.voluntary)
        switches.add_metric([*labels, "involuntary"], pod.counts.involuntary)
    yield switches
    yield _of(rows, "pod_migrations", "Moves of its threads to another CPU.", lambda pod: pod.counts.migrations)
    yield _now(rows, "pod_processes", "Processes of the pod that run.", lambda pod: pod.processes)
    yield _now(rows, "pod_threads", "Threads of the pod that run.", lambda pod: pod.threads)
    yield _now(
        rows,
        "pod_intents",
        "Intents for the pod; 0 is left as it is.",
        lambda pod: managed[pod.uid].intents if pod.uid in managed else 0,
    )


def _now(rows: _Rows, name: str, text: str, value: Callable[[PodUsage], int]) -> Metric:
    family = GaugeMetricFamily(f"{PREFIX}_{name}", text, labels=LABELS)
    for pod, labels in rows:
        family.add_metric(labels, value(pod))
    return family


def _of(rows: _Rows, name: str, text: str, value: Callable[[PodUsage], float], unit: str = "") -> Metric:
    family = CounterMetricFamily(f"{PREFIX}_{name}", text, labels=LABELS, unit=unit)
    for pod, labels in rows:
        family.add_metric(labels, value(pod))
    return family


def _labels(pod: PodUsage, known: Managed | None) -> list[str]:
    # The node may not know a pod's name (no kubelet's log folder is in sight), while who sent intents did.
    return [pod.namespace or (known.namespace if known else ""), pod.name or (known.name if known else ""), pod.uid]
