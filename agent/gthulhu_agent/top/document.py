"""Rows as JSON, for programs."""

from __future__ import annotations

import json

from gthulhu_agent.top.answers import Answer
from gthulhu_agent.top.rates import Rates, Sort, pod_rows, thread_rows


def document(before: Answer | None, now: Answer, sort: Sort) -> str:
    """One object: the pods with their rates, and the threads where one pod was asked for. Times are seconds."""
    value: dict[str, object] = {
        "node": now.node,
        "enforcer": now.enforcer,
        "leftOut": now.left_out,
        "pods": [
            {
                "uid": row.pod.uid,
                "namespace": row.pod.namespace,
                "name": row.pod.name,
                "processes": row.pod.processes,
                "threads": row.pod.threads,
                "intents": [
                    {"threads": threads, "class": name, "timeSlice": slice_ns, "enforced": enforced}
                    for threads, name, slice_ns, enforced in row.pod.held
                ],
                **_rates(row.rates),
            }
            for row in pod_rows(before, now, sort)
        ],
    }
    if now.threads:
        value["threadsLeftOut"] = now.threads_left_out
        value["threads"] = [
            {
                "pid": row.thread.pid,
                "tid": row.thread.tid,
                "name": row.thread.name,
                "policy": row.thread.policy or None,
                "class": row.thread.scheduling_class or None,
                "kernel": row.thread.kernel or None,
                "timeSlice": row.thread.slice_ns,
                **_rates(row.rates),
            }
            for row in thread_rows(before, now, sort)
        ]
    return json.dumps(value, indent=2)


def _rates(rates: Rates | None) -> dict[str, object]:
    """Null where there was nothing to compare with."""
    return {
        "cpu": None if rates is None else rates.cpu,
        "wait": None if rates is None else rates.wait,
        "delay": None if rates is None else rates.delay,
        "switches": None if rates is None else rates.switches,
    }
