"""What was told of and not looked at yet: put together, in order of worth, within bounds.

What execs, is renamed or moves may match another rule, and is looked at first. Then come crowded cgroups, among whose
many events there may be such, and which have to be looked at whole; last forks, which have their parent's names and, as
a rule, its slice. Each has a share of its own, and within the first the cgroups take turns, so that a busy pod can use
up any of them without keeping others waiting.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from gthulhu_agent.discovery.events.event import Batch, Event, Kind
from gthulhu_agent.discovery.quick import Told
from gthulhu_agent.duty import Duty
from gthulhu_agent.turns import OVERDRAFT, Turns

MOST = 4096
"""Processes, and as many cgroups, that are remembered of each worth; more are left to a whole look."""
_AT_ONCE = 256
"""Processes of one look: the next hears of what came meanwhile."""
_URGENT = frozenset({Kind.EXEC, Kind.RENAME, Kind.MOVED})
URGENT_SHARE, CROWD_SHARE, FORK_SHARE = 0.04, 0.005, 0.0025
"""CPU seconds per second; with reading and whole passes, which take a fiftieth each, less than a tenth in all."""
_LEAST = 0.0005
"""CPU seconds before urgent looks go on: about what one costs."""
_BURST, _STORM_BURST = 0.2, 0.05
"""CPU seconds at once; of storms less, which are not over soon and have a whole pass to follow them."""


class Charged(Protocol):
    """What the CPU time of a look is taken out of."""

    def charge(self, seconds: float) -> None:
        """Take CPU ``seconds`` out."""
        ...


@dataclass(slots=True)
class _Crowds:
    duty: Duty
    cgroups: dict[int, int] = field(default_factory=dict)

    def take(self, floor: float) -> tuple[Told, Charged] | None:
        if not self.cgroups or self.duty.wait(floor):
            return None
        told, self.cgroups = Told((), self.cgroups), {}
        return told, self.duty


class Heard:
    """Pending looks. Belongs to the event loop's thread; ``monotonic`` is in seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        share = Duty(URGENT_SHARE, _BURST, monotonic, least=_LEAST)
        self._urgent = Turns(share, monotonic)
        self._made = _Crowds(share)
        self._crowds = _Crowds(Duty(CROWD_SHARE, _STORM_BURST, monotonic))
        self._forks = Turns(Duty(FORK_SHARE, _STORM_BURST, monotonic), monotonic)
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
        self._made.cgroups.update(cgroups)

    def needs_whole(self) -> bool:
        """Whether something was told of that only a whole look can find; asked once."""
        whole, self._whole = self._whole, False
        return whole

    def take(self) -> tuple[Told, Charged] | None:
        """What is to be looked at now, and what its CPU time is to be charged to; None where nothing may be now."""
        # A cgroup that is new was busy in nothing yet, and is calm.
        return self._made.take(-OVERDRAFT) or _taken(self._urgent) or self._crowds.take(0.0) or _taken(self._forks)

    def wait(self) -> float | None:
        """Seconds until :meth:`take` gives something; None where nothing is pending."""
        waits = [turns.wait() for turns in (self._urgent, self._forks) if turns]
        if self._made.cgroups:
            waits.append(self._made.duty.wait(-OVERDRAFT))
        if self._crowds.cgroups:
            waits.append(self._crowds.duty.wait())
        return min(waits, default=None)

    def _hear(self, event: Event) -> None:
        if event.kind in _URGENT:
            self._add(self._urgent, event)
            self._forks.discard(event.tgid)
        elif event.kind is Kind.CGROUP_MADE:
            self._add_cgroup(self._made, event)
        elif event.kind is Kind.CROWDED:
            self._add_cgroup(self._crowds, event)
        elif event.kind is Kind.FORK and event.tgid not in self._urgent:
            self._add(self._forks, event)
        elif event.kind is Kind.EXIT and event.tid == event.tgid:
            # Short-lived processes are gone before anybody could look.
            self._forks.discard(event.tgid)
            self._urgent.discard(event.tgid)

    def _add(self, turns: Turns, event: Event) -> None:
        if not event.tgid:
            return
        if len(turns) < MOST or event.tgid in turns:
            turns.add(event.tgid, event.cgroup)
        else:
            self.left_out += 1
            self._whole = True

    def _add_cgroup(self, crowds: _Crowds, event: Event) -> None:
        if event.cgroup in crowds.cgroups or len(crowds.cgroups) < MOST:
            crowds.cgroups[event.cgroup] = event.parent or crowds.cgroups.get(event.cgroup, 0)
        else:
            self._whole = True


def _taken(turns: Turns) -> tuple[Told, Charged] | None:
    turn = turns.take(_AT_ONCE)
    return None if turn is None else (Told(turn.pids), turn)
