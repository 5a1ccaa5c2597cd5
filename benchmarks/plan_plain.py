"""The straightforward planner: every policy tried against every pod. What the real one is compared with.

It shares no code with the planner but the values: the tests hold both to the same winners, and so does the benchmark.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf

from gthulhu_reconcile.model.pods import NO_LABELS, Node, Phase, Pod
from gthulhu_reconcile.model.policy import (
    Candidate,
    NodeTerms,
    Operator,
    Policy,
    PolicyKind,
    Requirement,
    Selector,
    Standing,
)
from gthulhu_reconcile.planning.options import Options
from gthulhu_wire.intents import Intent, Terms

_Found = tuple[tuple[object, ...], Candidate, tuple[str, ...] | None]
"""Sort key, policy, names of containers."""


def plain_pods(
    candidates: Iterable[Candidate], pods: Iterable[Pod], nodes: Mapping[str, Node], options: Options
) -> dict[str, tuple[Intent, ...]]:
    """By uid of each pod that some policy wins, its intents by rank."""
    active = [
        candidate
        for candidate in candidates
        if candidate.standing is Standing.ACTIVE and candidate.policy.kind is PolicyKind.SCHEDULING
    ]
    desired: dict[str, tuple[Intent, ...]] = {}
    for pod in pods:
        if not pod.node or pod.phase in (Phase.SUCCEEDED, Phase.FAILED):
            continue
        created = {container.name: container.id for container in pod.containers if container.id}
        found: list[_Found] = []
        for candidate in active:
            policy = candidate.policy
            if _selects(policy, pod, nodes, created, options):
                names = tuple(sorted(name for name in created if name in policy.selector.containers))
                found.append(
                    (_key(policy, pod.ref.namespace), candidate, names if policy.selector.containers else None)
                )
        if found:
            found.sort(key=lambda one: one[0])
            desired[pod.ref.uid] = tuple(
                Intent(
                    terms=_terms(candidate, options),
                    rank=rank,
                    pod=pod.ref,
                    containers=None if names is None else tuple(created[name] for name in names),
                )
                for rank, (candidate, names) in enumerate(_unshadowed(found))
            )
    return desired


def _selects(policy: Policy, pod: Pod, nodes: Mapping[str, Node], created: Mapping[str, str], options: Options) -> bool:
    selector, namespace = policy.selector, pod.ref.namespace
    if selector.namespaces and not any(_glob(pattern, namespace) for pattern in selector.namespaces):
        return False
    if not _meets(selector.labels, pod.labels) or not _on_node(selector.nodes, pod.node, nodes):
        return False
    if selector.containers and not any(name in created for name in selector.containers):
        return False
    return _allowed(selector, namespace, options) and _within(policy, namespace, options)


def _meets(requirements: Sequence[Requirement], labels: Mapping[str, str]) -> bool:
    for requirement in requirements:
        present, value = requirement.key in labels, labels.get(requirement.key)
        if requirement.operator is Operator.IN:
            met = present and value in requirement.values
        elif requirement.operator is Operator.NOT_IN:
            met = not present or value not in requirement.values
        else:
            met = present is (requirement.operator is Operator.EXISTS)
        if not met:
            return False
    return True


def _on_node(terms: NodeTerms, name: str, nodes: Mapping[str, Node]) -> bool:
    if terms.names and not any(_glob(pattern, name) for pattern in terms.names):
        return False
    if not terms.labels:
        return True
    return name in nodes and _meets(terms.labels, nodes[name].labels if name in nodes else NO_LABELS)


def _glob(pattern: str, text: str) -> bool:
    if "*" in pattern or "?" in pattern:
        return fnmatchcase(text, pattern.replace("[", "[[]"))
    return pattern == text


def _allowed(selector: Selector, namespace: str, options: Options) -> bool:
    protection = options.protection
    if not any(_glob(pattern, namespace) for pattern in protection.namespaces):
        return True
    return namespace in selector.namespaces and namespace in protection.released


def _within(policy: Policy, namespace: str, options: Options) -> bool:
    if not options.limits:
        return True
    exact = [limits for pattern, limits in options.limits if pattern == namespace]
    globbed = [limits for pattern, limits in options.limits if _glob(pattern, namespace)]
    chosen = exact or globbed
    if not chosen:
        return True
    limits, schedule = chosen[0], policy.schedule
    slice_ns = schedule.time_slice_ns
    return (
        _between(schedule.priority, limits.priority_min, limits.priority_max)
        and (limits.preempt or not schedule.preempt)
        and (slice_ns is None or _between(slice_ns, limits.time_slice_min_ns, limits.time_slice_max_ns))
    )


def _between(value: int, low: int | None, high: int | None) -> bool:
    return (low is None or value >= low) and (high is None or value <= high)


def _key(policy: Policy, namespace: str) -> tuple[object, ...]:
    selector = policy.selector
    how = 2 if namespace in selector.namespaces else 1 if selector.namespaces else 0
    return (
        -policy.precedence,
        selector.command is None,
        not selector.containers,
        -len(selector.labels),
        -how,
        -(len(selector.nodes.labels) + (1 if selector.nodes.names else 0)),
        policy.ref.namespace,
        policy.ref.name,
    )


def _unshadowed(found: Sequence[_Found]) -> list[tuple[Candidate, tuple[str, ...] | None]]:
    sent: list[tuple[Candidate, tuple[str, ...] | None]] = []
    for _, candidate, names in found:
        takers = [
            (upper, taken)
            for upper, taken in sent
            if upper.policy.selector.command is None and _end(upper) >= _end(candidate)
        ]
        if any(taken is None for _, taken in takers):
            continue
        covered = {name for _, taken in takers for name in taken or ()}
        if names is None or not covered.issuperset(names):
            sent.append((candidate, names))
    return sent


def _end(candidate: Candidate) -> float:
    return inf if candidate.ends_at is None else candidate.ends_at


def _terms(candidate: Candidate, options: Options) -> Terms:
    policy, selector = candidate.policy, candidate.policy.selector
    released = [unit for unit in set(selector.units) if unit in options.protection.released]
    return Terms(
        policy=policy.ref,
        schedule=policy.schedule,
        command=selector.command,
        command_on=selector.command_on,
        units=selector.units,
        cgroups=selector.cgroups,
        released=tuple(sorted(released)),
        on_delete=policy.on_delete,
        ends_at=candidate.ends_at,
    )
