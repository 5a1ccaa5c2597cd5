"""What every enforcer can do, and how it says what it did."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_wire.intents import Schedule


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that was not taken, by the kernel as a rule.

    ``what`` is one of slice, weight, nice, pattern, priority, preempt; of what a Decision Maker's or the BSS API's
    clients said, also labels, namespace, node.
    """

    what: str
    why: str
    cure: str = ""


@dataclass(frozen=True, slots=True)
class IntentState:
    """What one intent has come to in the kernel, read back rather than assumed.

    Attributes:
        threads: threads that it holds now.
        processes: distinct processes among them.
        enforced: it holds threads, and every one of them that can be scheduled runs as told, as far as this enforcer
            can say it. Realtime, deadline and idle-policy threads are left out, and named in ``refused``.
        effective: the schedule as the kernel has it after clamping; None while it holds no thread.
        weight: the cgroup weight that it set, in cpu.weight units (1-10000); None where it set none.
        nice: the nice value that it set on threads; None where it set none.
        refused: what the kernel did not take, and why.
        sample: up to 16 of the threads.
    """

    threads: int = 0
    processes: int = 0
    enforced: bool = False
    effective: Schedule | None = None
    weight: int | None = None
    nice: int | None = None
    refused: tuple[Refused, ...] = ()
    sample: tuple[TaskId, ...] = ()


@dataclass(frozen=True, slots=True)
class Applied:
    """Outcome of one ``apply``: state by intent, and events worth a log line and a counter."""

    intents: Mapping[IntentKey, IntentState]
    rebased: tuple[str, ...] = ()
    """cgroups whose weight their owner (kubelet, systemd) wrote again, and that were scaled anew."""
    drifted: tuple[TaskId, ...] = ()
    """threads whose values somebody else had changed, and that were set again."""
    conditions: tuple[str, ...] = ()
    """what ails the enforcer itself, for people: a journal that was damaged or cannot be written, a rival writer."""


@dataclass(frozen=True, slots=True)
class EnforcerStats:
    """Counters since the agent's start; they never go down."""

    applies: int = 0
    threads_set: int = 0
    threads_restored: int = 0
    weights_set: int = 0
    weights_restored: int = 0
    refusals: int = 0
    by_refusal: Mapping[str, int] = field(default_factory=dict)
    hastened: int = 0
    """threads that were set between two applies"""


class Enforcer(Protocol):
    """A way into the kernel. Calls block (they are system calls) and are never made concurrently."""

    name: str
    capabilities: tuple[str, ...]
    """Linux capabilities that it needs, as in ("CAP_SYS_NICE",)."""

    def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
        """Make the kernel be as the bindings say; what they no longer hold is put back as it was.

        Level-triggered: it is called with the whole wish each time, and twice with the same does nothing twice.
        Threads whose intent said ``orphan`` and is in no binding any more are left as they are, and what they were
        before stays remembered for the next intent that takes them and for :meth:`revert`.

        Args:
            bindings: the whole wish.
            unsure: intents that still stand, where not everything that runs could be read. What they hold and the
                bindings do not show is left as it is: not seen is not gone.
        """
        ...

    def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
        """Let new ``threads`` run as told before the next :meth:`apply`; how many were set.

        It puts nothing back, forgets nothing and takes no state: what else has changed is the next apply's. A weight
        that nothing carries yet is set where a binding asks for it.

        Args:
            bindings: whole pods and units, so that what carries a weight is judged by all that is in them.
            threads: those of the bindings that are new, or that say something else than before.
        """
        ...

    def revert(self) -> int:
        """Put back everything that this enforcer ever changed and remembers; the number of things put back."""
        ...

    def state(self) -> Mapping[IntentKey, IntentState]:
        """The outcome of the last ``apply``."""
        ...

    def stats(self) -> EnforcerStats:
        """Counters for /metrics."""
        ...
