"""Which cgroup carries the weight of which threads: the highest that holds nothing else, and at most the pod's.

Pure. Between cgroups only weight counts; nice ranks threads of one cgroup against each other. So where a cgroup
holds selected and other threads, or threads of two priorities, nothing carries and nice is what remains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gthulhu_agent.enforcing.binding import Binding
from gthulhu_agent.enforcing.matching import Matched, is_sandbox, top_of

_MIXED = None


@dataclass(frozen=True, slots=True)
class Placed:
    """What carries one binding's priority.

    Attributes:
        carrier: the cgroup whose weight carries it; None where none can.
        priority: of all of the binding's threads, where they have one in common.
    """

    carrier: str | None
    priority: int | None


def place(matched: Sequence[tuple[Binding, Matched]]) -> tuple[Placed, ...]:
    """For each binding, in order, what carries its priority."""
    found: dict[str, set[int | None]] = {}
    for binding, threads in matched:
        top = top_of(binding.group)
        for cgroup in binding.foreign:
            for path in _up(cgroup, top):
                found.setdefault(path, set()).add(_MIXED)
        # A pause container never competes, so whatever becomes of it leaves the pod's cgroup to the rest.
        if is_sandbox(binding.group):
            continue
        priorities = _priorities(threads)
        for path in _up(binding.group.cgroup, top):
            found.setdefault(path, set()).update(priorities)
    return tuple(_placed(binding, threads, found) for binding, threads in matched)


def _placed(binding: Binding, threads: Matched, found: dict[str, set[int | None]]) -> Placed:
    own = _priorities(threads)
    if len(own) != 1 or _MIXED in own:
        return Placed(None, None)
    (priority,) = own
    uniform = [path for path in _up(binding.group.cgroup, top_of(binding.group)) if found.get(path, own) == own]
    return Placed(uniform[-1] if uniform else None, priority)


def _priorities(threads: Matched) -> set[int | None]:
    return {taken.rule.schedule.priority if taken.rule else _MIXED for taken in threads.taken}


def _up(cgroup: str | None, top: str | None) -> Iterator[str]:
    """``cgroup`` and those above it, up to ``top``."""
    if cgroup is None or top is None:
        return
    path = cgroup
    while len(path) > len(top):
        yield path
        path = path.rpartition("/")[0]
    yield top
