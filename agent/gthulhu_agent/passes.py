"""What passes over a node came to, as values. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.discovery.quick import key_of
from gthulhu_agent.discovery.snapshot import Group, Snapshot
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.protocol import Applied, EnforcerStats, IntentState, Refused
from gthulhu_agent.state import Held
from gthulhu_wire.intents import Terms


@dataclass(frozen=True, slots=True)
class Since:
    """Since when (Unix seconds) an intent of these terms is enforced."""

    terms: Terms
    at: int


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass found and did. ``applied`` None where nothing was to be touched."""

    at: int
    seconds: float
    held: Held
    snapshot: Snapshot
    bindings: tuple[Binding, ...]
    applied: Applied | None
    stats: EnforcerStats
    enforced: Mapping[IntentKey, Since]
    """Intents whose every thread runs as told, and since when."""
    refused: Refused | None
    """The first thing that the kernel did not take; the others are told by intent."""

    @property
    def states(self) -> Mapping[IntentKey, IntentState]:
        """The kernel's side of each intent; empty where nothing was to be touched."""
        return {} if self.applied is None else self.applied.intents


@dataclass(slots=True)
class Tally:
    """Counters of the loop since the agent's start; they never go down."""

    passes: int = 0
    failures: int = 0
    rebased: int = 0
    drifted: int = 0


def is_calm(former: Pass | None, done: Pass) -> bool:
    """Whether a pass found everything as the one before had left it."""
    applied = done.applied
    quiet = applied is None or not (applied.rebased or applied.drifted)
    return former is not None and former.held is done.held and former.snapshot is done.snapshot and quiet


def replaced(bindings: Sequence[Binding], touched: Sequence[Group], instead: Sequence[Binding]) -> tuple[Binding, ...]:
    """``bindings`` with those of the ``touched`` groups replaced."""
    keys = {key_of(group) for group in touched}
    return (*(binding for binding in bindings if key_of(binding.group) not in keys), *instead)


def enforced_since(
    held: Held, states: Mapping[IntentKey, IntentState], former: Mapping[IntentKey, Since], now: int
) -> dict[IntentKey, Since]:
    """Since when each intent of ``held`` is enforced, in the pass of ``now`` whose ``states`` are these."""
    found: dict[IntentKey, Since] = {}
    for intent in held.intents:
        key = intent.key
        state = states.get(key)
        if state is not None and state.enforced:
            known = former.get(key)
            found[key] = known if known is not None and known.terms == intent.terms else Since(intent.terms, now)
    return found
