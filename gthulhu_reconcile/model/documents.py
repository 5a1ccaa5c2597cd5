"""Policies as people write them: structure only, with the descriptions that editors show.

The schemas under ``schemas/`` are generated from these models, and a document is validated against the committed
schema before a model is built from it; so a model refuses nothing that its schema accepts, and the other way round.
What no schema can judge (patterns, cron lines, zones, units, limits) is judged by ``loading.compiling``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, Strict, StrictBool, model_validator
from pydantic.alias_generators import to_camel

from gthulhu_wire.intents import (
    PRIORITY_MAX,
    PRIORITY_MIN,
    TIME_SLICE_MAX_NS,
    TIME_SLICE_MIN_NS,
    CommandOn,
    OnDelete,
)

API_VERSION = "policy.gthulhu.io/v1"

_LABEL_NAME = "[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_DNS_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
MAX_LIST = 256
"""Entries of one list: what the wire carries."""


def _whole(value: object) -> object:
    # JSON Schema has one kind of number: 10.0 is an integer there, so it has to be one here.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _at_least_one(*alternatives: dict[str, JsonValue] | str, diagnostic: str = "missing-key") -> ConfigDict:
    """Schema of "one of these keys must be there"; ``diagnostic`` is the code under which its absence is told."""
    branches: list[JsonValue] = [
        {"required": [branch]} if isinstance(branch, str) else branch for branch in alternatives
    ]
    return ConfigDict(json_schema_extra={"anyOf": branches, "x-diagnostic": diagnostic})


_ALL_TRUE: dict[str, JsonValue] = {"properties": {"all": {"const": True}}, "required": ["all"]}


def _said(message: str) -> dict[str, object]:
    """What editors, and ``validate``, say in place of the regular expression that did not match."""
    return {"patternErrorMessage": message}


_WHOLE = BeforeValidator(_whole)
Priority = Annotated[int, Strict(), Field(ge=PRIORITY_MIN, le=PRIORITY_MAX), _WHOLE]
Precedence = Annotated[int, Strict(), Field(ge=-1_000_000, le=1_000_000), _WHOLE]
Nanoseconds = Annotated[int, Strict(), Field(ge=TIME_SLICE_MIN_NS, le=TIME_SLICE_MAX_NS), _WHOLE]
Text = Annotated[str, Strict()]
Name = Annotated[
    Text,
    Field(
        max_length=253,
        pattern=rf"^{_DNS_LABEL}(\.{_DNS_LABEL})*$",
        json_schema_extra=_said("a name is lower-case letters, digits, '-' and '.', as Kubernetes' names are"),
    ),
]
Namespace = Annotated[
    Text,
    Field(
        pattern=rf"^{_DNS_LABEL}$",
        json_schema_extra=_said("a namespace is at most 63 lower-case letters, digits and '-'"),
    ),
]
NamespaceGlob = Annotated[
    Text,
    Field(
        max_length=63,
        pattern=r"^[a-z0-9*?-]+$",
        json_schema_extra=_said("lower-case letters, digits and '-', with '*' and '?' as wildcards"),
    ),
]
NodeGlob = Annotated[
    Text,
    Field(
        max_length=253,
        pattern=r"^[a-z0-9.*?-]+$",
        json_schema_extra=_said("lower-case letters, digits, '.' and '-', with '*' and '?' as wildcards"),
    ),
]
ContainerName = Annotated[
    Text,
    Field(
        pattern=rf"^{_DNS_LABEL}$",
        json_schema_extra=_said("a container's name is at most 63 lower-case letters, digits and '-'"),
    ),
]
UnitGlob = Annotated[
    Text,
    Field(
        max_length=255,
        pattern=r"^[A-Za-z0-9:_.\\@*?-]+\.(service|scope|slice|\*)$",
        json_schema_extra=_said("a unit's name ends in .service, .scope, .slice or .*; '*' and '?' are wildcards"),
    ),
]
CgroupGlob = Annotated[
    Text,
    Field(
        max_length=512,
        pattern=r"^/[!-~]*$",
        json_schema_extra=_said("a path from the root of the cgroup tree, beginning with '/', without blanks"),
    ),
]
LabelKey = Annotated[
    Text,
    Field(
        max_length=317,
        pattern=rf"^({_DNS_LABEL}(\.{_DNS_LABEL})*/)?{_LABEL_NAME}$",
        json_schema_extra=_said(
            "a label key is at most 63 letters, digits, '-', '_' and '.', beginning and ending with a letter or"
            " digit, after an optional domain and '/'"
        ),
    ),
]
LabelValue = Annotated[
    Text,
    Field(
        pattern=rf"^({_LABEL_NAME})?$",
        json_schema_extra=_said(
            "a label value is empty, or at most 63 letters, digits, '-', '_' and '.', beginning and ending with a"
            " letter or digit"
        ),
    ),
]
Duration = Annotated[
    Text,
    Field(
        max_length=64,
        pattern=r"^([0-9]+(\.[0-9]+)?(ns|us|ms|s|m|h|d))+$",
        json_schema_extra=_said("a duration is a number with a unit, as in 5ms, 100us, 10h or 1h30m"),
    ),
]
Instant = Annotated[
    Text,
    Field(
        max_length=40,
        pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})$",
        json_schema_extra=_said("an instant is written as in 2026-01-31T08:00:00Z or 2026-01-31T09:00:00+01:00"),
    ),
]


class Part(BaseModel):
    """Base of all parts of a document: closed, frozen, keys in camelCase, absent rather than null."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_null(cls, value: object) -> object:
        if isinstance(value, dict) and None in value.values():
            raise ValueError("a key without a value is left out, not null")
        return value


class Metadata(Part):
    """Who the policy is."""

    name: Name = Field(description="Name of the policy, unique within its namespace.")
    namespace: Namespace = Field(
        default="default",
        description="Namespace that owns the policy. It does not narrow what the policy selects.",
    )


class ValuesExpression(Part):
    """A term that compares a label with values."""

    key: LabelKey = Field(description="Label key.")
    operator: Literal["In", "NotIn"] = Field(
        description="In: the label has one of the values. NotIn: it has none of them, or is absent."
    )
    values: tuple[LabelValue, ...] = Field(min_length=1, max_length=MAX_LIST, description="Label values, any of.")


class PresenceExpression(Part):
    """A term that asks whether a label is there."""

    key: LabelKey = Field(description="Label key.")
    operator: Literal["Exists", "DoesNotExist"] = Field(
        description="Exists: the label is there, with any value. DoesNotExist: it is absent."
    )


Expression = Annotated[ValuesExpression | PresenceExpression, Field(discriminator="operator")]
MatchLabels = Annotated[dict[LabelKey, LabelValue], Field(min_length=1, max_length=MAX_LIST)]
MatchExpressions = Annotated[tuple[Expression, ...], Field(min_length=1, max_length=MAX_LIST)]


class Nodes(Part):
    """Which nodes; all given parts must hold."""

    model_config = _at_least_one("names", "matchLabels", "matchExpressions")

    names: tuple[NodeGlob, ...] | None = Field(
        default=None, min_length=1, max_length=MAX_LIST, description="Names of nodes, exact or glob, any of."
    )
    match_labels: MatchLabels | None = Field(default=None, description="Labels that the node must have, all of.")
    match_expressions: MatchExpressions | None = Field(
        default=None, description="Terms over the node's labels, all of, with Kubernetes' semantics."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("needs at least one of names, matchLabels, matchExpressions")
        return self


class _Commands(Part):
    nodes: Nodes | None = Field(default=None, description="Which nodes; absent takes every node.")
    command: Annotated[Text, Field(min_length=1, max_length=512)] | None = Field(
        default=None,
        description="RE2 pattern, unanchored; only threads whose command matches are taken. Absent takes all.",
    )
    command_on: CommandOn | None = Field(
        default=None,
        description="What the pattern is matched against: comm (the process's name in the kernel, 15 bytes; the"
        " default), thread (the name of each thread by itself), or argv0 (the first word of the command line).",
    )
    everything: StrictBool | None = Field(
        default=None,
        alias="all",
        description="true: select everything that is not protected. The only way to say an otherwise empty selector.",
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.everything and self.model_fields_set <= {"everything", "command_on"}:
            raise ValueError("selects nothing in particular, and does not say all: true")
        return self


class PodSelector(_Commands):
    """Which pods, and which of their threads; all given parts must hold."""

    model_config = _at_least_one(
        "namespaces",
        "matchLabels",
        "matchExpressions",
        "nodes",
        "containers",
        "command",
        _ALL_TRUE,
        diagnostic="empty-selector",
    )

    namespaces: tuple[NamespaceGlob, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_LIST,
        description="Namespaces of the pods, exact or glob, any of. Absent takes all but the protected ones.",
    )
    match_labels: MatchLabels | None = Field(default=None, description="Labels that the pod must have, all of.")
    match_expressions: MatchExpressions | None = Field(
        default=None, description="Terms over the pod's labels, all of, with Kubernetes' semantics."
    )
    containers: tuple[ContainerName, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_LIST,
        description="Names of containers, any of. Absent takes every container of the pod.",
    )


class HostSelector(_Commands):
    """Which processes of a node outside of its pods; all given parts must hold."""

    model_config = _at_least_one("nodes", "units", "cgroups", "command", _ALL_TRUE, diagnostic="empty-selector")

    units: tuple[UnitGlob, ...] | None = Field(
        default=None, min_length=1, max_length=MAX_LIST, description="systemd units, exact or glob, any of."
    )
    cgroups: tuple[CgroupGlob, ...] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_LIST,
        description="Paths of cgroups, exact or glob, any of; everything below a matching path belongs to it.",
    )


class Active(Part):
    """A window of time that comes again and again."""

    cron: Annotated[Text, Field(min_length=1, max_length=128)] = Field(
        description="When the window begins: a cron line of five fields (minute, hour, day of month, month, weekday)."
    )
    duration: Duration = Field(description="How long it lasts in elapsed time, as in 10h or 1h30m; at most 366d.")
    time_zone: Annotated[Text, Field(min_length=1, max_length=64)] = Field(
        default="UTC", description="IANA zone in which the cron line is read, as in Europe/Berlin. Absent is UTC."
    )


class ScheduleSpec(Part):
    """How the selected threads are to run. What is absent is the kernel's default."""

    model_config = _at_least_one("priority", "timeSlice", "preempt", "executionTime", diagnostic="empty-schedule")

    priority: Priority | None = Field(
        default=None,
        description="-20 to 20; 0 is normal and higher is stronger. A step is a factor of 1.25 in weight.",
    )
    time_slice: Duration | None = Field(
        default=None,
        description="How long a thread may run before another one has its turn: 100us to 100ms. Shorter is more"
        " responsive, longer has fewer context switches.",
    )
    preempt: StrictBool | None = Field(
        default=None, description="true: a waking thread takes the CPU at once, within the scheduler's budget."
    )
    execution_time: Nanoseconds | None = Field(
        default=None,
        deprecated=True,
        description="Former name of timeSlice, a number of nanoseconds.",
        json_schema_extra={"deprecationMessage": "write timeSlice with a unit, as in 20ms"},
    )
    active: Active | None = Field(
        default=None, description="When the policy holds; outside of it the next policy in rank applies."
    )

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.model_fields_set.isdisjoint({"priority", "time_slice", "preempt", "execution_time"}):
            raise ValueError("needs at least one of priority, timeSlice, preempt")
        return self


class Suspend(Part):
    """A policy that is switched off for a time."""

    reason: Annotated[Text, Field(min_length=1, max_length=256)] = Field(description="Why, for whoever comes next.")
    until: Instant | None = Field(
        default=None, description="Instant (RFC 3339) at which it holds again. Absent is until this key is removed."
    )


class _Spec(Part):
    precedence: Precedence | None = Field(
        default=None, description="Where several policies select a thread, the highest wins. Absent is 0."
    )
    schedule: ScheduleSpec = Field(description="How the selected threads are to run.")
    on_delete: OnDelete | None = Field(
        default=None,
        description="What becomes of the running threads when this document goes away: revert (the default) gives"
        " them back what they had, orphan leaves them as they are.",
    )
    suspend: Suspend | None = Field(default=None, description="Switches the policy off, with a reason.")


class SchedulingSpec(_Spec):
    """What is wanted of pods."""

    selector: PodSelector = Field(description="Which pods, and which of their threads.")


class NodeSchedulingSpec(_Spec):
    """What is wanted of a node's own processes."""

    selector: HostSelector = Field(description="Which nodes, and which of their processes.")


class _Document(Part):
    api_version: Literal["policy.gthulhu.io/v1"] = Field(description=f"Always {API_VERSION}.")
    metadata: Metadata = Field(description="Name of the policy, and the namespace that owns it.")


class SchedulingPolicyDocument(_Document):
    """How the threads of selected pods are scheduled."""

    kind: Literal["SchedulingPolicy"] = Field(description="SchedulingPolicy: a policy for pods.")
    spec: SchedulingSpec = Field(description="Which pods, and how they are to run.")


class NodeSchedulingPolicyDocument(_Document):
    """How processes of nodes outside of pods are scheduled: never those of pods, never kernel threads."""

    kind: Literal["NodeSchedulingPolicy"] = Field(
        description="NodeSchedulingPolicy: a policy for processes of a node outside of its pods."
    )
    spec: NodeSchedulingSpec = Field(description="Which processes of which nodes, and how they are to run.")


PolicyDocument = Annotated[SchedulingPolicyDocument | NodeSchedulingPolicyDocument, Field(discriminator="kind")]
