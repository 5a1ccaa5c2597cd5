"""What the operator's settings do not let a policy do, whatever it selects."""

from __future__ import annotations

from gthulhu_reconcile.model.plan import Verdict
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.planning.options import Options, Protection, limits_of
from gthulhu_wire.globs import is_glob

Refusal = tuple[Verdict, str]
"""Which setting stands in the way, and what it says."""


def refused_for_pods(policy: Policy, namespace: str, options: Options) -> Refusal | None:
    """Why the settings keep ``policy`` from the pods of ``namespace``, if they do."""
    if options.protection.bars_namespace(namespace, policy.selector.namespaces):
        if namespace in options.protection.released:
            return (Verdict.PROTECTED, f"namespace {namespace} is protected and the policy does not name it exactly")
        return (Verdict.PROTECTED, f"namespace {namespace} is protected and the settings do not release it")
    return _beyond_limits(policy, namespace, options)


def refused_for_nodes(policy: Policy, options: Options) -> Refusal | None:
    """Why the settings leave a node policy nothing to do, if they do.

    A node has no namespace, so the limits are those of the namespace that owns the policy.
    """
    if _only_protected_units(policy, options.protection):
        return (Verdict.PROTECTED, f"{', '.join(policy.selector.units)}: protected and not released by the settings")
    return _beyond_limits(policy, policy.ref.namespace, options)


def _beyond_limits(policy: Policy, namespace: str, options: Options) -> Refusal | None:
    limits = limits_of(options.limits, namespace)
    problem = "" if limits is None else limits.breach(policy.schedule)
    return (Verdict.NAMESPACE_LIMIT, f"{problem} in namespace {namespace}") if problem else None


def _only_protected_units(policy: Policy, protection: Protection) -> bool:
    units = policy.selector.units
    released = protection.released_units(units)
    return bool(units) and not any(
        is_glob(unit) or unit in released or not protection.protects_unit(unit) for unit in units
    )
