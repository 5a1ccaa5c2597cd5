"""Whose turn it is to be looked at: one busy pod may use up what all share, and calm ones go before it nevertheless."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from gthulhu_agent.duty import Duty

CALM_SHARE, _CALM_BURST = 0.02, 0.1
"""CPU seconds per second, and at once, up to which looks at one cgroup leave it calm."""
OVERDRAFT = 0.1
"""CPU seconds that calm cgroups may take beyond the share of all; busy ones go on when they are paid back."""
_OF_ONE = 8
"""Processes of one cgroup in a turn."""
_METERS = 4096


@dataclass(frozen=True, slots=True)
class Turn:
    """Processes to look at together. Whoever looked says with :meth:`charge` what it took."""

    pids: tuple[int, ...]
    meters: tuple[tuple[Duty, float], ...]
    share: Duty

    def charge(self, seconds: float) -> None:
        """Take CPU seconds out of the share, and out of each cgroup's by how many of the processes were its."""
        self.share.charge(seconds)
        for meter, part in self.meters:
            meter.charge(seconds * part)


class Turns:
    """Processes that wait, by the cgroup in which they were told of.

    Args:
        share: what looks at all of them may take.
        monotonic: the time, in seconds.
    """

    def __init__(self, share: Duty, monotonic: Callable[[], float]) -> None:
        self._share = share
        self._monotonic = monotonic
        self._waiting: dict[int, dict[int, None]] = {}
        self._where: dict[int, int] = {}
        self._meters: dict[int, Duty] = {}

    def __contains__(self, pid: object) -> bool:
        return pid in self._where

    def __len__(self) -> int:
        return len(self._where)

    def add(self, pid: int, cgroup: int) -> None:
        """Let ``pid`` wait; where it was told of last counts."""
        if self._where.get(pid) != cgroup:
            self.discard(pid)
            self._where[pid] = cgroup
            self._waiting.setdefault(cgroup, {})[pid] = None

    def discard(self, pid: int) -> None:
        """Let ``pid`` wait no longer, if it does."""
        cgroup = self._where.pop(pid, None)
        if cgroup is not None:
            waiting = self._waiting[cgroup]
            del waiting[pid]
            if not waiting:
                del self._waiting[cgroup]

    def take(self, most: int) -> Turn | None:
        """Up to ``most`` processes whose turn it is, the calmest cgroups' first; None where it is nobody's yet."""
        counts: dict[int, int] = {}
        pids: list[int] = []
        for cgroup in self._ready():
            mine = list(self._waiting[cgroup])[: min(_OF_ONE, most - len(pids))]
            counts[cgroup] = len(mine)
            pids += mine
            if len(pids) >= most:
                break
        if not pids:
            return None
        for pid in pids:
            self.discard(pid)
        meters = tuple((self._meter(cgroup), count / len(pids)) for cgroup, count in counts.items())
        self._forget_calm()
        return Turn(tuple(pids), meters, self._share)

    def wait(self) -> float:
        """Seconds until :meth:`take` gives something, while processes wait."""
        free = self._share.wait()
        if not free:
            return 0.0
        calm = min((self._until_calm(cgroup) for cgroup in self._waiting), default=free)
        return min(free, max(calm, self._share.wait(-OVERDRAFT)))

    def _ready(self) -> Iterator[int]:
        if not self._share.wait():
            yield from sorted(self._waiting, key=lambda cgroup: -self._level(cgroup))
        elif not self._share.wait(-OVERDRAFT):
            yield from (cgroup for cgroup in self._waiting if not self._until_calm(cgroup))

    def _until_calm(self, cgroup: int) -> float:
        meter = self._meters.get(cgroup)
        return 0.0 if meter is None else meter.wait()

    def _level(self, cgroup: int) -> float:
        meter = self._meters.get(cgroup)
        return _CALM_BURST if meter is None else meter.level()

    def _meter(self, cgroup: int) -> Duty:
        meter = self._meters.get(cgroup)
        if meter is None:
            meter = self._meters[cgroup] = Duty(CALM_SHARE, _CALM_BURST, self._monotonic)
        return meter

    def _forget_calm(self) -> None:
        """A meter that is full again says what no meter says."""
        if len(self._meters) > _METERS:
            self._meters = {cgroup: meter for cgroup, meter in self._meters.items() if meter.level() < _CALM_BURST}
