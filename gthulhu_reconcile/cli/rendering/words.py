"""The values of the model in words, one place for all renderers."""

from __future__ import annotations

from datetime import UTC, datetime

from gthulhu_reconcile.model.plan import Action, Guard, Reason, Verdict
from gthulhu_wire.intents import PodRef, PolicyRef

DEFAULT_NAMESPACE = "default"
SHORT_ID = 12

REASONS: dict[Reason, str] = {
    Reason.NEW_MATCH: "newly selected",
    Reason.TERMS_CHANGED: "the policy asks for something else",
    Reason.RANK_CHANGED: "its place among the pod's policies changed",
    Reason.CONTAINERS_CHANGED: "the pod's containers changed",
    Reason.WINDOW_CHANGED: "its time window ends at another instant",
    Reason.MOVED: "the policy is written in another file; nothing changes in the kernel",
    Reason.POLICY_REMOVED: "the policy is gone",
    Reason.POLICY_INACTIVE: "outside of the policy's time window",
    Reason.POLICY_SUSPENDED: "the policy is suspended",
    Reason.NOT_ALLOWED: "the settings no longer allow it (protected target, or a namespace's limit)",
    Reason.NO_LONGER_SELECTED: "the policy no longer selects it",
    Reason.SHADOWED: "a stronger policy takes all its threads",
    Reason.POD_GONE: "the pod is gone",
    Reason.ORPHANED: "the policy is gone and leaves its threads as they are (onDelete: orphan)",
}

ACTIONS: dict[Action, str] = {
    Action.ADD: "add",
    Action.UPDATE: "update",
    Action.DELETE: "delete (threads go back to the kernel's defaults or to the next policy)",
    Action.FORGET: "forget (the pod is gone, or its policy leaves its threads as they are)",
}

VERDICTS: dict[Verdict, str] = {
    Verdict.WINS: "wins",
    Verdict.OTHER_KIND: "is for nodes, not pods",
    Verdict.NAMESPACE: "selects other namespaces",
    Verdict.LABELS: "selects other labels",
    Verdict.NODE: "selects other nodes",
    Verdict.CONTAINERS: "names containers that the pod does not have, or not yet",
    Verdict.PROTECTED: "the target is protected and the settings do not release it",
    Verdict.NAMESPACE_LIMIT: "is over the namespace's limit",
    Verdict.INACTIVE: "is outside of its time window",
    Verdict.SUSPENDED: "is suspended",
    Verdict.SHADOWED: "a stronger policy takes all its threads",
    Verdict.NOT_PLANNED: "the pod has finished, or has no node yet",
}

GUARDS: dict[Guard, str] = {
    Guard.UNREADABLE_INPUT: "some input could not be read",
    Guard.MASS_CHANGE: "it changes or deletes unusually much",
    Guard.EMPTY_DESIRED: "it leaves nothing of what is managed",
}

# What a terminal would obey instead of show: C0 and C1 controls, and the marks that reorder text.
_CONTROLS = {code: 0x2400 + code for code in range(0x20)} | {0x7F: 0x2421}
_CONTROLS |= dict.fromkeys(range(0x80, 0xA0), 0xFFFD)
_CONTROLS |= dict.fromkeys((0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD)
_CONTROLS |= dict.fromkeys((0x2028, 0x2029), 0x2424)
_CONTROLS[0x09] = 0x20


def visible(text: str) -> str:
    """``text`` from a file, an agent or a pod, so that no terminal obeys it; as many characters as before."""
    return text if text.isprintable() else text.translate(_CONTROLS)


def policy_name(policy: PolicyRef) -> str:
    """``namespace/name``; the namespace ``default`` goes without saying."""
    return _qualified(policy.namespace, policy.name)


def pod_name(pod: PodRef) -> str:
    """``namespace/name``, as ``explain pod`` takes it."""
    return visible(f"{pod.namespace}/{pod.name}")


def place(source: str, line: int) -> str:
    """``policies/web.yaml:3``, what editors and terminals follow."""
    if not source:
        return ""
    return visible(f"{source}:{line}" if line else source)


def duration(nanoseconds: int) -> str:
    """A time slice in the largest unit that needs no more than three decimals.

    Example:
        >>> duration(5_000_000), duration(1_500_000), duration(100_000)
        ('5ms', '1.5ms', '100us')
    """
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)):
        if nanoseconds >= size and nanoseconds * 1000 % size == 0:
            return f"{nanoseconds / size:.3f}".rstrip("0").rstrip(".") + unit
    return f"{nanoseconds}ns"


def instant(seconds: int) -> str:
    """Unix seconds as RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def count(number: int, one: str, many: str = "") -> str:
    """``1 node``, ``2 nodes``."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def short_id(container: str) -> str:
    """A container's id as ``crictl`` and ``docker`` show it."""
    return visible(container[:SHORT_ID])


def _qualified(namespace: str, name: str) -> str:
    return visible(name if namespace in ("", DEFAULT_NAMESPACE) else f"{namespace}/{name}")
