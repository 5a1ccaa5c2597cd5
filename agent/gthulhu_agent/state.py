"""What the agent holds and what stands in its way, as values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gthulhu_agent.legacy.received import Received
from gthulhu_wire.intents import EMPTY_DIGEST, DesiredSet, Intent


@dataclass(frozen=True, slots=True)
class Held:
    """The desired set that this node holds. A fresh agent holds generation 0 of nobody.

    Attributes:
        since: per intent, when it was first accepted as it is, in Unix seconds.
        received: what the intents were made from, where a Decision Maker's or the BSS API's clients sent it.
    """

    owner: str = ""
    token: int = 0
    generation: int = 0
    digest: str = EMPTY_DIGEST
    intents: tuple[Intent, ...] = ()
    since: tuple[int, ...] = ()
    received: Received | None = None

    def summary(self) -> dict[str, object]:
        """What an acknowledgement and a refusal tell of it."""
        return {
            "owner": self.owner,
            "token": self.token,
            "generation": self.generation,
            "digest": self.digest,
            "count": len(self.intents),
        }

    def followed_by(self, pushed: DesiredSet, digest: str, now: int, received: Received | None = None) -> Held:
        """What holds once ``pushed`` is accepted: an intent that stays as it is keeps its ``since``."""
        former = {intent.key: (intent, since) for intent, since in zip(self.intents, self.since, strict=True)}
        return Held(
            owner=pushed.owner,
            token=pushed.token,
            generation=pushed.generation,
            digest=digest,
            intents=pushed.intents,
            since=tuple(
                known[1] if (known := former.get(intent.key)) and known[0] == intent else now
                for intent in pushed.intents
            ),
            received=received,
        )


class ConditionKind(StrEnum):
    """What can stand in an agent's way. A closed list; docs/agent.md says of each what to do."""

    STARTING = "Starting"
    """The first pass has not ended yet."""
    STORE_DAMAGED = "StoreDamaged"
    """The newest stored set cannot be read; an older copy holds, or nothing is touched until a set is sent."""
    STORE_UNWRITABLE = "StoreUnwritable"
    """Sets cannot be written to disk: they are refused, and what holds stays enforced."""
    DISCOVERY_INCOMPLETE = "DiscoveryIncomplete"
    """Some groups or processes could not be read."""
    ENFORCEMENT_FAILED = "EnforcementFailed"
    """The last pass ended in an error; it is tried again."""
    ENFORCER_LIMITED = "EnforcerLimited"
    """The kernel or the agent's rights do not allow all that intents ask for."""
    ENFORCER_AILING = "EnforcerAiling"
    """The enforcer's own memory of what it has to restore is damaged or cannot be written, or it has a rival."""
    REVERTED = "Reverted"
    """``gthulhu-agent revert`` put everything back; sets are stored and not enforced until ``resume``."""
    SWITCHED_OFF = "SwitchedOff"
    """A Decision Maker's client set mode ``none``: sets are stored and not enforced until it sets ``gthulhu``."""
    EVENTS_UNAVAILABLE = "EventsUnavailable"
    """Nothing tells of new threads: they are looked for at the interval."""
    EVENTS_LIMITED = "EventsLimited"
    """New threads are told of in the second-best way."""
    SCHEDULER_MAP_FULL = "SchedulerMapFull"
    """More threads have strategies than Gthulhu's scheduler, which reads them here, has room for."""
    OPEN_ON_LOOPBACK = "OpenOnLoopback"
    """No secret is set: every user of this machine can steer it."""
    LOGIN_PROVES_NOTHING = "LoginProvesNothing"
    """Whoever knows the agent's public key gets a token of the Decision Maker's API."""
    TLS_ENDING = "CertificateEnding"
    """The agent's certificate ends soon, has ended, or has not begun."""
    TLS_STALE = "CertificateStale"
    """New files of the certificate, its key or the authorities do not hold; the former ones stay in force."""

    LABELS_UNKNOWN = "LabelsUnknown"
    """Strategies select by labels of pods that nobody has told; they reach the other pods alone."""

    @property
    def blocks_ready(self) -> bool:
        """Whether the agent is not ready while this stands."""
        return self not in _HARMLESS


_HARMLESS = frozenset(
    {
        ConditionKind.DISCOVERY_INCOMPLETE,  # short-lived processes vanish while they are read
        ConditionKind.ENFORCER_AILING,  # what it keeps from being enforced, it keeps intent by intent
        ConditionKind.ENFORCER_LIMITED,  # a lasting property of the machine, told per intent too
        ConditionKind.LABELS_UNKNOWN,
        ConditionKind.LOGIN_PROVES_NOTHING,
        ConditionKind.EVENTS_UNAVAILABLE,  # they are found all the same, later
        ConditionKind.EVENTS_LIMITED,
        ConditionKind.OPEN_ON_LOOPBACK,
        ConditionKind.SCHEDULER_MAP_FULL,  # a matter of the scheduler's; what this agent enforces has no such bound
        ConditionKind.TLS_ENDING,
        ConditionKind.TLS_STALE,
    }
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that stands in the way, since when (Unix seconds), and the cure."""

    kind: ConditionKind
    message: str
    cure: str
    since: int


class Conditions:
    """The conditions that stand now. Belongs to the event loop's thread."""

    def __init__(self) -> None:
        self._standing: dict[ConditionKind, Condition] = {}

    def raise_(self, kind: ConditionKind, message: str, *, cure: str = "", now: int) -> bool:
        """Let ``kind`` stand, from now on or still; whether it is new or says something new."""
        former = self._standing.get(kind)
        since = now if former is None else former.since
        self._standing[kind] = condition = Condition(kind, message, cure, since)
        return former != condition

    def clear(self, kind: ConditionKind) -> bool:
        """Let ``kind`` stand no longer; whether it did."""
        return self._standing.pop(kind, None) is not None

    def __contains__(self, kind: object) -> bool:
        return kind in self._standing

    def __iter__(self) -> Iterator[Condition]:
        return iter(sorted(self._standing.values(), key=lambda condition: condition.kind.value))

    @property
    def blocking(self) -> tuple[Condition, ...]:
        """Those for which the agent is not ready."""
        return tuple(condition for condition in self if condition.kind.blocks_ready)
