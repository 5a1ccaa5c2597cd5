"""Which policy comes first, by one total order that does not depend on the order of input.

Rank: higher precedence; then the more specific, by command, containers (for node policies units and cgroups), number
of label terms, namespace (exact, glob, absent), number of node terms, in this order; then namespace and name of the
policy, ascending.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from gthulhu_reconcile.model.policy import Policy
from gthulhu_wire.globs import matches


class NamespaceTerm(IntEnum):
    """How a selector says the namespace of a pod, the more specific the greater."""

    ABSENT = 0
    GLOB = 1
    EXACT = 2


class Weight(NamedTuple):
    """What makes a policy stronger than another, most decisive first; numbers are negative: the lower, the stronger."""

    precedence: int
    command: int
    threads: int
    labels: int
    namespace: int
    nodes: int


class RankKey(NamedTuple):
    """Sorts strongest first. The name, namespace and name, orders what nothing else does."""

    weight: Weight
    name: tuple[str, str]


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
    weight = Weight(
        precedence=-policy.precedence,
        command=-(selector.command is not None),
        threads=-bool(selector.containers or selector.units or selector.cgroups),
        labels=-len(selector.labels),
        namespace=-namespace,
        nodes=-(len(selector.nodes.labels) + bool(selector.nodes.names)),
    )
    return RankKey(weight, (policy.ref.namespace, policy.ref.name))


def why_below(weaker: RankKey, stronger: RankKey) -> str:
    """The first thing that puts ``weaker`` below ``stronger``, as in "fewer label terms (1, not 2)"."""
    if weaker.weight == stronger.weight:
        return "only its name comes later"
    pairs = zip(Weight._fields, weaker.weight, stronger.weight, strict=True)
    field, said, more = next((field, -mine, -theirs) for field, mine, theirs in pairs if mine != theirs)
    return {
        "precedence": f"lower precedence ({said}, not {more})",
        "command": "names no command",
        "threads": "names no containers, units or cgroups",
        "labels": f"fewer label terms ({said}, not {more})",
        "namespace": "less exact about the namespace",
        "nodes": f"fewer node terms ({said}, not {more})",
    }[field]
