"""Which policy comes first, by one total order that does not depend on the order of input.

Rank: higher precedence; then the more specific, by command, containers (for node policies units and cgroups), number
of label terms, namespace (exact, glob, absent), number of node terms, in this order; then namespace and name of the
policy, ascending.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from gthulhu_reconcile.model.policy import Policy, Selector
from gthulhu_wire.globs import matches


class NamespaceTerm(IntEnum):
    """How a selector says the namespace of a pod, the more specific the greater."""

    ABSENT = 0
    GLOB = 1
    EXACT = 2


class RankKey(NamedTuple):
    """Sorts strongest first, so the numbers are negative: the lower, the more is said."""

    precedence: int
    command: int
    threads: int
    labels: int
    namespace: int
    nodes: int
    policy_namespace: str
    policy_name: str


def namespace_term(namespaces: tuple[str, ...], namespace: str) -> NamespaceTerm | None:
    """How ``namespaces`` of a selector take ``namespace``; None where they do not."""
    if not namespaces:
        return NamespaceTerm.ABSENT
    if namespace in namespaces:
        return NamespaceTerm.EXACT
    return NamespaceTerm.GLOB if any(matches(pattern, namespace) for pattern in namespaces) else None


def rank_key(policy: Policy, namespace: NamespaceTerm) -> RankKey:
    """The sort key of ``policy`` where its selector takes the pod's namespace by ``namespace``."""
    selector = policy.selector
    return RankKey(
        precedence=-policy.precedence,
        command=-(selector.command is not None),
        threads=-_narrows(selector),
        labels=-len(selector.labels),
        namespace=-namespace,
        nodes=-(len(selector.nodes.labels) + bool(selector.nodes.names)),
        policy_namespace=policy.ref.namespace,
        policy_name=policy.ref.name,
    )


def tied(one: RankKey, other: RankKey) -> bool:
    """Whether nothing but the names of the policies orders the two."""
    return (
        one.precedence == other.precedence
        and one.labels == other.labels
        and one.namespace == other.namespace
        and one.command == other.command
        and one.threads == other.threads
        and one.nodes == other.nodes
    )


def why_below(weaker: RankKey, stronger: RankKey) -> str:
    """The first thing that puts ``weaker`` below ``stronger``, as in "fewer label terms (1, not 2)"."""
    if tied(weaker, stronger):
        return "only its name comes later"
    field = next(name for name in RankKey._fields if getattr(weaker, name) != getattr(stronger, name))
    said, more = -getattr(weaker, field), -getattr(stronger, field)
    return {
        "precedence": f"lower precedence ({said}, not {more})",
        "command": "names no command",
        "threads": "names no containers, units or cgroups",
        "labels": f"fewer label terms ({said}, not {more})",
        "namespace": "less exact about the namespace",
        "nodes": f"fewer node terms ({said}, not {more})",
    }[field]


def _narrows(selector: Selector) -> bool:
    return bool(selector.containers or selector.units or selector.cgroups)
