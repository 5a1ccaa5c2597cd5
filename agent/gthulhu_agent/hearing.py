"""What was told of and not looked at yet: put together, in order of worth, within bounds.

What execs, is renamed or moves may match another rule, and is looked at first. Then come crowded cgroups, among whose
many events there may be such, and which have to be looked at whole; last forks, which have their parent's names and, as
a rule, its slice. Each has a share of its own, so that a busy pod can use up one without keeping others waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gthulhu_agent.discovery.events.event import Batch, Event, Kind
from gthulhu_agent.discovery.quick import Told
from gthulhu_agent.duty import Duty

MOST = 4096
"""Processes, and as many cgroups, that are remembered of each worth; more are left to a whole look."""
_AT_ONCE = 256
"""Processes of one look: the next hears of what came meanwhile."""
_URGENT = frozenset({Kind.EXEC, Kind.RENAME, Kind.MOVED})
URGENT_SHARE, CROWD_SHARE, FORK_SHARE = 0.0125, 0.005, 0.0025
"""CPU seconds per second; with reading, and whole passes, which take a fiftieth then, a twentieth of one CPU in all."""
_BURST, _STORM_BURST = 0.2, 0.05
"""CPU seconds at once; of storms less, which are not over soon and have a whole pass to follow them."""


@dataclass(slots=True)
class _Pending:
    duty: Duty
    pids: dict[int, None] = field(default_factory=dict)
    cgroups: dict[int, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.pids or self.cgroups)

    def take(self) -> Told:
        pids = list(self.pids)[:_AT_ONCE]
        for pid in pids:
            del self.pids[pid]
        cgroups, self.cgroups = self.cgroups, {}
        return Told(tuple(pids), cgroups)


class Heard:
    """Pending looks. Belongs to the event loop's thread; ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._urgent = _Pending(Duty(URGENT_SHARE, _BURST, monotonic))
        self._crowds = _Pending(Duty(CROWD_SHARE, _STORM_BURST, monotonic))
        self._forks = _Pending(Duty(FORK_SHARE, _STORM_BURST, monotonic))
        self._order = (self._urgent, self._crowds, self._forks)
        self._whole = False
        self.left_out = 0
        """Processes that were too many to be looked at one by one; they never get fewer."""

    def hear(self, batch: Batch) -> None:
        """Take up what was told."""
        if batch.lost:
            self._whole = True
        for event in batch.events:
            self._hear(event)

    def look_at(self, cgroups: dict[int, int]) -> None:
        """Let cgroups that are watched from now on be looked at once."""
        self._urgent.cgroups.update(cgroups)

    def needs_whole(self) -> bool:
        """Whether something was told of that only a whole look can find; asked once."""
        whole, self._whole = self._whole, False
        return whole

    def take(self) -> tuple[Told, Duty] | None:
        """What is to be looked at now, and what its CPU time is to be charged to; None where nothing may be now."""
        for pending in self._order:
            if pending and not pending.duty.wait():
                return pending.take(), pending.duty
        return None

    def wait(self) -> float | None:
        """Seconds until :meth:`take` gives something; None where nothing is pending."""
        return min((pending.duty.wait() for pending in self._order if pending), default=None)

    def _hear(self, event: Event) -> None:
        if event.kind in _URGENT:
            self._add(self._urgent, event.tgid)
            self._forks.pids.pop(event.tgid, None)
        elif event.kind is Kind.CGROUP_MADE:
            self._add_cgroup(self._urgent, event)
        elif event.kind is Kind.CROWDED:
            self._add_cgroup(self._crowds, event)
        elif event.kind is Kind.FORK and event.tgid not in self._urgent.pids:
            self._add(self._forks, event.tgid)
        elif event.kind is Kind.EXIT and event.tid == event.tgid:
            # Short-lived processes are gone before anybody could look.
            self._forks.pids.pop(event.tgid, None)
            self._urgent.pids.pop(event.tgid, None)

    def _add(self, pending: _Pending, pid: int) -> None:
        if not pid:
            return
        if len(pending.pids) < MOST:
            pending.pids[pid] = None
        elif pid not in pending.pids:
            self.left_out += 1
            self._whole = True

    def _add_cgroup(self, pending: _Pending, event: Event) -> None:
        if event.cgroup in pending.cgroups or len(pending.cgroups) < MOST:
            pending.cgroups[event.cgroup] = event.parent or pending.cgroups.get(event.cgroup, 0)
        else:
            self._whole = True
