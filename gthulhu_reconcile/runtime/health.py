"""How the service is, in sentences: what ``/livez`` and ``/readyz`` answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gthulhu_reconcile.runtime.outcomes import Result

_GOOD = (Result.SUCCESS, Result.NOOP, Result.HELD)
"""Results of passes that knew everything they had to know; a held one waits for a person, not for a repair."""


@dataclass
class Health:
    """What the service knows about itself.

    Attributes:
        clock: seconds that only grow.
        stale_after: seconds without a good pass after which the service is not ready.
        pass_limit: seconds after which a pass that still runs means that the service hangs.
        settings_problem: why the settings in force are not the newest ones; empty where they are.
        draining: whether the service has been told to stop.
    """

    clock: Callable[[], float]
    stale_after: float
    pass_limit: float
    settings_problem: str = ""
    draining: bool = False
    _last_good: float | None = field(default=None, init=False)
    _began: float | None = field(default=None, init=False)
    _failures: int = field(default=0, init=False)
    _problem: str = field(default="", init=False)
    _held: str = field(default="", init=False)

    def began(self) -> None:
        """A pass begins."""
        self._began = self.clock()

    def ended(self, result: Result, problem: str = "") -> None:
        """A pass ended; ``problem`` says in a sentence what kept it from being good."""
        self._began = None
        self._held = problem if result is Result.HELD else ""
        if result in _GOOD:
            self._last_good = self.clock()
            self._failures = 0
            self._problem = ""
        else:
            self._failures += 1
            self._problem = problem

    def interrupted(self) -> None:
        """A pass was given up because what it had read changed meanwhile."""
        self._began = None

    def not_alive(self) -> tuple[str, ...]:
        """Why the process should be restarted; nothing where it should not."""
        if self._began is not None and (running := self.clock() - self._began) > self.pass_limit:
            return (f"a pass has been running for {running:.0f} s; its limit was {self.pass_limit:.0f} s",)
        return ()

    def not_ready(self) -> tuple[str, ...]:
        """Why what the agents hold may not be what is wanted."""
        reasons = []
        if self.draining:
            reasons.append("the service is stopping")
        if self._last_good is None:
            reasons.append("no pass has gone through yet")
        elif (age := self.clock() - self._last_good) > self.stale_after:
            reasons.append(f"the last pass that went through was {age:.0f} s ago")
        return (*reasons, *self.notes()) if reasons else ()

    def notes(self) -> tuple[str, ...]:
        """What an operator should know although it does not make the service unready."""
        notes = []
        if self._failures:
            count = "the last pass failed" if self._failures == 1 else f"the last {self._failures} passes failed"
            notes.append(f"{count}: {self._problem}")
        if self._held:
            notes.append(f"held: {self._held}")
        if self.settings_problem:
            notes.append(f"the former settings are in force: {self.settings_problem}")
        return tuple(notes)
