"""What a node's scheduler reported of itself, under the names that Gthulhu's Decision Maker has for it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import GaugeMetricFamily, Metric

from gthulhu_agent.legacy.metricset import MetricSets

GAUGES: Mapping[str, tuple[str, str]] = {
    # Upstream exports this one under another name than it takes it by.
    "usersched_last_run_at": ("user_sched_last_run_at", "the timestamp of the last user scheduling run"),
    "nr_queued": ("nr_queued", "number of tasks queued in the userspace scheduler"),
    "nr_scheduled": ("nr_scheduled", "number of tasks scheduled by the userspace scheduler"),
    "nr_running": ("nr_running", "number of tasks currently running in the userspace scheduler"),
    "nr_online_cpus": ("nr_online_cpus", "number of online CPUs in the system"),
    "nr_user_dispatches": ("nr_user_dispatches", "number of user-space dispatches"),
    "nr_kernel_dispatches": ("nr_kernel_dispatches", "number of kernel-space dispatches"),
    "nr_cancel_dispatches": ("nr_cancel_dispatches", "number of canceled dispatches"),
    "nr_bounce_dispatches": ("nr_bounce_dispatches", "number of bounced dispatches"),
    "nr_failed_dispatches": ("nr_failed_dispatches", "number of failed dispatches"),
    "nr_sched_congested": ("nr_sched_congested", "number of times the scheduler was congested"),
}
"""Field of a report: name and help text, which dashboards and alerts know. All are gauges, totals too, as there."""


class SchedulerCollector:
    """Reads the newest report when it is asked; nothing until there is one."""

    def __init__(self, reports: MetricSets, machine_id: str) -> None:
        self._reports = reports
        self._machine_id = machine_id

    def collect(self) -> Iterator[Metric]:
        """A gauge for each number of the newest report."""
        reported = self._reports.last
        if reported is None:
            return
        for field, (name, text) in GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=["machine_id"])
            family.add_metric([self._machine_id], float(getattr(reported.metrics, field)))
            yield family
