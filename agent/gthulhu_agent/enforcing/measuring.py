"""The enforcer that changes nothing: it says which threads each intent would hold, and why it does not act."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.first_match import FirstMatches
from gthulhu_agent.enforcing.matching import Taken, match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.enforcing.protocol import Applied, EnforcerStats, IntentState, Refused

SAMPLE = 16
"""So many of an intent's threads are named in its state."""


class MeasureOnly:
    """Enforcer ``none``."""

    name = "none"
    capabilities: tuple[str, ...] = ()

    def __init__(
        self, why: str = "this agent was told to measure only", cure: str = "start it with --enforcer auto"
    ) -> None:
        self._refused = Refused("priority", why, cure)
        self._rules = FirstMatches(Patterns())
        self._state: Mapping[IntentKey, IntentState] = {}
        self._applies = 0

    def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:  # noqa: ARG002 - it holds nothing
        """Match, and change nothing."""
        held: dict[IntentKey, list[Taken]] = {rule.intent: [] for binding in bindings for rule in binding.rules}
        bad: dict[IntentKey, str] = {}
        self._rules.learn([binding.rules for binding in bindings])
        for binding in bindings:
            matched = match_threads(binding, self._rules)
            bad.update(matched.bad_patterns)
            for taken in matched.taken:
                if taken.rule is not None:
                    held[taken.rule.intent].append(taken)
        self._state = {key: self._seen(taken, bad.get(key)) for key, taken in held.items()}
        self._applies += 1
        return Applied(self._state)

    def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:  # noqa: ARG002 - it sets nothing
        """Nothing is ever set."""
        return 0

    def revert(self) -> int:
        """Nothing was ever changed."""
        return 0

    def state(self) -> Mapping[IntentKey, IntentState]:
        """The outcome of the last ``apply``."""
        return self._state

    def stats(self) -> EnforcerStats:
        """Applies only; the rest stays 0."""
        return EnforcerStats(applies=self._applies)

    def _seen(self, taken: Sequence[Taken], bad_pattern: str | None) -> IntentState:
        pattern = () if bad_pattern is None else (Refused("pattern", bad_pattern),)
        return IntentState(
            threads=len(taken),
            processes=len({entry.process.id for entry in taken}),
            refused=(self._refused, *pattern),
            sample=tuple(entry.thread.id for entry in taken[:SAMPLE]),
        )
