"""What an agent says of one process on its node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gthulhu_reconcile.transport.answers import integer, line, mapping, number, rows
from gthulhu_wire.intents import PodRef


@dataclass(frozen=True, slots=True)
class ThreadReport:
    """One thread.

    Attributes:
        winner: namespace and name of the policy that takes it, None where none does.
        priority, time_slice_ns, preempt: what that policy wants; None where none does, or it leaves the slice alone.
        weight: of its cgroup, where one was set for it.
        kernel_policy, kernel_nice, kernel_time_slice_ns: read from the kernel for this answer; None where the thread
            had ended by then, or has the kernel's default slice.
    """

    tid: int
    name: str
    winner: tuple[str, str] | None
    priority: int | None
    time_slice_ns: int | None
    preempt: bool | None
    weight: int | None
    kernel_policy: str | None
    kernel_nice: int | None
    kernel_time_slice_ns: int | None


@dataclass(frozen=True, slots=True)
class ProcessReport:
    """``GET /v1/processes/{pid}``; ``kind`` is the agent's word for the group that the process is in."""

    pid: int
    comm: str
    argv0: str
    kind: str
    cgroup: str
    unit: str
    container_id: str
    pod: PodRef | None
    threads: tuple[ThreadReport, ...]


def read_process(value: object) -> ProcessReport:
    """One process.

    Raises:
        OddAnswer: the answer breaks the API's contract.
    """
    body = mapping(value, "its answer")
    group = mapping(body.get("group"), "'group'")
    return ProcessReport(
        pid=integer(body, "pid"),
        comm=_word(body, "comm"),
        argv0=_word(body, "argv0"),
        kind=_word(group, "kind"),
        cgroup=_word(group, "cgroup"),
        unit=_word(group, "unit"),
        container_id=_word(group, "containerId"),
        pod=_pod(body.get("pod")),
        threads=tuple(_thread(mapping(row, "a thread")) for row in rows(body, "threads")),
    )


def _pod(value: object) -> PodRef | None:
    if value is None:
        return None
    row = mapping(value, "'pod'")
    return PodRef(_word(row, "namespace"), _word(row, "name"), line(row, "uid"))


def _thread(row: Mapping[str, object]) -> ThreadReport:
    wanted = _optional(row, "wanted")
    kernel = _optional(row, "kernel")
    winner = row.get("winner")
    preempt = wanted.get("preempt")
    return ThreadReport(
        tid=integer(row, "tid"),
        name=_word(row, "name"),
        winner=None if winner is None else _winner(mapping(winner, "'winner'")),
        priority=number(wanted, "priority"),
        time_slice_ns=number(wanted, "timeSlice"),
        preempt=preempt if isinstance(preempt, bool) else None,
        weight=number(row, "weight"),
        kernel_policy=_word(kernel, "policy") or None,
        kernel_nice=number(kernel, "nice"),
        kernel_time_slice_ns=number(kernel, "timeSlice"),
    )


def _winner(row: Mapping[str, object]) -> tuple[str, str]:
    return _word(row, "namespace"), line(row, "name")


def _optional(row: Mapping[str, object], key: str) -> Mapping[str, object]:
    value = row.get(key)
    return {} if value is None else mapping(value, f"'{key}'")


def _word(row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    return "" if value is None else line(row, key)
