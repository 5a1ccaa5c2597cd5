"""JSON Schemas of everything that the API takes and gives, for its OpenAPI document."""

from __future__ import annotations

from gthulhu_agent.api.schema_parts import Schema, a_list, an_object, flag, instant, names, number, or_null, ref, text
from gthulhu_agent.api.schemas_running import of_usage, of_what_runs
from gthulhu_agent.state import ConditionKind
from gthulhu_wire.documents import MAX_COUNTER, MAX_INTENTS, MAX_PATTERN
from gthulhu_wire.intents import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    TIME_SLICE_MAX_NS,
    TIME_SLICE_MIN_NS,
    CommandOn,
    OnDelete,
)
from gthulhu_wire.refusals import Refusal


def schemas() -> dict[str, Schema]:
    """Every schema by name."""
    return {**_of_a_set(), **_of_what_holds(), **_of_state(), **of_what_runs(), **of_usage(), **_of_answers()}


_DIGEST: Schema = {
    "type": "string",
    "pattern": "^[0-9a-f]{64}$",
    "description": "SHA-256, in hex, over the canonical JSON of the intents in wire order.",
}


def _of_a_set() -> dict[str, Schema]:
    return {
        "Schedule": an_object(
            "How threads are to run.",
            {
                "priority": number("0 is normal, higher is stronger.", PRIORITY_MIN, PRIORITY_MAX),
                "timeSlice": or_null(
                    number("Nanoseconds; null leaves the kernel's default.", TIME_SLICE_MIN_NS, TIME_SLICE_MAX_NS)
                ),
                "preempt": flag("Whether a waking thread takes the CPU at once."),
            },
        ),
        "Policy": an_object(
            "Name of a policy, and where it was written.",
            {
                "namespace": text("Namespace of the policy."),
                "name": text("Name of the policy.", least=1),
                "source": text("File or strategy that it came from."),
            },
        ),
        "Pod": an_object(
            "A pod.",
            {
                "namespace": text("Namespace."),
                "name": text("Name."),
                "uid": text("UID, as in the cgroup tree.", least=1),
            },
        ),
        "Terms": an_object(
            "What a policy asks for, free of any pod.",
            {
                "policy": ref("Policy"),
                "schedule": ref("Schedule"),
                "command": or_null(text("RE2 pattern; null takes every thread.", limit=MAX_PATTERN)),
                "commandOn": {"enum": [one.value for one in CommandOn], "description": "What the pattern reads."},
                "units": names("Node policies only: globs of systemd units."),
                "cgroups": names("Node policies only: globs of cgroup paths."),
                "released": names("Protected names that the operator's settings let this policy reach."),
                "onDelete": {"enum": [one.value for one in OnDelete], "description": "What becomes of the threads."},
                "endsAt": or_null(instant("When the agent drops the intent by itself.")),
            },
        ),
        "Intent": an_object(
            "One policy resolved for one pod, or for the node.",
            {
                "pod": or_null(ref("Pod")),
                "containers": or_null(names("Container ids; null is every container of the pod.")),
                "rank": number("Place among the intents of the same pod, 0 is strongest.", 0, MAX_INTENTS),
                "terms": ref("Terms"),
            },
        ),
        "DesiredSet": an_object(
            "Everything that this node shall enforce, and who says so.",
            {
                "owner": text("Who sends it; empty while nobody has.", least=0),
                "token": number("Fencing token of the sender's leader.", 0, MAX_COUNTER),
                "generation": number("Grows with every set.", 0, MAX_COUNTER),
                "digest": _DIGEST,
                "intents": a_list(ref("Intent"), "In wire order.", most=MAX_INTENTS),
            },
            optional=("digest",),
        ),
    }


def _of_what_holds() -> dict[str, Schema]:
    holds = {
        "owner": text("Owner of the set that holds; empty while there is none."),
        "token": number("Its fencing token.", 0),
        "generation": number("Its generation.", 0),
        "digest": _DIGEST,
        "count": number("How many intents it has.", 0),
    }
    return {
        "Holds": an_object("What a node holds.", holds),
        "Acknowledgement": an_object(
            "What a node holds, durably stored.",
            {
                "node": text("Name of the node."),
                **holds,
                "damaged": flag(
                    "Whether the newest stored set could not be read: what holds is an older one or none, and the set "
                    "has to be sent again even where the digest is the wanted one."
                ),
            },
            closed=False,
        ),
    }


def _of_state() -> dict[str, Schema]:
    return {
        "Condition": an_object(
            "Something that stands in the way.",
            {
                "type": {"enum": [kind.value for kind in ConditionKind], "description": "Which; a closed list."},
                "message": text("What is the matter.", limit=65536),
                "cure": text("What to do about it.", limit=65536),
                "since": instant("Since when."),
                "blocksReady": flag("Whether the agent is not ready for it."),
            },
            optional=("message", "cure", "since", "blocksReady"),
            closed=False,
        ),
        "Refused": an_object(
            "Something that the kernel did not take.",
            {
                "what": text("Which part of the schedule."),
                "why": text("Why."),
                "cure": text("What to do about it."),
            },
            closed=False,
        ),
        "IntentState": an_object(
            "What one intent has come to.",
            {
                "pod": or_null(ref("Pod")),
                "policy": ref("Policy"),
                "rank": number("As in the intent.", 0),
                "acceptedSince": instant("Since when this node holds it as it is."),
                "enforcedSince": or_null(instant("Since when every thread runs as told; null where it does not.")),
                "threads": number("Threads that it holds now.", 0),
                "processes": number("Processes of those threads.", 0),
                "effective": or_null(ref("Schedule")),
                "weight": or_null(number("cgroup weight that was set, in cpu.weight units.", 1, 10000)),
                "nice": or_null(number("Nice value that was set.", -20, 19)),
                "refused": a_list(ref("Refused"), "What the kernel did not take, or was not to."),
                "expired": flag("Whether endsAt has passed."),
            },
            closed=False,
        ),
        "StrategyState": an_object(
            "A strategy of the BSS API.",
            {
                "priority": flag("As sent."),
                "executionTime": number("As sent, nanoseconds.", 0),
                "pid": or_null({"type": "integer", "description": "The process that it names."}),
                "selectors": a_list(
                    an_object("A label.", {"key": text("Key."), "value": text("Value.")}, closed=False),
                    "Labels that a pod has to have, all of them.",
                ),
                "commandRegex": text("As sent."),
                "pods": number("Pods that it reaches now.", 0),
                "refused": a_list(ref("Refused"), "Why it reaches none, or not all that it may mean."),
            },
            closed=False,
        ),
        "Received": an_object(
            "What a Decision Maker's clients sent, where they own this node.",
            {
                "intents": number("Intents.", 0),
                "intentsWithoutPod": number("Those of them that name no pod, and so reach nothing.", 0),
                "nodeIntents": number("Intents for the node.", 0),
                "strategies": number("Strategies of the BSS API.", 0),
                "dialect": text("What the priorities of the intents mean."),
            },
            closed=False,
        ),
        "State": an_object(
            "What this node has made of its set.",
            {
                "node": text("Name of the node."),
                "generation": number("Of the set that holds.", 0),
                "digest": _DIGEST,
                "enforcer": text("Way into the kernel."),
                "passedAt": or_null(instant("When the last pass began.")),
                "passedGeneration": or_null(number("Of the set that the last pass made the kernel be.", 0)),
                "received": or_null(ref("Received")),
                "conditions": a_list(ref("Condition"), "What stands in the way."),
                "strategies": a_list(ref("StrategyState"), "The first 1,000 strategies of the BSS API, as they came."),
                "intents": a_list(ref("IntentState"), "In wire order."),
            },
            closed=False,
        ),
    }


def _of_answers() -> dict[str, Schema]:
    return {
        "Reverted": an_object(
            "Everything was put back.",
            {
                "node": text("Name of the node."),
                "restored": number("Things put back.", 0),
                "warning": text("What is not as it should be; empty as a rule."),
            },
            closed=False,
        ),
        "Resumed": an_object("What holds is enforced again.", {"node": text("Name of the node.")}, closed=False),
        "Health": an_object("The process answers.", {"status": {"const": "ok"}}, closed=False),
        "Ready": an_object(
            "Whether what holds is enforced. Callers without the secret see the types of the reasons alone.",
            {"ready": flag("Whether it is."), "reasons": a_list(ref("Condition"), "Why it is not.")},
            closed=False,
        ),
        "Version": an_object(
            "Who this is.",
            {
                "version": text("Version of the agent."),
                "api": {"const": "v1", "description": "Version of this API."},
                "node": text("Name of the node."),
                "enforcer": text("Way into the kernel."),
                "kernel": text("Release of the kernel."),
            },
            closed=False,
        ),
        "TokenRequest": an_object(
            "What proves who asks. A client certificate that is a login needs none of it.",
            {
                "grant_type": {"const": "client_credentials", "description": "As OAuth 2.0 has it."},
                "client_assertion_type": {
                    "const": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
                    "description": "As RFC 7523 has it.",
                },
                "client_assertion": text("A JWT that the client signed for this node.", limit=8192),
                "client_id": text("Who it says it is."),
                "public_key": text("The agent's public key in PEM, where compat.public_key_login is on.", limit=65536),
            },
            optional=("grant_type", "client_assertion_type", "client_assertion", "client_id", "public_key"),
            closed=False,
        ),
        "Token": an_object(
            "A token for the Authorization header.",
            {
                "access_token": text("A JWT.", limit=65536),
                "token_type": {"const": "Bearer", "description": "How it is sent."},
                "expires_in": {"type": "integer", "minimum": 1, "description": "Seconds."},
            },
            closed=False,
        ),
        "Refusal": an_object(
            "No, and why.",
            {
                "code": {"enum": [code.value for code in Refusal], "description": "A closed list."},
                "message": text("What is the matter.", limit=65536),
                "cure": text("What to do about it."),
                "holds": ref("Holds"),
            },
            optional=("holds",),
            closed=False,
        ),
    }
