"""One process: where it belongs, and for each thread who wins it and what the kernel says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from rich.text import Text

from gthulhu_reconcile.cli.rendering.columns import columns
from gthulhu_reconcile.cli.rendering.words import duration, pod_name, policy_name, visible
from gthulhu_reconcile.transport.processes import ProcessReport, ThreadReport
from gthulhu_wire.intents import PolicyRef

HEADING = ("tid", "thread", "winner", "asked for", "in the kernel")


def process(report: ProcessReport) -> Text:
    """Where the process belongs, then a line for each thread."""
    text = Text()
    text.append(f"pid {report.pid} ").append(visible(report.comm), style="bold")
    text.append(f" ({visible(report.argv0)})\n" if report.argv0 else "\n")
    for name, value in _belongs(report).items():
        if value:
            text.append(f"  {name:<9} {visible(value)}\n")
    rows = [tuple(Text(word, style="dim") for word in HEADING), *map(_row, report.threads)]
    text.append("\n")
    for line in columns(rows):
        text.append("  ").append_text(line).append("\n")
    return text


def as_json(report: ProcessReport) -> dict[str, object]:
    """The machine form; keys are only added to."""
    pod = report.pod
    return {
        "formatVersion": "1.0",
        "pid": report.pid,
        "comm": report.comm,
        "argv0": report.argv0,
        "kind": report.kind,
        "cgroup": report.cgroup,
        "unit": report.unit,
        "containerId": report.container_id,
        "pod": None if pod is None else asdict(pod),
        "threads": [_thread_json(thread) for thread in report.threads],
    }


def _belongs(report: ProcessReport) -> Mapping[str, str]:
    return {
        "pod": "" if report.pod is None else f"{pod_name(report.pod)} (uid {report.pod.uid})",
        "container": report.container_id,
        "unit": report.unit,
        "cgroup": report.cgroup,
        "group": report.kind,
    }


def _row(thread: ThreadReport) -> tuple[Text, ...]:
    winner = "nobody" if thread.winner is None else policy_name(PolicyRef(*thread.winner))
    return (
        Text(str(thread.tid)),
        Text(visible(thread.name), style="bold"),
        Text(winner, style="dim" if thread.winner is None else "green"),
        Text(_asked(thread)),
        Text(_kernel(thread)),
    )


def _asked(thread: ThreadReport) -> str:
    if thread.winner is None:
        return "-"
    parts = [f"priority {thread.priority}"] if thread.priority else []
    parts += [f"timeSlice {duration(thread.time_slice_ns)}"] if thread.time_slice_ns is not None else []
    parts += ["preempt"] if thread.preempt else []
    return ", ".join(parts) or "the kernel's defaults"


def _kernel(thread: ThreadReport) -> str:
    if thread.kernel_policy is None:
        return "has ended"
    slice_ns = thread.kernel_time_slice_ns
    parts = [
        thread.kernel_policy,
        f"nice {thread.kernel_nice}",
        f"slice {duration(slice_ns) if slice_ns is not None else 'default'}",
    ]
    parts += [f"weight {thread.weight}"] if thread.weight is not None else []
    return ", ".join(parts)


def _thread_json(thread: ThreadReport) -> dict[str, object]:
    winner = thread.winner
    wanted = {"priority": thread.priority, "timeSlice": thread.time_slice_ns, "preempt": thread.preempt}
    kernel = {
        "policy": thread.kernel_policy,
        "nice": thread.kernel_nice,
        "timeSlice": thread.kernel_time_slice_ns,
    }
    return {
        "tid": thread.tid,
        "name": thread.name,
        "winner": None if winner is None else {"namespace": winner[0], "name": winner[1]},
        "wanted": None if winner is None else wanted,
        "weight": thread.weight,
        "kernel": None if thread.kernel_policy is None else kernel,
    }
