"""What became of a push, node by node, as values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """What became of one node. A closed list, documented in docs/apply.md."""

    ACKNOWLEDGED = "acknowledged"
    """The agent took the set and read its generation and digest back to us."""
    ALREADY = "already"
    """The agent held the very set before its body was sent: an earlier push whose answer was lost."""
    STALE = "stale"
    """What the agent holds is not what the plan was made from; plan again."""
    FOREIGN = "foreign"
    """Another owner holds the node."""
    REFUSED = "refused"
    """The agent said no for another reason: no secret, a set that it does not take, no room to store it."""
    FAULTY = "faulty"
    """The agent said what no agent says."""
    UNREACHABLE = "unreachable"
    """The agent did not answer in time, or there is none. It may have taken the set: the next pass reads that."""

    @property
    def good(self) -> bool:
        """Whether the node holds what it shall."""
        return self in (Outcome.ACKNOWLEDGED, Outcome.ALREADY)


class PushStatus(StrEnum):
    """How a push ended as a whole."""

    SUCCESS = "success"
    PARTIAL = "partial"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class NodeOutcome:
    """One node's outcome.

    Attributes:
        generation, digest: what the agent acknowledged; 0 and empty where it did not.
        reason: why it failed, in one sentence with the cure; empty where it did not.
        tries: calls of the node, retries included.
        seconds: how long the node took, retries and pauses included.
    """

    node: str
    outcome: Outcome
    generation: int = 0
    digest: str = ""
    reason: str = ""
    tries: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class PushResult:
    """Outcomes of all nodes that were to be told something, sorted by node."""

    nodes: tuple[NodeOutcome, ...] = ()

    @property
    def failed(self) -> tuple[NodeOutcome, ...]:
        """Nodes that do not hold what they shall, as far as we know."""
        return tuple(node for node in self.nodes if not node.outcome.good)

    @property
    def status(self) -> PushStatus:
        """``success`` where no node failed (also where none had to be told anything), ``error`` where all did."""
        failed = len(self.failed)
        if not failed:
            return PushStatus.SUCCESS
        return PushStatus.ERROR if failed == len(self.nodes) else PushStatus.PARTIAL
