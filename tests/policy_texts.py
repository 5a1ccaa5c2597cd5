"""Texts of policy documents for tests, and loading them from bytes."""

from __future__ import annotations

import io

from gthulhu_reconcile.loading.policies import Loaded, load
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.planning.options import LimitsByNamespace, Protection


def scheduling_policy(
    *, name: str = "web", selector: str = "{matchLabels: {app: web}}", schedule: str = "{priority: 1}", more: str = ""
) -> str:
    """A SchedulingPolicy; ``more`` is further lines of its spec."""
    return (
        "apiVersion: policy.gthulhu.io/v1\n"
        "kind: SchedulingPolicy\n"
        f"metadata: {{name: {name}}}\n"
        "spec:\n"
        f"  selector: {selector}\n"
        f"  schedule: {schedule}\n"
        f"{more}"
    )


def node_policy(*, selector: str = "{units: [a.service]}", schedule: str = "{priority: 1}") -> str:
    """A NodeSchedulingPolicy."""
    return scheduling_policy(selector=selector, schedule=schedule).replace("SchedulingPolicy", "NodeSchedulingPolicy")


def load_text(
    text: str | bytes, *, limits: LimitsByNamespace | None = None, protected: Protection | None = None
) -> Loaded:
    """Load policies as from standard input."""
    data = text.encode() if isinstance(text, str) else text
    return load(["-"], stdin=io.BytesIO(data), limits=limits, protected=protected)


def only_policy(text: str) -> Policy:
    """Load one policy that has to be right."""
    loaded = load_text(text)
    assert [finding.message for finding in loaded.errors] == []
    (policy,) = loaded.policies
    return policy
