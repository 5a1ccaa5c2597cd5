"""What clients sent, exactly as it came: digests and answers are over these values, not over their meaning."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_wire.dialects import Dialect
from gthulhu_wire.intents import CommandOn

Labels = tuple[tuple[str, str], ...]
"""Keys with their values, sorted or as received."""
OWNER = "legacy"
"""Who owns a node whose set came through the Decision Maker's or the BSS API."""


@dataclass(frozen=True, slots=True)
class ReceivedIntent:
    """An intent of ``POST /api/v1/intents``; what was absent is empty or 0, as Go decodes it.

    Attributes:
        pod_id: the pod's uid.
        priority: on the scale of the dialect it came in.
        execution_time: nanoseconds; a negative one is kept and means none.
        labels: of the pod, sorted by key.
        command_on: what the pattern is matched against, where a client of ours says so; upstream's is the comm.
    """

    pod_name: str = ""
    pod_id: str = ""
    node_id: str = ""
    namespace: str = ""
    command_regex: str = ""
    priority: int = 0
    execution_time: int = 0
    labels: Labels = ()
    command_on: CommandOn = CommandOn.COMM


@dataclass(frozen=True, slots=True)
class ReceivedNodeIntent:
    """An intent of ``POST /api/v1/node-intents``."""

    policy_id: str = ""
    node_id: str = ""
    command_regex: str = ""
    priority: int = 0
    execution_time: int = 0
    command_on: CommandOn = CommandOn.COMM


@dataclass(frozen=True, slots=True)
class ReceivedStrategy:
    """A strategy of the older BSS API. Without selectors it names one process, which no intent can express.

    Attributes:
        selectors: labels that a pod has to have, all of them.
        execution_time: nanoseconds.
    """

    priority: bool = False
    execution_time: int = 0
    pid: int = 0
    selectors: Labels = ()
    command_regex: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """Everything that the owner :data:`OWNER` has sent this node, each part replaced as a whole by its own call."""

    intents: tuple[ReceivedIntent, ...] = ()
    node_intents: tuple[ReceivedNodeIntent, ...] = ()
    strategies: tuple[ReceivedStrategy, ...] = ()
    dialect: Dialect = Dialect.KERNEL
    """Of ``intents``; strategies have Dialect.BOOL."""
    node_dialect: Dialect = Dialect.KERNEL
    """Of ``node_intents``: another listener may have taken them."""
    node_intents_sent: bool = False
    """Whether node intents were ever sent or deleted: until then their Merkle root is empty, as upstream's is."""
