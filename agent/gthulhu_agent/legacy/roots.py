"""Merkle roots over what was received, as the Manager computes its own."""

from __future__ import annotations

from gthulhu_agent.legacy.received import Received
from gthulhu_wire.merkle import node_leaf, pod_leaf, root


def pod_root(received: Received) -> str:
    """Of the intents, in hex."""
    return root(
        pod_leaf(
            pod_name=one.pod_name,
            pod_id=one.pod_id,
            node_id=one.node_id,
            namespace=one.namespace,
            command_regex=one.command_regex,
            priority=one.priority,
            execution_time=one.execution_time,
            labels=one.labels,
        )
        for one in received.intents
    )


def node_root(received: Received) -> str:
    """Of the node intents, in hex. Upstream's is empty until some were sent or deleted, and its Manager sends then."""
    if not received.node_intents_sent:
        return ""
    return root(
        node_leaf(
            policy_id=one.policy_id,
            node_id=one.node_id,
            command_regex=one.command_regex,
            priority=one.priority,
            execution_time=one.execution_time,
        )
        for one in received.node_intents
    )
