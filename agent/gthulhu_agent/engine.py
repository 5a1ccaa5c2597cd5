"""The loop that makes the kernel be as the held set says: scan, bind, apply, on every change and at an interval.

Where the kernel tells of new threads, a quick pass sees to those alone, at once. Whole passes stay the truth: one
follows whatever was told of, and a rare one follows nothing at all, for what nobody tells.

Everything that blocks runs in one thread of its own, so calls of the enforcer are never concurrent and the event
loop never waits for a system call.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Protocol, TypeVar

import structlog

from gthulhu_agent.clock import Clock
from gthulhu_agent.discovery.events.event import Events, Watch
from gthulhu_agent.discovery.kubepods import Place
from gthulhu_agent.discovery.quick import Looked
from gthulhu_agent.discovery.snapshot import Snapshot
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.enforcing.ranked import Ranked
from gthulhu_agent.passes import Pass, Tally, enforced_since, is_calm, replaced
from gthulhu_agent.quickpass import Looker, Quick, QuickPasses, QuickTally, ended
from gthulhu_agent.state import ConditionKind, Conditions, Held

_LONGEST_WAIT = 60.0
_DOUBLINGS = 16
"""Of the rest after a failed pass; a thousand make a number that no float holds."""
_DUTY = 19
"""A pass that took t is followed by at least 19 t of rest: the loop never takes more than a twentieth of one CPU."""
_DUTY_BESIDE_EVENTS = 49
"""The same where quick passes take shares of their own."""
_SOON = 0.1
"""Seconds of rest, at least, before a pass that follows events that were lost."""
_RARELY = 30.0
_RARELY_UNTOLD = 10.0
"""The same where nobody tells what ends: it is to be known as gone before its number is another's."""
_IDLE_DUTY = 1000
"""Where nothing happens a pass that took t is followed by at least 1000 t of rest: a thousandth of one CPU."""
_MOST_RARELY = 600.0
_CALM = 4
"""Where nothing tells of new threads and passes find nothing new, they come so many times less often."""

_T = TypeVar("_T")
_log = structlog.stdlib.get_logger("gthulhu_agent.engine")


class Scanner(Protocol):
    """What runs on this node, now. Blocks."""

    def scan(self) -> Snapshot:
        """Everything, never silently smaller."""
        ...


class GivingWay(Looker, Protocol):
    """Eyes that look at everything in parts, and quickly in between."""

    def give_way(self, waiting: Callable[[], None]) -> None:
        """Call ``waiting`` between any two parts of a whole look; it may look quickly."""
        ...


class Bind(Protocol):
    """:func:`gthulhu_agent.enforcing.matching.bind`."""

    def __call__(
        self, intents: Ranked, snapshot: Snapshot, *, protected_units: Sequence[str], self_pid: int, now: int
    ) -> tuple[Binding, ...]:
        """Which groups which intents reach."""
        ...


class Engine:
    """Owns the enforcer. Its methods belong to the event loop's thread; ``hold`` is how a new set arrives.

    Attributes:
        held: the set to enforce.
        touching: False keeps hands off the kernel: everything was reverted, or the set is not known.
        last: the newest pass; None until the first has ended. What quick passes found since is in its snapshot and
            bindings, and in nothing else of it.
        events: how new threads are heard of; None where nothing tells of them.
    """

    def __init__(
        self,
        *,
        scanner: Scanner,
        bind: Bind,
        enforcer: Enforcer,
        conditions: Conditions,
        interval: float,
        protected_units: Sequence[str],
        self_pid: int,
        clock: Clock | None = None,
        observe: Callable[[float], None] = lambda _seconds: None,
        events: Events | None = None,
        looker: GivingWay | None = None,
    ) -> None:
        self.enforcer = enforcer
        self.held = Held()
        self.touching = True
        self.last: Pass | None = None
        self.tally = Tally()
        self._scanner = scanner
        self._bind = bind
        self._conditions = conditions
        self._interval = interval
        self._protected_units = tuple(protected_units)
        self._self_pid = self_pid
        self._clock = clock or Clock()
        self._observe = observe
        self._ends: tuple[int, ...] = ()
        self._looking: asyncio.Task[None] | None = None
        self._one_look = asyncio.Lock()
        self._wake = asyncio.Event()
        self._stopping = False
        self._failed_in_a_row = 0
        self._calm = 1
        self._ended = self._clock.monotonic()
        self._stirred: asyncio.TimerHandle | None = None
        self._stir_after: bool | None = None
        self._passing = 0
        self._ranked = (self.held, Ranked(()))
        self._latest: Pass | None = None
        self._looker: Looker | None = None
        self._quick: QuickPasses | None = None
        if events is not None and looker is not None:
            self.hear(events, looker)
        self._quick_tally = QuickTally()
        self._ahead: deque[Callable[[], None]] = deque()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="enforcer")

    @property
    def events(self) -> Events | None:
        """How new threads are heard of; None where nothing tells of them (any more)."""
        return None if self._quick is None else self._quick.events

    @property
    def quick(self) -> QuickTally:
        """What quick passes did since the agent's start."""
        return self._quick_tally if self._quick is None else self._quick.tally

    def hear(self, events: Events, looker: GivingWay) -> None:
        """Hear of new threads by ``events``, which are closed by :meth:`stop`. To be called before :meth:`run`."""
        self._looker = looker
        looker.give_way(self._let_ahead)
        self._quick = QuickPasses(events, looker, self, monotonic=self._clock.monotonic, cpu=self._clock.cpu)

    def hold(self, held: Held) -> None:
        """Enforce ``held`` from now on."""
        self.held = held
        self._ends = tuple(intent.terms.ends_at for intent in held.intents if intent.terms.ends_at is not None)
        self._wake.set()

    def touch(self, touching: bool) -> None:
        """Keep hands off the kernel, or not any longer."""
        self.touching = touching
        self._wake.set()

    def enforced_since(self, key: IntentKey) -> int | None:
        """Since when every thread of an intent runs as told, in Unix seconds; None where that is not so."""
        known = None if self.last is None else self.last.enforced.get(key)
        return None if known is None else known.at

    async def run(self) -> None:
        """Pass after pass until :meth:`end_loop`; an error ends a pass and not the loop."""
        quick = None if self._quick is None else asyncio.create_task(self._quick.run())
        try:
            while not self._stopping:
                self._wake.clear()
                await self.pass_once()
                if self._stopping:
                    return
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._rest()):
                        await self._wake.wait()
        finally:
            if quick is not None:
                await ended(quick)

    def end_loop(self) -> None:
        """Let :meth:`run` return after the pass that runs; calls can still be answered."""
        self._stopping = True
        self._wake.set()

    async def stop(self) -> None:
        """Wait for the enforcer's thread to end its work; what is enforced stays."""
        if self._quick is not None:
            self._quick.close()
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def pass_once(self) -> None:
        """One pass over the held set."""
        held, touching = self.held, self.touching
        if self._stirred is not None:
            self._stirred.cancel()
            self._stirred = None
        self._passing += 1
        try:
            # What is enforced is told apart in the thread too: with 100,000 intents it takes a while.
            done, heard = await self._in_thread(lambda: self._pass(held, touching))
        except Exception as error:  # noqa: BLE001 - whatever a scan or the kernel threw, the next pass tries again
            self._end_pass()
            self._failed(error)
        else:
            self._end_pass()
            self._done(done)
            if self._quick is not None:
                self._quick.watch(*heard)

    async def look_again(self) -> None:
        """A pass for somebody who waits for it, begun after it was asked for; who asks before it begins shares it."""
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_again())
        await asyncio.shield(self._looking)

    async def between(self, call: Callable[[], _T]) -> _T:
        """Run ``call`` in the enforcer's thread, between passes. It has to be short: new processes wait for it."""
        return await self._in_thread(call)

    def reached(self, place: Place) -> bool:
        """Whether an intent of the set of the last pass is for what runs at ``place``; in the enforcer's thread."""
        return self._ranked[1].reaches(place)

    def see_to(self, looked: Looked) -> int:
        """Let new threads run as told, ahead of the next pass; in the enforcer's thread. How many were set."""
        latest = self._latest
        if latest is None:
            return 0
        bindings = self._bound(self._ranked[1], replace(looked.snapshot, groups=looked.touched), self._clock.now)
        # Asked here and not before: whoever reverts waits for this thread.
        count = self.enforcer.hasten(bindings, looked.threads) if self.touching else 0
        self._latest = replace(
            latest, snapshot=looked.snapshot, bindings=replaced(latest.bindings, looked.touched, bindings)
        )
        return count

    async def run_quickly(self, look: Callable[[], Quick]) -> Quick:
        """Run ``look`` in the enforcer's thread; what it found is in ``last`` afterwards.

        It does not wait for a scan that runs there, but for what a whole pass does with what that found.
        """
        done, latest = await self._in_between(lambda: (look(), self._latest))
        last = self.last
        if latest is None or last is None or latest.enforced is not last.enforced:
            return done  # a whole pass or a revert has come between
        if latest.bindings is not last.bindings:
            self.last = replace(last, snapshot=latest.snapshot, bindings=latest.bindings)
        return done

    def stir(self, *, soon: bool) -> None:
        """Let a whole pass follow: within the interval, or ``soon``; no sooner than passes may come."""
        if self._passing:
            # It may have looked there already, or not.
            self._stir_after = soon or bool(self._stir_after)
            return
        loop = asyncio.get_running_loop()
        least = _SOON if soon else self._interval
        seconds = 0.0 if self.last is None else self.last.seconds
        rest = max(least, min(_LONGEST_WAIT, _DUTY_BESIDE_EVENTS * seconds))
        when = loop.time() + max(0.0, self._ended + rest - self._clock.monotonic())
        if self._stirred is not None:
            if self._stirred.when() <= when:
                return
            self._stirred.cancel()
        self._stirred = loop.call_at(when, self._wake.set)

    def deaf(self, why: str) -> None:
        """Go on with scans alone."""
        if self._quick is not None:
            self._quick_tally = self._quick.tally
            self._quick = None
        self._conditions.clear(ConditionKind.EVENTS_LIMITED)
        self._conditions.raise_(
            ConditionKind.EVENTS_UNAVAILABLE,
            f"{why}; new threads are looked for every {self._interval:g} s instead",
            cure="gthulhu-agent doctor says what this machine lacks",
            now=self._clock.now,
        )
        self._wake.set()

    def hard_of_hearing(self, why: str) -> None:
        """Say that what tells of new threads is not the best that there is."""
        self._conditions.raise_(
            ConditionKind.EVENTS_LIMITED,
            f"{why}; the process connector tells of new threads instead, of every exec of the host and not where it "
            "was: that costs more, and a storm in one pod delays the others",
            cure="gthulhu-agent doctor says what this machine lacks; events=connector says that this is meant",
            now=self._clock.now,
        )

    async def revert(self) -> int:
        """Put back everything that the enforcer changed, after the pass that runs; the number of things put back."""
        self.touch(False)
        count = await self._in_thread(self.enforcer.revert)
        if self.last is not None:
            self.last = replace(self.last, applied=None, enforced={}, refused=None)
        return count

    async def _look_again(self) -> None:
        async with self._one_look:
            # What is asked for from here on may be of what this pass has passed by already, or of a newer set.
            self._looking = None
            await self.pass_once()

    def _end_pass(self) -> None:
        self._passing -= 1
        self._ended = self._clock.monotonic()
        if self._stir_after is not None and not self._passing:
            soon, self._stir_after = self._stir_after, None
            self.stir(soon=soon)

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)

    async def _in_between(self, call: Callable[[], _T]) -> _T:
        """As :meth:`_in_thread`, ahead of what a whole pass has not looked at yet."""
        future: Future[_T] = Future()
        self._ahead.append(lambda: _settle(future, call))
        self._thread.submit(self._let_ahead)
        return await asyncio.wrap_future(future)

    def _let_ahead(self) -> None:
        while self._ahead:
            self._ahead.popleft()()

    def _pass(self, held: Held, touching: bool) -> tuple[Pass, tuple[Mapping[int, Watch], frozenset[int]]]:
        started = self._clock.monotonic()
        at = self._clock.now
        snapshot = self._scanner.scan()
        if self._ranked[0] is not held:
            self._ranked = held, Ranked(held.intents, self._protected_units)
        bindings = self._bound(self._ranked[1], snapshot, at)
        # What could not be read may still run: not seen is not gone.
        unsure = {intent.key for intent in held.intents} if snapshot.incomplete else ()
        applied = self.enforcer.apply(bindings, unsure=unsure) if touching else None
        states = {} if applied is None else applied.intents
        done = Pass(
            at=at,
            seconds=self._clock.monotonic() - started,
            held=held,
            snapshot=snapshot,
            bindings=bindings,
            applied=applied,
            stats=self.enforcer.stats(),
            enforced=enforced_since(held, states, {} if self.last is None else self.last.enforced, at),
            refused=next((refused for state in states.values() for refused in state.refused), None),
        )
        self._calm = min(_CALM, 2 * self._calm) if is_calm(self._latest, done) else 1
        self._latest = done
        return done, self._to_hear_of(bindings)

    def _bound(self, ranked: Ranked, snapshot: Snapshot, now: int) -> tuple[Binding, ...]:
        return self._bind(ranked, snapshot, protected_units=self._protected_units, self_pid=self._self_pid, now=now)

    def _to_hear_of(self, bindings: Sequence[Binding]) -> tuple[Mapping[int, Watch], frozenset[int]]:
        if self._quick is None or self._looker is None:
            return {}, frozenset()
        pids = frozenset(process.id.tid for binding in bindings for process in binding.group.processes)
        return self._looker.watched(self.reached), pids

    def _done(self, done: Pass) -> None:
        self.last = done
        self._failed_in_a_row = 0
        self.tally.passes += 1
        self._observe(done.seconds)
        self._conditions.clear(ConditionKind.STARTING)
        if self._conditions.clear(ConditionKind.ENFORCEMENT_FAILED):
            _log.info("enforcement works again")
        self._tell_conditions(done)
        if done.applied is not None:
            self.tally.rebased += len(done.applied.rebased)
            self.tally.drifted += len(done.applied.drifted)
            if done.applied.rebased:
                _log.info("owners wrote weights again; scaled anew", cgroups=done.applied.rebased[:8])
            if done.applied.drifted:
                _log.warning("somebody else changed threads; set again", threads=len(done.applied.drifted))

    def _tell_conditions(self, done: Pass) -> None:
        missing = done.snapshot.incomplete
        self._tell(
            ConditionKind.DISCOVERY_INCOMPLETE,
            f"{len(missing)} parts could not be read, the first: {missing[0]}" if missing else "",
            "gthulhu-agent doctor says which rights are missing",
            done.at,
        )
        refused = done.refused
        self._tell(
            ConditionKind.ENFORCER_LIMITED,
            f"{refused.what}: {refused.why}" if refused else "",
            (refused.cure if refused else "") or "GET /v1/state says which intents and why",
            done.at,
        )
        self._tell(
            ConditionKind.ENFORCER_AILING,
            "; ".join(done.applied.conditions) if done.applied else "",
            "look at the disk of the state folder, or at who else writes the cgroup that is named",
            done.at,
        )

    def _tell(self, kind: ConditionKind, message: str, cure: str, now: int) -> None:
        if not message:
            self._conditions.clear(kind)
        elif self._conditions.raise_(kind, message, cure=cure, now=now):
            _log.warning("condition", type=kind.value, message=message)

    def _failed(self, error: Exception) -> None:
        self._failed_in_a_row += 1
        self.tally.failures += 1
        self._conditions.clear(ConditionKind.STARTING)
        text = f"{type(error).__name__}: {error}"
        if self._conditions.raise_(
            ConditionKind.ENFORCEMENT_FAILED,
            text,
            cure="it is tried again by itself; gthulhu-agent doctor says what this machine lacks",
            now=self._clock.now,
        ):
            _log.error("a pass failed", error=text, exc_info=error)

    def _rest(self) -> float:
        if self._failed_in_a_row:
            return min(_LONGEST_WAIT, self._interval * 2.0 ** min(self._failed_in_a_row, _DOUBLINGS))
        seconds = 0.0 if self.last is None else self.last.seconds
        if self._quick is not None:
            rarely = _RARELY if self._quick.events.precise else _RARELY_UNTOLD
            rest = max(self._interval, rarely, min(_MOST_RARELY, _IDLE_DUTY * seconds))
        else:
            rest = max(self._interval * self._calm, min(_LONGEST_WAIT, _DUTY * seconds))
        return min(rest, self._until_next_end())

    def _until_next_end(self) -> float:
        now = self._clock.wall()
        return min((end - now for end in self._ends if end > now), default=math.inf)


def _settle(future: Future[_T], call: Callable[[], _T]) -> None:
    """Run ``call`` for whoever waits for ``future``, if anybody still does."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = call()
    except BaseException as error:  # noqa: BLE001 - it is theirs
        future.set_exception(error)
    else:
        future.set_result(result)
