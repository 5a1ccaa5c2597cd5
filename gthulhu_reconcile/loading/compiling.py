"""From a policy document that has no mistakes to the policy that the planner reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from pydantic import TypeAdapter

from gthulhu_reconcile.loading import durations
from gthulhu_reconcile.loading.judging import instant
from gthulhu_reconcile.model.documents import (
    Active,
    Expression,
    HostSelector,
    Nodes,
    NodeSchedulingPolicyDocument,
    PodSelector,
    PolicyDocument,
    PresenceExpression,
    ScheduleSpec,
    SchedulingPolicyDocument,
    Suspend,
)
from gthulhu_reconcile.model.policy import (
    NodeTerms,
    Operator,
    Policy,
    PolicyKind,
    Requirement,
    Selector,
    Suspension,
    Window,
)
from gthulhu_wire.intents import CommandOn, OnDelete, PolicyRef, Schedule

_SECOND = 1_000_000_000
_ADAPTER: TypeAdapter[SchedulingPolicyDocument | NodeSchedulingPolicyDocument] = TypeAdapter(PolicyDocument)


def read_model(value: object) -> SchedulingPolicyDocument | NodeSchedulingPolicyDocument:
    """The model of a document.

    Raises:
        pydantic.ValidationError: exactly where the schema refuses it too.
    """
    return _ADAPTER.validate_python(value)


def compile_policy(
    document: SchedulingPolicyDocument | NodeSchedulingPolicyDocument, *, source: str, line: int
) -> Policy:
    """The policy of a document in which ``judging`` found nothing wrong."""
    spec = document.spec
    kind, selector = _selector(document)
    return Policy(
        kind=kind,
        ref=PolicyRef(document.metadata.namespace, document.metadata.name, source),
        line=line,
        precedence=spec.precedence or 0,
        selector=selector,
        schedule=_schedule(spec.schedule),
        on_delete=spec.on_delete or OnDelete.REVERT,
        window=_window(spec.schedule.active),
        suspension=_suspension(spec.suspend),
    )


def _selector(document: SchedulingPolicyDocument | NodeSchedulingPolicyDocument) -> tuple[PolicyKind, Selector]:
    match document:
        case SchedulingPolicyDocument():
            return PolicyKind.SCHEDULING, _pod_selector(document.spec.selector)
        case NodeSchedulingPolicyDocument():
            return PolicyKind.NODE, _host_selector(document.spec.selector)
        case _:
            assert_never(document)


def _pod_selector(selector: PodSelector) -> Selector:
    return Selector(
        namespaces=selector.namespaces or (),
        labels=_requirements(selector.match_labels, selector.match_expressions),
        nodes=_nodes(selector.nodes),
        containers=selector.containers or (),
        command=selector.command,
        command_on=selector.command_on or CommandOn.COMM,
        everything=selector.everything or False,
    )


def _host_selector(selector: HostSelector) -> Selector:
    return Selector(
        nodes=_nodes(selector.nodes),
        units=selector.units or (),
        cgroups=selector.cgroups or (),
        command=selector.command,
        command_on=selector.command_on or CommandOn.COMM,
        everything=selector.everything or False,
    )


def _nodes(nodes: Nodes | None) -> NodeTerms:
    if nodes is None:
        return NodeTerms()
    return NodeTerms(nodes.names or (), _requirements(nodes.match_labels, nodes.match_expressions))


def _requirements(
    labels: Mapping[str, str] | None, expressions: tuple[Expression, ...] | None
) -> tuple[Requirement, ...]:
    # Sorted, so that the order in which a selector is written changes no policy and no digest.
    terms = [Requirement(key, Operator.IN, (value,)) for key, value in (labels or {}).items()]
    for expression in expressions or ():
        values = () if isinstance(expression, PresenceExpression) else tuple(sorted(set(expression.values)))
        terms.append(Requirement(expression.key, Operator(expression.operator), values))
    return tuple(sorted(set(terms), key=lambda term: (term.key, term.operator, term.values)))


def _schedule(schedule: ScheduleSpec) -> Schedule:
    slice_ns = schedule.__dict__["execution_time"]  # read as an attribute, a deprecated field warns its reader
    if schedule.time_slice is not None:
        slice_ns = durations.parse(schedule.time_slice)
    return Schedule(priority=schedule.priority or 0, time_slice_ns=slice_ns, preempt=schedule.preempt or False)


def _window(active: Active | None) -> Window | None:
    if active is None:
        return None
    return Window(
        cron=" ".join(active.cron.split()),
        duration_seconds=durations.parse(active.duration) // _SECOND,
        time_zone=active.time_zone,
    )


def _suspension(suspend: Suspend | None) -> Suspension | None:
    if suspend is None:
        return None
    return Suspension(suspend.reason, None if suspend.until is None else instant(suspend.until))
