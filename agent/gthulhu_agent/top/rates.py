"""From two answers to what happened between them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from gthulhu_agent.top.answers import Answer, Counted, Pod, Thread

_SECOND = 1e9


@dataclass(frozen=True, slots=True)
class Rates:
    """What a pod or a thread did per second.

    Attributes:
        cpu: seconds on a CPU, so 1.0 is one whole CPU.
        wait: seconds runnable and waiting for one, all its threads together.
        delay: seconds that it waited each time before it ran; None where it did not run.
        switches: context switches.
    """

    cpu: float
    wait: float
    delay: float | None
    switches: float


@dataclass(frozen=True, slots=True)
class PodRow:
    """A pod and its rates; None in the first look at it."""

    pod: Pod
    rates: Rates | None


@dataclass(frozen=True, slots=True)
class ThreadRow:
    """A thread and its rates; None in the first look at it."""

    thread: Thread
    rates: Rates | None


class Sort(StrEnum):
    """What rows are sorted by; the name ascending, everything else descending."""

    CPU = "cpu"
    WAIT = "wait"
    DELAY = "delay"
    THREADS = "threads"
    NAME = "name"


_Row = TypeVar("_Row", PodRow, ThreadRow)


def pod_rows(before: Answer | None, now: Answer, sort: Sort) -> list[PodRow]:
    """The pods of ``now``, with what they did since ``before``."""
    former = {pod.uid: pod.counted for pod in before.pods} if before else {}
    seconds = now.clock - before.clock if before else 0.0
    rows = [PodRow(pod, _rates(former.get(pod.uid), pod.counted, seconds)) for pod in now.pods]
    return _sorted(rows, sort, lambda row: (row.pod.title, row.pod.uid), lambda row: row.pod.threads)


def thread_rows(before: Answer | None, now: Answer, sort: Sort) -> list[ThreadRow]:
    """The threads of ``now``, with what they did since ``before``."""
    former: Mapping[tuple[int, int], Counted] = (
        {(thread.pid, thread.tid): thread.counted for thread in before.threads} if before else {}
    )
    seconds = now.clock - before.clock if before else 0.0
    rows = [
        ThreadRow(thread, _rates(former.get((thread.pid, thread.tid)), thread.counted, seconds))
        for thread in now.threads
    ]
    return _sorted(rows, sort, lambda row: (row.thread.name, str(row.thread.tid)), lambda _row: 1)


def total(rows: Iterable[PodRow]) -> Rates:
    """All pods together."""
    known = [row.rates for row in rows if row.rates is not None]
    return Rates(
        cpu=sum(rates.cpu for rates in known),
        wait=sum(rates.wait for rates in known),
        delay=None,
        switches=sum(rates.switches for rates in known),
    )


def _rates(before: Counted | None, now: Counted, seconds: float) -> Rates | None:
    """None where there is nothing to compare, or the agent began to count anew meanwhile."""
    if before is None or seconds <= 0 or now.cpu < before.cpu or now.runs < before.runs:
        return None
    runs, wait = now.runs - before.runs, now.wait - before.wait
    return Rates(
        cpu=(now.cpu - before.cpu) / _SECOND / seconds,
        wait=wait / _SECOND / seconds,
        delay=wait / _SECOND / runs if runs else None,
        switches=(now.switches - before.switches) / seconds,
    )


def _sorted(
    rows: Sequence[_Row], sort: Sort, name: Callable[[_Row], tuple[str, str]], threads: Callable[[_Row], int]
) -> list[_Row]:
    def value(row: _Row) -> float:
        rates = row.rates
        match sort:
            case Sort.THREADS:
                return threads(row)
            case Sort.CPU:
                return rates.cpu if rates else 0.0
            case Sort.WAIT:
                return rates.wait if rates else 0.0
            case Sort.DELAY:
                return rates.delay or 0.0 if rates else 0.0
            case Sort.NAME:
                return 0.0

    return sorted(rows, key=lambda row: (-value(row), name(row)))
