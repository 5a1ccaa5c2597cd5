"""What the enforcer remembers about each value that it changed: what was there, and what it wrote itself.

The owner of a value is whoever else writes it: the kubelet, systemd, the application. Their last word is what is
scaled, and what comes back in the end.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import IntentKey


class Seen(Enum):
    """Whose value stands in the kernel now."""

    OURS = "ours"
    ORIGINAL = "original"
    """The owner's, as remembered: it was never overwritten, or the owner has written the same again."""
    FOREIGN = "foreign"
    """Neither: the owner has written something new."""


@dataclass(frozen=True, slots=True)
class Held:
    """One value that was changed.

    Attributes:
        original: what its owner wrote last.
        wrote: what this enforcer may have written, the last being what it wants. More than one while a write is
            under way, and for one round more: a child that was forked before the change has the former value.
    """

    original: int
    wrote: tuple[int, ...]

    @property
    def wanted(self) -> int:
        """What the kernel shall say."""
        return self.wrote[-1]

    def seen(self, now: int) -> Seen:
        """Whose ``now`` is."""
        if now in self.wrote:
            return Seen.OURS
        return Seen.ORIGINAL if now == self.original else Seen.FOREIGN

    def wanting(self, value: int) -> Held:
        """The same, with ``value`` about to be written."""
        return self if value == self.wanted else replace(self, wrote=(*(w for w in self.wrote if w != value), value))

    def settled(self) -> Held:
        """The same, with no former writes to reckon with."""
        return self if len(self.wrote) == 1 else replace(self, wrote=self.wrote[-1:])


def hold(held: Held | None, now: int, target: Callable[[int], int]) -> Held:
    """What to remember before the value that says ``now`` becomes ``target(original)``.

    This is where a value is rebased: what is neither ours nor the remembered original is the owner's new word.
    """
    if held is None or held.seen(now) is Seen.FOREIGN:
        return Held(now, (target(now),))
    return held.wanting(target(held.original))


@dataclass(frozen=True, slots=True)
class ThreadRecord:
    """A thread of which slice, nice or both were changed.

    Attributes:
        id: the thread; it cannot be mistaken for a later one.
        pid: its process.
        cgroup: where it was seen; empty where it shares its cgroup with strangers.
        since: clock ticks from boot to the first write, before which nothing was forked that has our values.
        intent: whose wish holds it.
        orphan: once it is held no more, it stays as it is. What its owner had is remembered all the same: whoever
            holds it again starts from that, and revert brings it back.
        slice: in nanoseconds, 0 for the kernel's default; None where it was left alone.
        nice: None where it was left alone.
    """

    id: TaskId
    pid: int
    cgroup: str
    since: int
    intent: IntentKey
    orphan: bool = False
    slice: Held | None = None
    nice: Held | None = None


@dataclass(frozen=True, slots=True)
class CgroupRecord:
    """A cgroup whose weight was changed.

    Attributes:
        path: below the mount of the hierarchy with the cpu controller.
        inode: of its directory: a cgroup that was made anew under the same path is another one.
        intents: whose wish holds it.
        orphan: as with threads; every one of the intents says so.
        weight: ``cpu.weight`` in v2, ``cpu.shares`` in v1.
        unit: the systemd unit through which it was changed; empty where the file was written.
        unset: the unit had no weight of its own, and gets none back.
    """

    path: str
    inode: int
    intents: tuple[IntentKey, ...]
    weight: Held
    orphan: bool = False
    unit: str = ""
    unset: bool = False
