"""JSON Schemas of what runs: pods, processes, threads, and what they use."""

from __future__ import annotations

from gthulhu_agent.api.schema_parts import Schema, a_list, an_object, flag, instant, number, or_null, ref, text
from gthulhu_agent.classes import Class
from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.explaining import Lost

_CLASS: Schema = {
    "enum": [*(one.value for one in Class), None],
    "description": "Scheduling class that the policy puts it in; null where there is none.",
}


def of_what_runs() -> dict[str, Schema]:
    """Pods, and one process with its threads."""
    return {
        "Pods": an_object(
            "The pods that run here, as the node itself knows them.",
            {
                "node": text("Name of the node."),
                "pods": a_list(
                    an_object(
                        "A pod; names and labels are empty where the node does not know them.",
                        {
                            "uid": text("UID."),
                            "namespace": text("Namespace."),
                            "name": text("Name."),
                            "labels": {
                                "type": "object",
                                "description": "Labels, from the local pod file.",
                                "additionalProperties": {"type": "string"},
                            },
                            "containers": a_list(
                                an_object("A container.", {"name": text("Name."), "id": text("Id.")}), "Containers."
                            ),
                        },
                        closed=False,
                    ),
                    "Pods.",
                ),
                "incomplete": a_list({"type": "string"}, "What could not be read."),
            },
            closed=False,
        ),
        "Process": an_object(
            "One process, what takes its threads, and what the kernel says of them.",
            {
                "node": text("Name of the node."),
                "pid": number("Process id.", 1),
                "start": number("Start time, clock ticks after boot.", 0),
                "comm": text("Name of the process."),
                "argv0": text("First word of its command line."),
                "group": an_object(
                    "Where it belongs.",
                    {
                        "kind": {"enum": [kind.value for kind in GroupKind], "description": "What the group is."},
                        "cgroup": or_null(text("Path of its cgroup.", limit=4096)),
                        "unit": text("systemd unit."),
                        "containerId": text("Id of the container."),
                    },
                    closed=False,
                ),
                "pod": or_null(
                    an_object(
                        "Its pod.",
                        {"uid": text("UID."), "namespace": text("Namespace."), "name": text("Name.")},
                        closed=False,
                    )
                ),
                "threads": a_list(ref("Thread"), "Every thread."),
            },
            closed=False,
        ),
        "Thread": an_object(
            "One thread.",
            {
                "tid": number("Thread id.", 1),
                "name": text("Its name."),
                "winner": or_null(ref("PolicyName")),
                "class": _CLASS,
                "wanted": or_null(ref("Schedule")),
                "weight": or_null(number("cgroup weight that the policy's intent set.", 1, 10000)),
                "kernel": or_null(ref("InKernel")),
                "losers": a_list(ref("Loser"), "Intents that do not take it, strongest first."),
                "losersLeftOut": number("Those that are not told.", 0),
            },
            closed=False,
        ),
        "Loser": an_object(
            "An intent that does not take a thread.",
            {
                "namespace": text("Namespace of the policy."),
                "name": text("Name of the policy."),
                "reason": {"enum": [reason.value for reason in Lost], "description": "A closed list."},
                "text": text("Why."),
            },
            closed=False,
        ),
        "PolicyName": an_object("A policy.", {"namespace": text("Namespace."), "name": text("Name.")}),
        "InKernel": an_object(
            "Read from the kernel now; null for a thread that has ended.",
            {
                "policy": text("Scheduling policy."),
                "nice": number("Nice value.", -20, 19),
                "timeSlice": or_null(number("Slice in nanoseconds.", 0)),
            },
            closed=False,
        ),
    }


def of_usage() -> dict[str, Schema]:
    """What ``GET /v1/usage`` tells."""
    counters = {
        "cpu": number("Nanoseconds on a CPU.", 0),
        "wait": number("Nanoseconds runnable and waiting for a CPU.", 0),
        "runs": number("Times that it got a CPU.", 0),
        "voluntary": number("Context switches by itself.", 0),
        "involuntary": number("Context switches because another was to run.", 0),
        "migrations": number("Moves to another CPU.", 0),
    }
    return {
        "Usage": an_object(
            "What the pods use. Of two answers the differences are rates.",
            {
                "node": text("Name of the node."),
                "enforcer": text("Way into the kernel."),
                "readAt": instant("When it was read."),
                "clock": {"type": "number", "description": "The same in seconds on a clock that is never set."},
                "leftOut": number("Pods that run and are not measured: over the limit.", 0),
                "unreadable": number("Threads whose counters could not be read.", 0),
                "threads": a_list(ref("ThreadUsage"), "The pod's threads, where one was asked for."),
                "threadsLeftOut": number("Threads that are not told: over the limit.", 0),
                "pods": a_list(ref("PodUsage"), "In order of uid."),
            },
            optional=("threads", "threadsLeftOut"),
            closed=False,
        ),
        "Counts": an_object("Counters that never go down.", counters, closed=False),
        "PodUsage": an_object(
            "A pod without its pause container. What threads had used that ended stays counted.",
            {
                "uid": text("UID."),
                "namespace": text("Namespace."),
                "name": text("Name."),
                "processes": number("That run.", 0),
                "threads": number("That run.", 0),
                "counts": ref("Counts"),
                "intents": a_list(
                    an_object(
                        "An intent for it.",
                        {
                            "policy": ref("PolicyName"),
                            "class": _CLASS,
                            "threads": number("Threads that it holds.", 0),
                            "enforced": flag("Whether all of them run as told."),
                            "effective": or_null(ref("Schedule")),
                        },
                        closed=False,
                    ),
                    "Strongest first.",
                ),
                "intentsLeftOut": number("Those that are not told: over the limit.", 0),
            },
            closed=False,
        ),
        "ThreadUsage": an_object(
            "A thread.",
            {
                "pid": number("Of its process.", 1),
                "tid": number("Its own.", 1),
                "comm": text("Name of the process."),
                "name": text("Name of the thread."),
                "counts": ref("Counts"),
                "winner": or_null(ref("PolicyName")),
                "class": _CLASS,
                "kernel": or_null(ref("InKernel")),
            },
            closed=False,
        ),
    }
