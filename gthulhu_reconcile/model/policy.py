"""Policies as the planner reads them: validated, with units resolved, free of YAML and of time.

Built by ``loading.compiling`` from :mod:`gthulhu_reconcile.model.documents`; nothing else makes them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from gthulhu_wire.intents import CommandOn, OnDelete, PolicyRef, Schedule


class PolicyKind(StrEnum):
    """``kind`` of a policy document."""

    SCHEDULING = "SchedulingPolicy"
    NODE = "NodeSchedulingPolicy"


class Operator(StrEnum):
    """Operators of ``matchExpressions``, with Kubernetes' semantics (labels.Requirement.Matches).

    ``NotIn`` and ``DoesNotExist`` also match where the key is absent; ``Gt`` and ``Lt`` belong to node affinity
    and are not label selector operators.
    """

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a label selector. ``matchLabels`` entries are ``In`` with one value."""

    key: str
    operator: Operator
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeTerms:
    """``selector.nodes``: names (exact or glob, any of them) AND labels. Empty takes every node."""

    names: tuple[str, ...] = ()
    labels: tuple[Requirement, ...] = ()


@dataclass(frozen=True, slots=True)
class Selector:
    """Which workloads. All given parts must hold; ``namespaces`` and names are any-of.

    ``everything`` is the YAML's ``all: true``: the only way to say nothing else.
    """

    namespaces: tuple[str, ...] = ()
    labels: tuple[Requirement, ...] = ()
    nodes: NodeTerms = field(default_factory=NodeTerms)
    containers: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    command: str | None = None
    command_on: CommandOn = CommandOn.COMM
    everything: bool = False


@dataclass(frozen=True, slots=True)
class Window:
    """``schedule.active``: begins at each cron instant of the zone and lasts ``duration_seconds``."""

    cron: str
    duration_seconds: int
    time_zone: str


@dataclass(frozen=True, slots=True)
class Suspension:
    """``spec.suspend``; ``until`` in Unix seconds, None is until further notice."""

    reason: str
    until: int | None = None


@dataclass(frozen=True, slots=True)
class Policy:
    """One desired rule.

    ``ref.source`` is the file as shown to people; ``line`` where its document begins, 1-based.
    """

    kind: PolicyKind
    ref: PolicyRef
    line: int
    precedence: int
    selector: Selector
    schedule: Schedule
    on_delete: OnDelete = OnDelete.REVERT
    window: Window | None = None
    suspension: Suspension | None = None


class Standing(StrEnum):
    """Whether a policy may win at the planned instant."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    """Outside of its time window."""
    SUSPENDED = "suspended"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy at one instant: what ``loading.windows`` makes of it before planning.

    ``ends_at`` is the end of the running window in Unix seconds, which the intent carries so that the agent
    ends it without us.
    """

    policy: Policy
    standing: Standing = Standing.ACTIVE
    ends_at: int | None = None
