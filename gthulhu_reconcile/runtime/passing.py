"""Running passes one after the other, for as long as the service lives: never two at once, failed ones again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random

import structlog

from gthulhu_reconcile.errors import GthulhuError, UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.runtime.backoff import Backoff
from gthulhu_reconcile.runtime.causes import Cause, Causes
from gthulhu_reconcile.runtime.health import Health
from gthulhu_reconcile.runtime.logs import Log
from gthulhu_reconcile.runtime.metrics import Metrics
from gthulhu_reconcile.runtime.outcomes import Result

_MOST_SUPERSEDED = 5
"""So many plans in a row may be dropped because files changed meanwhile; the next one goes through, so that a file
that never rests cannot keep the agents from what everything else says."""


class Superseded(GthulhuError):  # noqa: N818 - what happened to the pass
    """The files that a plan was made from changed before it was executed."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a pass ended, in a sentence what kept it from being good, and in numbers what it changed."""

    result: Result
    problem: str = ""
    counts: Mapping[str, int] = field(default_factory=dict)


Attempt = Callable[[bool], Awaitable[Ended]]
"""Does one pass. Raises :class:`Superseded` unless it is told that it must go through."""


class Passing:
    """Takes causes and turns them into passes.

    Args:
        causes: what asks for passes.
        attempt: does one pass.
        limit: seconds that a pass may take.
        backoff: when to try a failed pass again.
        rng: names passes.
    """

    def __init__(
        self,
        causes: Causes,
        attempt: Attempt,
        *,
        limit: Callable[[], float],
        backoff: Backoff,
        health: Health,
        metrics: Metrics,
        log: Log,
        rng: Random,
    ) -> None:
        self._causes = causes
        self._attempt = attempt
        self._limit = limit
        self._backoff = backoff
        self._health = health
        self._metrics = metrics
        self._log = log
        self._rng = rng
        self._retry: asyncio.TimerHandle | None = None
        self._superseded = 0
        self.running = False
        self.last: Ended | None = None

    async def run(self) -> None:
        """Pass after pass, until the causes are closed; a pass that runs then is finished first."""
        try:
            while causes := await self._causes.take():
                await self.once(causes)
        finally:
            self.stop_retrying()

    async def once(self, causes: Mapping[Cause, float]) -> Ended:
        """One pass, whatever becomes of it; a failed one is tried again later."""
        number = f"{self._rng.getrandbits(48):012x}"
        with structlog.contextvars.bound_contextvars(run=number):
            self.stop_retrying()
            self.running = True
            try:
                ended = await self._guarded(sorted(cause.value for cause in causes))
            finally:
                self.running = False
        if ended is None:
            self._causes.post(Cause.FILES)
            return Ended(Result.ERROR, "the files changed while they were being read")
        self.last = ended
        self._settle(ended)
        return ended

    @property
    def backing_off(self) -> bool:
        """Whether the last pass failed as a whole, and waits for its time to be tried again."""
        return self._retry is not None and self.last is not None and self.last.result is Result.ERROR

    def tick(self) -> bool:
        """The clock asks for a pass; False where that has to wait for another one.

        While a pass that failed as a whole backs off, the clock asks in vain: whatever it failed on is not asked more
        often than the waits say. After one that failed in part the clock goes on, for the sake of all other nodes.
        """
        if self.backing_off:
            return True
        if not self.running and self._causes.post(Cause.CLOCK):
            return True
        self._causes.post(Cause.CLOCK)
        return False

    def stop_retrying(self) -> None:
        """Forget that a failed pass was to be tried again."""
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    async def _guarded(self, causes: list[str]) -> Ended | None:
        self._log.debug("pass begins", causes=causes)
        began = asyncio.get_running_loop().time()
        self._health.began()
        ended: Ended | None
        try:
            async with asyncio.timeout(self._limit()):
                ended = await self._attempt(self._superseded >= _MOST_SUPERSEDED)
            self._superseded = 0
        except Superseded:
            self._superseded += 1
            self._metrics.superseded.inc()
            self._health.interrupted()
            self._log.info("plan dropped: its files changed while it was made", causes=causes)
            return None
        except TimeoutError:
            ended = Ended(Result.ERROR, f"the pass took longer than {self._limit():g} s")
        except UserError as error:
            ended = Ended(Result.ERROR, _told(error))
        except GthulhuError as error:
            ended = Ended(Result.ERROR, str(error))
        except Exception as error:  # noqa: BLE001 - see below
            # A fault of ours in one pass must not end the service: the next input may not meet it.
            self._log.exception("pass failed: a fault of the program")
            ended = Ended(Result.ERROR, f"a fault of the program: {type(error).__name__}")
        seconds = asyncio.get_running_loop().time() - began
        self._tell(ended, causes, seconds)
        return ended

    def _tell(self, ended: Ended, causes: list[str], seconds: float) -> None:
        self._health.ended(ended.result, ended.problem)
        self._metrics.passes.labels(ended.result.value).inc()
        if ended.result in (Result.SUCCESS, Result.NOOP):
            self._metrics.last_success.set(time.time())
        write = self._log.info if not ended.problem else self._log.warning
        more: dict[str, object] = {"problem": ended.problem} if ended.problem else {}
        more.update((name, count) for name, count in ended.counts.items() if count)
        write("pass ended", result=ended.result.value, causes=causes, seconds=round(seconds, 3), **more)

    def _settle(self, ended: Ended) -> None:
        if ended.result in (Result.ERROR, Result.PARTIAL):
            wait = self._backoff.failed()
            when = "seconds" if ended.result is Result.ERROR else "within"
            self._log.info("pass will be tried again", failures=self._backoff.failures, **{when: round(wait, 3)})
            if ended.result is Result.ERROR:
                self._causes.withdraw(Cause.CLOCK)
            self._retry = asyncio.get_running_loop().call_later(wait, self._causes.post, Cause.RETRY)
        else:
            self._backoff.succeeded()


def _told(error: UserError) -> str:
    if not error.diagnostics:
        return str(error)
    first = error.diagnostics[0]
    more = f" (and {len(error.diagnostics) - 1} more)" if len(error.diagnostics) > 1 else ""
    return f"{error}: {place(first)}{more}"


def place(diagnostic: Diagnostic) -> str:
    """A diagnostic in one line: ``policies/web.yaml:14:7: 'priorty' is not allowed here``."""
    span = diagnostic.span
    where = f"{span.path}:{span.line}:{span.column}" if span.line else span.path
    return f"{where}: {diagnostic.message}"
