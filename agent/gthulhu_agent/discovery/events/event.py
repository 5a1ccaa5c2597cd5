"""What the kernel tells of threads and cgroups, whichever way it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Protocol


class Kind(IntEnum):
    """What happened. The numbers are those of ``bpf/tracer.h``."""

    FORK = 1
    EXEC = 2
    EXIT = 3
    RENAME = 4
    """A thread changed its comm."""
    MOVED = 5
    """A thread went to another cgroup, or with ``tid`` 0 a whole process; ``cgroup`` is where it is now."""
    CGROUP_MADE = 6
    """``cgroup`` is new, a child of ``parent``."""
    CGROUP_GONE = 7
    CROWDED = 8
    """More happened in ``cgroup``, a watched one, or below it than is told one by one: look at all of it anew."""
    BUSY = 9
    """The same of forks and exits, which tell nobody's name: to be found by the next whole look."""


class Watch(IntFlag):
    """What is told of a cgroup and of everything below it; of two watched ancestors the nearer one counts."""

    THREADS = 1
    """Fork, exec, exit, rename and arrival of its threads."""
    CGROUPS = 2
    """Cgroups that are made and removed in it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened; ids are 0 where the way that it was told does not say."""

    kind: Kind
    tgid: int = 0
    tid: int = 0
    cgroup: int = 0
    """Inode number of the cgroup's directory in the hierarchy that discovery reads (kernfs id, 64 bits)."""
    parent: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """What was told since the last time. ``lost`` events could not be told: everything has to be looked at anew."""

    events: tuple[Event, ...] = ()
    lost: int = 0


@dataclass(frozen=True, slots=True)
class Tally:
    """Counters since the start; they never go down."""

    told: Mapping[Kind, int]
    lost: int = 0
    held_back: int = 0
    """Not told one by one because a cgroup was crowded."""


class Events(Protocol):
    """A way of hearing. Belongs to the event loop's thread; no call blocks."""

    name: str
    """bpf or connector."""
    precise: bool
    """Whether events are told for watched cgroups only; where not, execs and renames of the whole host are."""

    def fileno(self) -> int:
        """Readable when something can be read."""
        ...

    def watch(self, cgroups: Mapping[int, Watch]) -> None:
        """Tell of these cgroups and everything below them from now on, and of no others.

        What happened before is not told: whoever adds a cgroup looks at it once afterwards.
        """
        ...

    def read(self) -> Batch:
        """Everything that is there, or as much of it as a bounded time allows; ``fileno`` then stays readable."""
        ...

    def tally(self) -> Tally:
        """What was told, lost and held back so far."""
        ...

    def close(self) -> None:
        """Hear no more; what was loaded into the kernel is gone."""
        ...
