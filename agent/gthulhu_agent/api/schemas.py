"""JSON Schemas of everything that the API takes and gives, for its OpenAPI document."""

from __future__ import annotations

from gthulhu_agent.classes import Class
from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.explaining import Lost
from gthulhu_agent.state import ConditionKind
from gthulhu_wire.documents import MAX_COUNTER, MAX_INTENTS, MAX_LIST, MAX_PATTERN, MAX_TEXT
from gthulhu_wire.intents import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    TIME_SLICE_MAX_NS,
    TIME_SLICE_MIN_NS,
    CommandOn,
    OnDelete,
)
from gthulhu_wire.refusals import Refusal

Schema = dict[str, object]


def ref(name: str) -> Schema:
    """A reference to a schema of :func:`schemas`."""
    return {"$ref": f"#/components/schemas/{name}"}


def schemas() -> dict[str, Schema]:
    """Every schema by name."""
    return {**_of_a_set(), **_of_what_holds(), **_of_state(), **_of_what_runs(), **_of_usage(), **_of_answers()}


def _object(text: str, properties: dict[str, Schema], *, optional: tuple[str, ...] = (), closed: bool = True) -> Schema:
    return {
        "type": "object",
        "description": text,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": not closed,
    }


def _text(text: str, *, limit: int = MAX_TEXT, least: int = 0) -> Schema:
    return {"type": "string", "description": text, "maxLength": limit, "minLength": least}


def _number(text: str, low: int, high: int | None = None) -> Schema:
    schema: Schema = {"type": "integer", "description": text, "minimum": low}
    return schema if high is None else {**schema, "maximum": high}


def _flag(text: str) -> Schema:
    return {"type": "boolean", "description": text}


def _list(items: Schema, text: str, *, most: int | None = None) -> Schema:
    schema: Schema = {"type": "array", "description": text, "items": items}
    return schema if most is None else {**schema, "maxItems": most}


def _names(text: str) -> Schema:
    return _list({"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, text, most=MAX_LIST)


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _instant(text: str) -> Schema:
    return {"type": "string", "format": "date-time", "description": text}


_DIGEST: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{64}$",
    "description": "SHA-256, in hex, over the canonical JSON of the intents in wire order.",
}


def _of_a_set() -> dict[str, Schema]:
    return {
        "Schedule": _object(
            "How threads are to run.",
            {
                "priority": _number("0 is normal, higher is stronger.", PRIORITY_MIN, PRIORITY_MAX),
                "timeSlice": _or_null(
                    _number("Nanoseconds; null leaves the kernel's default.", TIME_SLICE_MIN_NS, TIME_SLICE_MAX_NS)
                ),
                "preempt": _flag("Whether a waking thread takes the CPU at once."),
            },
        ),
        "Policy": _object(
            "Name of a policy, and where it was written.",
            {
                "namespace": _text("Namespace of the policy."),
                "name": _text("Name of the policy.", least=1),
                "source": _text("File or strategy that it came from."),
            },
        ),
        "Pod": _object(
            "A pod.",
            {
                "namespace": _text("Namespace."),
                "name": _text("Name."),
                "uid": _text("UID, as in the cgroup tree.", least=1),
            },
        ),
        "Terms": _object(
            "What a policy asks for, free of any pod.",
            {
                "policy": ref("Policy"),
                "schedule": ref("Schedule"),
                "command": _or_null(_text("RE2 pattern; null takes every thread.", limit=MAX_PATTERN)),
                "commandOn": {"enum": [one.value for one in CommandOn], "description": "What the pattern reads."},
                "units": _names("Node policies only: globs of systemd units."),
                "cgroups": _names("Node policies only: globs of cgroup paths."),
                "released": _names("Protected names that the operator's settings let this policy reach."),
                "onDelete": {"enum": [one.value for one in OnDelete], "description": "What becomes of the threads."},
                "endsAt": _or_null(_instant("When the agent drops the intent by itself.")),
            },
        ),
        "Intent": _object(
            "One policy resolved for one pod, or for the node.",
            {
                "pod": _or_null(ref("Pod")),
                "containers": _or_null(_names("Container ids; null is every container of the pod.")),
                "rank": _number("Place among the intents of the same pod, 0 is strongest.", 0, MAX_INTENTS),
                "terms": ref("Terms"),
            },
        ),
        "DesiredSet": _object(
            "Everything that this node shall enforce, and who says so.",
            {
                "owner": _text("Who sends it; empty while nobody has.", least=0),
                "token": _number("Fencing token of the sender's leader.", 0, MAX_COUNTER),
                "generation": _number("Grows with every set.", 0, MAX_COUNTER),
                "digest": _DIGEST,
                "intents": _list(ref("Intent"), "In wire order.", most=MAX_INTENTS),
            },
            optional=("digest",),
        ),
    }


def _of_what_holds() -> dict[str, Schema]:
    holds = {
        "owner": _text("Owner of the set that holds; empty while there is none."),
        "token": _number("Its fencing token.", 0),
        "generation": _number("Its generation.", 0),
        "digest": _DIGEST,
        "count": _number("How many intents it has.", 0),
    }
    return {
        "Holds": _object("What a node holds.", holds),
        "Acknowledgement": _object(
            "What a node holds, durably stored.",
            {
                "node": _text("Name of the node."),
                **holds,
                "damaged": _flag(
                    "Whether the newest stored set could not be read: what holds is an older one or none, and the set "
                    "has to be sent again even where the digest is the wanted one."
                ),
            },
            closed=False,
        ),
    }


def _of_state() -> dict[str, Schema]:
    return {
        "Condition": _object(
            "Something that stands in the way.",
            {
                "type": {"enum": [kind.value for kind in ConditionKind], "description": "Which; a closed list."},
                "message": _text("What is the matter.", limit=65536),
                "cure": _text("What to do about it.", limit=65536),
                "since": _instant("Since when."),
                "blocksReady": _flag("Whether the agent is not ready for it."),
            },
            optional=("message", "cure", "since", "blocksReady"),
            closed=False,
        ),
        "Refused": _object(
            "Something that the kernel did not take.",
            {
                "what": _text("Which part of the schedule."),
                "why": _text("Why."),
                "cure": _text("What to do about it."),
            },
            closed=False,
        ),
        "IntentState": _object(
            "What one intent has come to.",
            {
                "pod": _or_null(ref("Pod")),
                "policy": ref("Policy"),
                "rank": _number("As in the intent.", 0),
                "acceptedSince": _instant("Since when this node holds it as it is."),
                "enforcedSince": _or_null(_instant("Since when every thread runs as told; null where it does not.")),
                "threads": _number("Threads that it holds now.", 0),
                "processes": _number("Processes of those threads.", 0),
                "effective": _or_null(ref("Schedule")),
                "weight": _or_null(_number("cgroup weight that was set, in cpu.weight units.", 1, 10000)),
                "nice": _or_null(_number("Nice value that was set.", -20, 19)),
                "refused": _list(ref("Refused"), "What the kernel did not take, or was not to."),
                "expired": _flag("Whether endsAt has passed."),
            },
            closed=False,
        ),
        "StrategyState": _object(
            "A strategy of the BSS API.",
            {
                "priority": _flag("As sent."),
                "executionTime": _number("As sent, nanoseconds.", 0),
                "pid": _or_null({"type": "integer", "description": "The process that it names."}),
                "selectors": _list(
                    _object("A label.", {"key": _text("Key."), "value": _text("Value.")}, closed=False),
                    "Labels that a pod has to have, all of them.",
                ),
                "commandRegex": _text("As sent."),
                "pods": _number("Pods that it reaches now.", 0),
                "refused": _list(ref("Refused"), "Why it reaches none, or not all that it may mean."),
            },
            closed=False,
        ),
        "Received": _object(
            "What a Decision Maker's clients sent, where they own this node.",
            {
                "intents": _number("Intents.", 0),
                "intentsWithoutPod": _number("Those of them that name no pod, and so reach nothing.", 0),
                "nodeIntents": _number("Intents for the node.", 0),
                "strategies": _number("Strategies of the BSS API.", 0),
                "dialect": _text("What the priorities of the intents mean."),
            },
            closed=False,
        ),
        "State": _object(
            "What this node has made of its set.",
            {
                "node": _text("Name of the node."),
                "generation": _number("Of the set that holds.", 0),
                "digest": _DIGEST,
                "enforcer": _text("Way into the kernel."),
                "passedAt": _or_null(_instant("When the last pass began.")),
                "passedGeneration": _or_null(_number("Of the set that the last pass made the kernel be.", 0)),
                "received": _or_null(ref("Received")),
                "conditions": _list(ref("Condition"), "What stands in the way."),
                "strategies": _list(ref("StrategyState"), "The first 1,000 strategies of the BSS API, as they came."),
                "intents": _list(ref("IntentState"), "In wire order."),
            },
            closed=False,
        ),
    }


def _of_what_runs() -> dict[str, Schema]:
    return {
        "Pods": _object(
            "The pods that run here, as the node itself knows them.",
            {
                "node": _text("Name of the node."),
                "pods": _list(
                    _object(
                        "A pod; names and labels are empty where the node does not know them.",
                        {
                            "uid": _text("UID."),
                            "namespace": _text("Namespace."),
                            "name": _text("Name."),
                            "labels": {
                                "type": "object",
                                "description": "Labels, from the local pod file.",
                                "additionalProperties": {"type": "string"},
                            },
                            "containers": _list(
                                _object("A container.", {"name": _text("Name."), "id": _text("Id.")}), "Containers."
                            ),
                        },
                        closed=False,
                    ),
                    "Pods.",
                ),
                "incomplete": _list({"type": "string"}, "What could not be read."),
            },
            closed=False,
        ),
        "Process": _object(
            "One process, what takes its threads, and what the kernel says of them.",
            {
                "node": _text("Name of the node."),
                "pid": _number("Process id.", 1),
                "start": _number("Start time, clock ticks after boot.", 0),
                "comm": _text("Name of the process."),
                "argv0": _text("First word of its command line."),
                "group": _object(
                    "Where it belongs.",
                    {
                        "kind": {"enum": [kind.value for kind in GroupKind], "description": "What the group is."},
                        "cgroup": _or_null(_text("Path of its cgroup.", limit=4096)),
                        "unit": _text("systemd unit."),
                        "containerId": _text("Id of the container."),
                    },
                    closed=False,
                ),
                "pod": _or_null(
                    _object(
                        "Its pod.",
                        {"uid": _text("UID."), "namespace": _text("Namespace."), "name": _text("Name.")},
                        closed=False,
                    )
                ),
                "threads": _list(ref("Thread"), "Every thread."),
            },
            closed=False,
        ),
        "Thread": _object(
            "One thread.",
            {
                "tid": _number("Thread id.", 1),
                "name": _text("Its name."),
                "winner": _or_null(ref("PolicyName")),
                "class": _CLASS,
                "wanted": _or_null(ref("Schedule")),
                "weight": _or_null(_number("cgroup weight that the policy's intent set.", 1, 10000)),
                "kernel": _or_null(ref("InKernel")),
                "losers": _list(ref("Loser"), "Intents that do not take it, strongest first."),
                "losersLeftOut": _number("Those that are not told.", 0),
            },
            closed=False,
        ),
        "Loser": _object(
            "An intent that does not take a thread.",
            {
                "namespace": _text("Namespace of the policy."),
                "name": _text("Name of the policy."),
                "reason": {"enum": [reason.value for reason in Lost], "description": "A closed list."},
                "text": _text("Why."),
            },
            closed=False,
        ),
        "PolicyName": _object("A policy.", {"namespace": _text("Namespace."), "name": _text("Name.")}),
        "InKernel": _object(
            "Read from the kernel now; null for a thread that has ended.",
            {
                "policy": _text("Scheduling policy."),
                "nice": _number("Nice value.", -20, 19),
                "timeSlice": _or_null(_number("Slice in nanoseconds.", 0)),
            },
            closed=False,
        ),
    }


_CLASS: Schema = {
    "enum": [*(one.value for one in Class), None],
    "description": "Scheduling class that the policy puts it in; null where there is none.",
}


def _of_usage() -> dict[str, Schema]:
    counters = {
        "cpu": _number("Nanoseconds on a CPU.", 0),
        "wait": _number("Nanoseconds runnable and waiting for a CPU.", 0),
        "runs": _number("Times that it got a CPU.", 0),
        "voluntary": _number("Context switches by itself.", 0),
        "involuntary": _number("Context switches because another was to run.", 0),
        "migrations": _number("Moves to another CPU.", 0),
    }
    return {
        "Usage": _object(
            "What the pods use. Of two answers the differences are rates.",
            {
                "node": _text("Name of the node."),
                "enforcer": _text("Way into the kernel."),
                "readAt": _instant("When it was read."),
                "clock": {"type": "number", "description": "The same in seconds on a clock that is never set."},
                "leftOut": _number("Pods that run and are not measured: over the limit.", 0),
                "unreadable": _number("Threads whose counters could not be read.", 0),
                "threads": _list(ref("ThreadUsage"), "The pod's threads, where one was asked for."),
                "threadsLeftOut": _number("Threads that are not told: over the limit.", 0),
                "pods": _list(ref("PodUsage"), "In order of uid."),
            },
            optional=("threads", "threadsLeftOut"),
            closed=False,
        ),
        "Counts": _object("Counters that never go down.", counters, closed=False),
        "PodUsage": _object(
            "A pod without its pause container. What threads had used that ended stays counted.",
            {
                "uid": _text("UID."),
                "namespace": _text("Namespace."),
                "name": _text("Name."),
                "processes": _number("That run.", 0),
                "threads": _number("That run.", 0),
                "counts": ref("Counts"),
                "intents": _list(
                    _object(
                        "An intent for it.",
                        {
                            "policy": ref("PolicyName"),
                            "class": _CLASS,
                            "threads": _number("Threads that it holds.", 0),
                            "enforced": _flag("Whether all of them run as told."),
                            "effective": _or_null(ref("Schedule")),
                        },
                        closed=False,
                    ),
                    "Strongest first.",
                ),
                "intentsLeftOut": _number("Those that are not told: over the limit.", 0),
            },
            closed=False,
        ),
        "ThreadUsage": _object(
            "A thread.",
            {
                "pid": _number("Of its process.", 1),
                "tid": _number("Its own.", 1),
                "comm": _text("Name of the process."),
                "name": _text("Name of the thread."),
                "counts": ref("Counts"),
                "winner": _or_null(ref("PolicyName")),
                "class": _CLASS,
                "kernel": _or_null(ref("InKernel")),
            },
            closed=False,
        ),
    }


def _of_answers() -> dict[str, Schema]:
    return {
        "Reverted": _object(
            "Everything was put back.",
            {
                "node": _text("Name of the node."),
                "restored": _number("Things put back.", 0),
                "warning": _text("What is not as it should be; empty as a rule."),
            },
            closed=False,
        ),
        "Resumed": _object("What holds is enforced again.", {"node": _text("Name of the node.")}, closed=False),
        "Health": _object("The process answers.", {"status": {"const": "ok"}}, closed=False),
        "Ready": _object(
            "Whether what holds is enforced. Callers without the secret see the types of the reasons alone.",
            {"ready": _flag("Whether it is."), "reasons": _list(ref("Condition"), "Why it is not.")},
            closed=False,
        ),
        "Version": _object(
            "Who this is.",
            {
                "version": _text("Version of the agent."),
                "api": {"const": "v1", "description": "Version of this API."},
                "node": _text("Name of the node."),
                "enforcer": _text("Way into the kernel."),
                "kernel": _text("Release of the kernel."),
            },
            closed=False,
        ),
        "TokenRequest": _object(
            "What proves who asks. A client certificate that is a login needs none of it.",
            {
                "grant_type": {"const": "client_credentials", "description": "As OAuth 2.0 has it."},
                "client_assertion_type": {
                    "const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "description": "As RFC 7523 has it.",
                },
                "client_assertion": _text("A JWT that the client signed for this node.", limit=8192),
                "client_id": _text("Who it says it is."),
                "public_key": _text("The agent's public key in PEM, where compat.public_key_login is on.", limit=65536),
            },
            optional=("grant_type", "client_assertion_type", "client_assertion", "client_id", "public_key"),
            closed=False,
        ),
        "Token": _object(
            "A token for the Authorization header.",
            {
                "access_token": _text("A JWT.", limit=65536),
                "token_type": {"const": "Bearer", "description": "How it is sent."},
                "expires_in": {"type": "integer", "minimum": 1, "description": "Seconds."},
            },
            closed=False,
        ),
        "Refusal": _object(
            "No, and why.",
            {
                "code": {"enum": [code.value for code in Refusal], "description": "A closed list."},
                "message": _text("What is the matter.", limit=65536),
                "cure": _text("What to do about it."),
                "holds": ref("Holds"),
            },
            optional=("holds",),
            closed=False,
        ),
    }
