"""Answers of ``GET /v1/usage`` as values. What an older or newer agent does not say is empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gthulhu_agent.printable import printable


@dataclass(frozen=True, slots=True)
class Counted:
    """Counters of a pod or a thread; times in nanoseconds."""

    cpu: int
    wait: int
    runs: int
    switches: int


@dataclass(frozen=True, slots=True)
class Pod:
    """A pod. ``held`` are (threads, class, slice in ns or None, enforced) of each of its intents, strongest first."""

    uid: str
    namespace: str
    name: str
    processes: int
    threads: int
    counted: Counted
    held: tuple[tuple[int, str, int | None, bool], ...]

    @property
    def title(self) -> str:
        """Namespace and name, or the uid where nobody knows them."""
        return f"{self.namespace}/{self.name}" if self.name else self.uid


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of one pod. ``policy`` is the winner's name, '' where no intent takes it; ``slice_ns`` the kernel's."""

    pid: int
    tid: int
    name: str
    counted: Counted
    policy: str
    scheduling_class: str
    kernel: str
    slice_ns: int | None


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. ``clock`` is seconds on a clock that is never set."""

    node: str
    enforcer: str
    clock: float
    left_out: int
    pods: tuple[Pod, ...]
    threads: tuple[Thread, ...] = ()
    threads_left_out: int = 0


def parse(value: Mapping[str, Any]) -> Answer:
    """An answer.

    Raises:
        ValueError: this is none.
    """
    try:
        return Answer(
            node=printable(value["node"]),
            enforcer=printable(value["enforcer"]),
            clock=float(value["clock"]),
            left_out=int(value["leftOut"]),
            pods=tuple(_pod(pod) for pod in value["pods"]),
            threads=tuple(_thread(thread) for thread in value.get("threads", ())),
            threads_left_out=int(value.get("threadsLeftOut", 0)),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not an answer of GET /v1/usage: {error!r}") from error


def _pod(value: Mapping[str, Any]) -> Pod:
    return Pod(
        uid=printable(value["uid"]),
        namespace=printable(value["namespace"]),
        name=printable(value["name"]),
        processes=int(value["processes"]),
        threads=int(value["threads"]),
        counted=_counted(value["counts"]),
        held=tuple(
            (
                int(one["threads"]),
                printable(one["class"]),
                (one["effective"] or {}).get("timeSlice"),
                bool(one["enforced"]),
            )
            for one in value["intents"]
        ),
    )


def _thread(value: Mapping[str, Any]) -> Thread:
    winner, kernel = value["winner"], value["kernel"] or {}
    return Thread(
        pid=int(value["pid"]),
        tid=int(value["tid"]),
        name=printable(value["name"]),
        counted=_counted(value["counts"]),
        policy=printable(f"{winner['namespace']}/{winner['name']}") if winner else "",
        scheduling_class=printable(value["class"] or ""),
        kernel=printable(f"{kernel['policy']} {kernel['nice']:+d}") if kernel else "",
        slice_ns=kernel.get("timeSlice"),
    )


def _counted(value: Mapping[str, Any]) -> Counted:
    return Counted(
        cpu=int(value["cpu"]),
        wait=int(value["wait"]),
        runs=int(value["runs"]),
        switches=int(value["voluntary"]) + int(value["involuntary"]),
    )
