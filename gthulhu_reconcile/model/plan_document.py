"""The plan as JSON, which other programs read: its description, its schema, and how a plan becomes it.

Keys may be added, never changed or taken away, so readers must let pass what they do not know.
``python -m gthulhu_reconcile.model.plan_document --check`` fails where the committed schema is not what the models
give, ``--write`` makes it so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

from gthulhu_reconcile.model.plan import FORMAT_VERSION, Action, Change, Guard, Plan, Reason, Tie
from gthulhu_wire.intents import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    TIME_SLICE_MAX_NS,
    TIME_SLICE_MIN_NS,
    CommandOn,
    Intent,
    OnDelete,
    PodRef,
    PolicyRef,
    Terms,
    format_instant,
)

SCHEMA_NAME = "plan-v1.json"
_HEX_DIGEST = r"^[0-9a-f]{64}$"

Count = Annotated[int, Field(ge=0)]


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, extra="allow", use_enum_values=True)


class SummaryDocument(_Document):
    """Counts of intents by what happens to them, and of pods."""

    add: Count = Field(description="intents that an agent does not hold yet")
    update: Count = Field(description="intents that an agent holds otherwise than wanted")
    delete: Count = Field(description="intents that go away, their threads put back as they were")
    forget: Count = Field(description="intents that go away without touching a thread")
    unchanged: Count = Field(description="intents that are as wanted")
    pods: Count = Field(description="observed pods, those that have finished or have no node too")
    matched: Count = Field(description="pods on planned nodes that have an intent")


class HoldDocument(_Document):
    """Why the plan may not be executed as it is."""

    guard: Guard = Field(description="which guard; a plan of unreadable input cannot be approved")
    message: str = Field(description="what the guard found, one sentence")


class PodDocument(_Document):
    """An observed pod."""

    namespace: str = Field(description="its namespace")
    name: str = Field(description="its name")
    uid: str = Field(description="its uid, which no later pod has")


class PolicyNameDocument(_Document):
    """Name of a policy and where it was written."""

    namespace: str = Field(description="the namespace that owns the policy")
    name: str = Field(description="its name within the namespace")
    source: str = Field(description="the file (or strategy) it is written in, as shown to people")


class PolicyDocument(PolicyNameDocument):
    """A policy and the line where it begins."""

    line: Count = Field(description="where its document begins, 1-based; 0 where the policy is gone")


class IntentDocument(_Document):
    """One side of a change: everything that an update can change in an intent."""

    priority: int = Field(ge=PRIORITY_MIN, le=PRIORITY_MAX, description="0 is normal, higher is stronger")
    time_slice: Annotated[int, Field(ge=TIME_SLICE_MIN_NS, le=TIME_SLICE_MAX_NS)] | None = Field(
        description="nanoseconds; null leaves the kernel's default"
    )
    preempt: bool = Field(description="whether a waking thread takes the CPU at once")
    rank: Count = Field(description="place among the intents of the same pod or node, 0 is strongest")
    containers: list[str] | None = Field(description="ids of containers; null takes every container of the pod")
    command: str | None = Field(description="RE2 pattern, unanchored; null takes every thread")
    command_on: CommandOn = Field(description="which text of a thread the pattern is matched against")
    units: list[str] = Field(description="node policies only: systemd units, exact or glob")
    cgroups: list[str] = Field(description="node policies only: cgroup paths, exact or glob")
    released: list[str] = Field(description="protected units that the settings let this policy reach")
    on_delete: OnDelete = Field(description="what becomes of the threads when the policy goes away")
    ends_at: str | None = Field(description="RFC 3339, UTC: when the agent ends it by itself; null is never")
    source: str = Field(description="the file (or strategy) that the policy is written in")


class ChangeDocument(_Document):
    """One intent on one node."""

    action: Action = Field(description="what happens to it")
    node: str = Field(description="on which node")
    pod: PodDocument | None = Field(description="of which pod; null for a node policy")
    command: str | None = Field(description="its pattern, the wanted one where there are two; null takes every thread")
    policy: PolicyDocument = Field(description="whose wish it is")
    before: IntentDocument | None = Field(description="what the agent holds; null for add")
    after: IntentDocument | None = Field(description="what it is to hold; null for delete and forget")
    reason: Reason = Field(description="why, from a closed list")


class UnreachableDocument(_Document):
    """A node that nothing is planned for, since what its agent holds is not known or not ours."""

    node: str = Field(description="its name")
    reason: str = Field(description="why, one sentence")


class BaseDocument(_Document):
    """What an agent held when the plan was made; a push to one that no longer does is refused."""

    owner: str = Field(description="who sent it; empty for an agent that nobody has sent anything")
    token: Count = Field(description="the leader's fencing token")
    generation: Count = Field(description="grows with every set of one owner")
    digest: str = Field(pattern=_HEX_DIGEST, description="SHA-256 of the set")


class TieDocument(_Document):
    """Two policies that nothing but their names orders, and that can take the same threads."""

    winner: PolicyNameDocument = Field(description="whose name comes first")
    loser: PolicyNameDocument = Field(description="whose name comes later")
    pods: list[PodDocument] = Field(description="the first few pods where they meet; none for node policies")
    count: Count = Field(description="pods where they meet; nodes, for node policies")


class PlanDocument(_Document):
    """A plan: the difference between what is wanted and what agents have accepted."""

    format_version: Literal["1.0"] = Field(description="keys may be added within a version, never changed")
    id: str = Field(pattern=r"^[0-9a-f]{12}$", description="what --approve takes; the same for the same plan")
    summary: SummaryDocument = Field(description="counts")
    held: HoldDocument | None = Field(description="the guard that stopped it; null where none did or it is approved")
    changes: list[ChangeDocument] = Field(description="by node, then in the order of the wire")
    unreachable: list[UnreachableDocument] = Field(description="nodes that are left out, sorted")
    digests: dict[str, Annotated[str, Field(pattern=_HEX_DIGEST)]] = Field(
        description="per planned node, the digest of what it is to hold"
    )
    bases: dict[str, BaseDocument] = Field(description="per planned node, what its agent held")
    ties: list[TieDocument] = Field(description="policies that only their names order, with the pods where they meet")
    adopted: list[str] = Field(description="planned nodes that are taken over from another owner, sorted")


def plan_to_json(plan: Plan) -> dict[str, object]:
    """``plan`` in the form of :class:`PlanDocument`.

    Built by hand: the models would check and copy every value of 100,000 changes that the planner made right.
    """
    terms: dict[int, dict[str, object]] = {}
    return {
        "formatVersion": FORMAT_VERSION,
        "id": plan.id,
        "summary": {
            "add": plan.summary.add,
            "update": plan.summary.update,
            "delete": plan.summary.delete,
            "forget": plan.summary.forget,
            "unchanged": plan.summary.unchanged,
            "pods": plan.summary.pods,
            "matched": plan.summary.matched,
        },
        "held": None if plan.held is None else {"guard": plan.held.guard.value, "message": plan.held.message},
        "changes": [_change(change, terms) for change in plan.changes],
        "unreachable": [{"node": one.node, "reason": one.reason} for one in plan.unreachable],
        "digests": dict(plan.digests),
        "bases": {
            node: {"owner": base.owner, "token": base.token, "generation": base.generation, "digest": base.digest}
            for node, base in plan.bases.items()
        },
        "ties": [_tie(tie) for tie in plan.ties],
        "adopted": list(plan.adopted),
    }


def _change(change: Change, terms: dict[int, dict[str, object]]) -> dict[str, object]:
    policy, shown = change.policy, change.after or change.before
    return {
        "action": change.action.value,
        "node": change.node,
        "pod": None if change.pod is None else _pod(change.pod),
        "command": None if shown is None else shown.terms.command,
        "policy": {
            "namespace": policy.namespace,
            "name": policy.name,
            "source": policy.source,
            "line": change.line,
        },
        "before": None if change.before is None else _intent(change.before, terms),
        "after": None if change.after is None else _intent(change.after, terms),
        "reason": change.reason.value,
    }


def _intent(intent: Intent, terms: dict[int, dict[str, object]]) -> dict[str, object]:
    shared = terms.get(id(intent.terms))
    if shared is None:
        shared = terms[id(intent.terms)] = _terms(intent.terms)
    containers = intent.containers
    return {**shared, "rank": intent.rank, "containers": None if containers is None else list(containers)}


def _terms(terms: Terms) -> dict[str, object]:
    return {
        "priority": terms.schedule.priority,
        "timeSlice": terms.schedule.time_slice_ns,
        "preempt": terms.schedule.preempt,
        "command": terms.command,
        "commandOn": terms.command_on.value,
        "units": list(terms.units),
        "cgroups": list(terms.cgroups),
        "released": list(terms.released),
        "onDelete": terms.on_delete.value,
        "endsAt": None if terms.ends_at is None else format_instant(terms.ends_at),
        "source": terms.policy.source,
    }


def _pod(pod: PodRef) -> dict[str, object]:
    return {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid}


def _tie(tie: Tie) -> dict[str, object]:
    return {
        "winner": _policy(tie.winner),
        "loser": _policy(tie.loser),
        "pods": [_pod(pod) for pod in tie.pods],
        "count": tie.count,
    }


def _policy(policy: PolicyRef) -> dict[str, object]:
    return {"namespace": policy.namespace, "name": policy.name, "source": policy.source}


class _Untitled(GenerateJsonSchema):
    """No titles made from field names: editors show them where a description would help."""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def get_title_from_name(self, name: str) -> str:
        del name
        return ""

    def generate(self, schema: core_schema.CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        body = super().generate(schema, mode)
        for part in (body, *body.get("$defs", {}).values()):
            part.pop("title", None)
        return body


def plan_schema() -> dict[str, object]:
    """JSON Schema (2020-12) of :func:`plan_to_json`."""
    body = PlanDocument.model_json_schema(by_alias=True, schema_generator=_Untitled)
    return {"$schema": _Untitled.schema_dialect, "title": "A plan of gthulhu-reconcile", **body}


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the committed schema with the models, or write it anew."""
    parser = argparse.ArgumentParser(description="The schema of plans, from the models.")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--check", action="store_true", help="exit 1 where the committed schema is out of date")
    mode.add_argument("--write", action="store_true", help="write it anew")
    write = parser.parse_args(arguments).write
    path = Path(__file__).resolve().parents[2] / "schemas" / SCHEMA_NAME
    text = json.dumps(plan_schema(), indent=2, ensure_ascii=False) + "\n"
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return 0
    if not write:
        sys.stderr.write(f"{path.name} is not what the models give\n")
        return 1
    path.write_text(text, encoding="utf-8")
    sys.stderr.write(f"wrote {path.name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
