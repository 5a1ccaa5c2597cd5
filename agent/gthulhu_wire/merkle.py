"""Merkle roots as Gthulhu's Manager and Decision Maker compare them: over the values as received.

A leaf is SHA-256 over ``name=value`` fields joined by ``|``; a parent is SHA-256 over the raw digests of its two
children, and a node without a sibling is its own. The leaves are sorted by their values. Neither is one-to-one: ``|``
and ``=`` are not escaped, and a last leaf that is there twice can be invisible (fault W-23). So a root says to a
Manager what its own says, and nothing here decides by it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import NamedTuple

EMPTY_ROOT = hashlib.sha256(b"").hexdigest()
"""Of no leaf at all."""


class Leaf(NamedTuple):
    """One intent: where it sorts, and its SHA-256."""

    order: str
    digest: bytes


def pod_leaf(
    *,
    pod_name: str,
    pod_id: str,
    node_id: str,
    namespace: str,
    command_regex: str,
    priority: int,
    execution_time: int,
    labels: Iterable[tuple[str, str]],
) -> Leaf:
    """Leaf of an intent for a pod."""
    said = ",".join(sorted(f"{key}={value}" for key, value in labels))
    values = (pod_name, pod_id, node_id, namespace, command_regex, str(priority), str(execution_time), said)
    return _leaf(_POD_FIELDS, values)


def node_leaf(*, policy_id: str, node_id: str, command_regex: str, priority: int, execution_time: int) -> Leaf:
    """Leaf of an intent for a node, as the Decision Maker has it: the Manager's own names the node first (W-02)."""
    return _leaf(_NODE_FIELDS, (policy_id, node_id, command_regex, str(priority), str(execution_time)))


def root(leaves: Iterable[Leaf]) -> str:
    """The root in hex; SHA-256 of nothing where there is no leaf."""
    level = [leaf.digest for leaf in sorted(leaves, key=_order)]
    if not level:
        return EMPTY_ROOT
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [hashlib.sha256(level[at] + level[at + 1]).digest() for at in range(0, len(level), 2)]
    return level[0].hex()


_POD_FIELDS = ("podName", "podID", "nodeID", "k8sNamespace", "commandRegex", "priority", "executionTime", "podLabels")
_NODE_FIELDS = ("policyID", "nodeID", "commandRegex", "priority", "executionTime")


def _leaf(names: Sequence[str], values: Sequence[str]) -> Leaf:
    text = "|".join(f"{name}={value}" for name, value in zip(names, values, strict=True))
    return Leaf("|".join(values), hashlib.sha256(text.encode()).digest())


def _order(leaf: Leaf) -> str:
    return leaf.order  # code points sort as their UTF-8 does, which is what Go compares
