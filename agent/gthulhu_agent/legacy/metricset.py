"""What a node's scheduler reports of itself with ``POST /api/v1/metrics``: the newest report alone, in memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MetricSet:
    """One report, its fields named as on the wire; each is an unsigned 64-bit number, 0 where it was absent."""

    usersched_last_run_at: int = 0
    nr_queued: int = 0
    nr_scheduled: int = 0
    nr_running: int = 0
    nr_online_cpus: int = 0
    nr_user_dispatches: int = 0
    nr_kernel_dispatches: int = 0
    nr_cancel_dispatches: int = 0
    nr_bounce_dispatches: int = 0
    nr_failed_dispatches: int = 0
    nr_sched_congested: int = 0


@dataclass(frozen=True, slots=True)
class Reported:
    """A report, and when it came, in Unix seconds."""

    metrics: MetricSet
    at: int


class MetricSets:
    """Keeps the newest report. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self.last: Reported | None = None
        """None until something was reported."""

    def take(self, metrics: MetricSet, now: int) -> None:
        """``metrics`` was reported at ``now``, Unix seconds."""
        self.last = Reported(metrics, now)
