"""The plan: the difference between what is wanted and what agents have accepted, as a frozen value.

Text, JSON, JUnit, metrics and execution are renderers of it. ``schemas/plan-v1.json`` is its public form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gthulhu_reconcile.model.accepted import Accepted, Unreachable
from gthulhu_reconcile.model.policy import Policy
from gthulhu_wire.intents import Intent, PodRef, PolicyRef

FORMAT_VERSION = "1.0"


class Action(StrEnum):
    """What happens to one intent on one node."""

    ADD = "add"
    UPDATE = "update"
    DELETE = "delete"
    FORGET = "forget"
    """The pod is not observed any more, or the policy says ``onDelete: orphan``: nothing is there to be put back."""


class Reason(StrEnum):
    """Why an intent changes. A closed list, documented in docs/plan.md."""

    NEW_MATCH = "new-match"
    TERMS_CHANGED = "terms-changed"
    RANK_CHANGED = "rank-changed"
    CONTAINERS_CHANGED = "containers-changed"
    WINDOW_CHANGED = "window-changed"
    """Only the instant at which it ends."""
    MOVED = "moved"
    """Only the file that the policy is written in, or the name by which a pod of that uid is known.

    Nothing changes in the kernel, and no guard counts it.
    """
    POLICY_REMOVED = "policy-removed"
    POLICY_INACTIVE = "policy-inactive"
    POLICY_SUSPENDED = "policy-suspended"
    NO_LONGER_SELECTED = "no-longer-selected"
    NOT_ALLOWED = "not-allowed"
    """The settings forbid it now: protection, or the limits of the namespace."""
    SHADOWED = "shadowed"
    POD_GONE = "pod-gone"
    ORPHANED = "orphaned"


class Verdict(StrEnum):
    """What became of a policy for one pod or node. A closed list, documented in docs/plan.md."""

    WINS = "wins"
    """Sent to the agent; by rank, the first whose containers and command fit takes a thread."""
    OTHER_KIND = "other-kind"
    NAMESPACE = "namespace"
    LABELS = "labels"
    NODE = "node"
    CONTAINERS = "containers"
    """The pod has no container of these names, or it has not been created yet."""
    PROTECTED = "protected"
    NAMESPACE_LIMIT = "namespace-limit"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"
    SHADOWED = "shadowed"
    """A stronger policy takes every thread that this one could."""
    NOT_PLANNED = "not-planned"
    """The pod has finished, or has no node yet."""


class Guard(StrEnum):
    """What holds a plan. A closed list, documented in docs/plan.md."""

    UNREADABLE_INPUT = "unreadable-input"
    """Cannot be approved: what was not read is not known."""
    MASS_CHANGE = "mass-change"
    """More of the running pods (or of the nodes) are updated or deleted than the settings let pass unseen."""
    EMPTY_DESIRED = "empty-desired"
    """Nothing is wanted any more of what is managed, or no pod at all was observed."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Why the plan may not be executed as it is."""

    guard: Guard
    message: str


@dataclass(frozen=True, slots=True)
class Change:
    """One intent on one node.

    ``line`` is where the policy's document begins, 0 where the policy is gone.
    """

    action: Action
    node: str
    pod: PodRef | None
    policy: PolicyRef
    line: int
    before: Intent | None
    after: Intent | None
    reason: Reason


@dataclass(frozen=True, slots=True)
class Summary:
    """Counts of intents by what happens to them; ``pods`` were observed and ``matched`` have an intent."""

    add: int = 0
    update: int = 0
    delete: int = 0
    forget: int = 0
    unchanged: int = 0
    pods: int = 0
    matched: int = 0

    @property
    def changes(self) -> int:
        """Intents that are not as wanted."""
        return self.add + self.update + self.delete + self.forget


@dataclass(frozen=True, slots=True)
class Tie:
    """Two policies that nothing but their names orders, and the first of the pods where they meet.

    ``count`` is of all such pods. Node policies meet on nodes: they have no pods, and ``count`` is of nodes.
    """

    winner: PolicyRef
    loser: PolicyRef
    pods: tuple[PodRef, ...]
    count: int


@dataclass(frozen=True)
class Plan:
    """What has to be done, and what it was worked out from.

    Attributes:
        id: first 12 hex digits of a digest over ``bases``, ``digests`` and the hold; what ``--approve`` takes.
        changes: sorted by node, then in wire order of the intent.
        bases: per planned node, what its agent held; a push to a node that no longer holds it is refused.
        desired: per planned node, the whole set in wire order; execution sends this and nothing else.
        digests: per planned node, the digest of ``desired``.
        unreachable: nodes that were left out because their agent did not answer, or they have none.
        adopted: planned nodes that another owner holds and that this plan takes over, sorted.
    """

    id: str
    summary: Summary
    changes: tuple[Change, ...]
    bases: Mapping[str, Accepted]
    desired: Mapping[str, tuple[Intent, ...]] = field(repr=False)
    digests: Mapping[str, str]
    unreachable: tuple[Unreachable, ...] = ()
    ties: tuple[Tie, ...] = ()
    held: Hold | None = None
    adopted: tuple[str, ...] = ()

    @property
    def changed_nodes(self) -> tuple[str, ...]:
        """Nodes whose agent has to be told something, if only who owns it now; sorted."""
        changed = {node for node, digest in self.digests.items() if digest != self.bases[node].digest}
        return tuple(sorted(changed.union(self.adopted)))


@dataclass(frozen=True, slots=True)
class Considered:
    """One policy's verdict in an explanation; ``detail`` names the term, the limit or the stronger policy."""

    policy: Policy
    verdict: Verdict
    detail: str = ""
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """Every policy's verdict for one pod, winners first by rank, then losers from strongest to weakest.

    ``pod`` is None where the node itself is explained.
    """

    pod: PodRef | None
    node: str
    considered: tuple[Considered, ...]
