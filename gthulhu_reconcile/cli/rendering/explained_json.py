"""Explanations for machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from gthulhu_reconcile.cli.rendering.nodes import NodeStatus
from gthulhu_reconcile.model.plan import Explanation


def as_json(explanations: Sequence[Explanation], states: Mapping[str, NodeStatus]) -> dict[str, object]:
    """The machine form; keys are only added to."""
    return {"formatVersion": "1.0", "pods": [_pod_json(each, states.get(each.node)) for each in explanations]}


def _pod_json(explained: Explanation, status: NodeStatus | None) -> dict[str, object]:
    pod = explained.pod
    held = [] if status is None else [each for each in status.intents if each.pod is not None and each.pod == pod]
    return {
        "pod": None if pod is None else asdict(pod),
        "node": explained.node,
        "policies": [
            {
                "verdict": each.verdict.value,
                "detail": each.detail,
                "rank": each.rank,
                "precedence": each.policy.precedence,
                "namespace": each.policy.ref.namespace,
                "name": each.policy.ref.name,
                "source": each.policy.ref.source,
                "line": each.policy.line,
            }
            for each in explained.considered
        ],
        "agent": [
            {
                "policy": {"namespace": each.policy.namespace, "name": each.policy.name},
                "rank": each.rank,
                "acceptedSince": each.accepted_since,
                "enforcedSince": each.enforced_since,
                "threads": each.threads,
                "processes": each.processes,
                "effective": dict(each.effective),
                "weight": each.weight,
                "nice": each.nice,
                "refused": list(each.refused),
                "expired": each.expired,
            }
            for each in held
        ],
    }
