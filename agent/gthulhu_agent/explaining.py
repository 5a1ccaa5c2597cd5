"""One process under the lens: where it belongs, which rule takes each thread, and what the kernel says of it."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import Group, Process, Thread
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.binding import Binding, CommandRule
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.engine import Pass
from gthulhu_agent.views import schedule_json


@dataclass(frozen=True, slots=True)
class Found:
    """A process in a pass, and its binding where an intent reaches its group."""

    group: Group
    process: Process
    binding: Binding | None


def find(done: Pass, pid: int) -> Found | None:
    """The process that has ``pid``, or a thread of that number."""
    for group in done.snapshot.groups:
        for process in group.processes:
            if pid == process.id.tid or any(pid == thread.id.tid for thread in process.threads):
                binding = next((bound for bound in done.bindings if _is_of(bound, group, process)), None)
                return Found(group, process, binding)
    return None


def process_json(done: Pass, found: Found) -> dict[str, object]:
    """The answer of ``GET /v1/processes/{pid}``. Asks the kernel of each thread."""
    winners: dict[Thread, CommandRule | None] = {}
    if found.binding is not None:
        matched = match_threads(found.binding, Patterns())
        winners = {entry.thread: entry.rule for entry in matched.taken if entry.process.id == found.process.id}
    process, group = found.process, found.group
    pod = next((pod for pod in done.snapshot.pods if pod.uid == group.pod_uid), None) if group.pod_uid else None
    return {
        "pid": process.id.tid,
        "start": process.id.start,
        "comm": process.comm,
        "argv0": process.argv0,
        "group": {
            "kind": group.kind.value,
            "cgroup": group.cgroup,
            "unit": group.unit,
            "containerId": group.container_id,
        },
        "pod": None
        if not group.pod_uid
        else {
            "uid": group.pod_uid,
            "namespace": pod.namespace if pod else "",
            "name": pod.name if pod else "",
        },
        "threads": [_thread(done, thread, winners.get(thread)) for thread in process.threads],
    }


def _is_of(binding: Binding, group: Group, process: Process) -> bool:
    # A binding's group lacks the protected processes; those are bound by nothing.
    bound = binding.group
    return (bound.kind, bound.cgroup, bound.pod_uid, bound.container_id) == (
        group.kind,
        group.cgroup,
        group.pod_uid,
        group.container_id,
    ) and any(process.id == other.id for other in bound.processes)


def _thread(done: Pass, thread: Thread, rule: CommandRule | None) -> dict[str, object]:
    state = None if rule is None else done.states.get(rule.intent)
    return {
        "tid": thread.id.tid,
        "name": thread.name,
        "winner": None if rule is None else {"namespace": rule.intent[1], "name": rule.intent[2]},
        "wanted": None if rule is None else schedule_json(rule.schedule),
        "weight": None if state is None else state.weight,
        "kernel": _kernel(thread.id.tid),
    }


def _kernel(tid: int) -> dict[str, object] | None:
    try:
        attributes = sched_attr.read(tid)
    except OSError:
        return None  # it has ended meanwhile
    return {
        "policy": _policy_name(attributes.policy),
        "nice": attributes.nice,
        "timeSlice": attributes.slice_ns or None,
    }


def _policy_name(policy: int) -> str:
    try:
        return sched_attr.Policy(policy).name
    except ValueError:
        return str(policy)
