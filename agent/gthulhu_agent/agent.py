"""What an agent does, whoever asks: take a set, tell what holds, put everything back. No HTTP in here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from gthulhu_agent.accepting import Outcome, judge
from gthulhu_agent.clock import Clock
from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.protocol import Refused as NotTaken
from gthulhu_agent.engine import Engine
from gthulhu_agent.errors import NotStored
from gthulhu_agent.legacy.received import OWNER, Received
from gthulhu_agent.legacy.strategies import StrategyState
from gthulhu_agent.state import ConditionKind, Conditions, Held
from gthulhu_agent.store import DesiredStore
from gthulhu_wire.intents import DesiredSet, digest
from gthulhu_wire.refusals import Refusal

_PROBE_INTERVAL = 10.0

Notes = Callable[[Held, IntentKey], tuple[NotTaken, ...]]
"""What has to be said of one intent of a set besides what the kernel says: of what it was made from."""
DropSwitch = Callable[[bool], Awaitable[None]]
"""Switches on what somebody switched off, and forgets their wish; with True also where the disk keeps it.

Raises NotStored where it does.
"""

_T = TypeVar("_T")
_log = structlog.stdlib.get_logger("gthulhu_agent")


class Refused(Exception):  # noqa: N818 - the word of the wire
    """The agent says no: a code of the closed list, a sentence, a cure, and what the caller needs besides."""

    def __init__(self, code: Refusal, message: str, cure: str, *, more: Mapping[str, object] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.cure = cure
        self.more: Mapping[str, object] = more or {}


@dataclass(slots=True)
class PushTally:
    """Pushes since the start by what became of them; they never go down."""

    taken: int = 0
    repeated: int = 0
    refused: dict[str, int] = field(default_factory=dict)


class Agent:
    """One node's agent. Belongs to the event loop's thread; disk and kernel are reached through threads."""

    def __init__(
        self, *, node: str, store: DesiredStore, engine: Engine, conditions: Conditions, clock: Clock | None = None
    ) -> None:
        self.node = node
        self.engine = engine
        self.conditions = conditions
        self.pushes = PushTally()
        self.held = Held()
        self.clock = clock or Clock()
        self.notes: Notes = _no_notes
        self.drop_switch: DropSwitch = _nothing
        self.strategy_states: Callable[[], tuple[StrategyState, ...]] = tuple
        self._store = store
        self._known = True
        self._lock = asyncio.Lock()
        self._disk = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")

    @property
    def known(self) -> bool:
        """Whether what is held is what was accepted last; unknown is not empty."""
        return self._known

    @property
    def damaged(self) -> bool:
        """Whether the newest stored set could not be read, so that what is held is older or nothing at all."""
        return ConditionKind.STORE_DAMAGED in self.conditions

    async def start(self) -> None:
        """Take up what was stored; it is enforced by the engine's first pass.

        Raises:
            OSError: the state folder cannot be listed.
        """
        now = self.clock.now
        loaded = await self._on_disk(self._store.load)
        self.held = loaded.held
        self.engine.hold(loaded.held)
        if loaded.faults:
            what = "an older copy holds" if loaded.whole else "nothing is touched until a set is sent"
            self.conditions.raise_(
                ConditionKind.STORE_DAMAGED,
                f"{'; '.join(loaded.faults)}; {what}",
                cure="send the set again (gthulhu-reconcile does so by itself), and look at the disk",
                now=now,
            )
            _log.error("the stored set is damaged", faults=loaded.faults, whole=loaded.whole)
        if await self._on_disk(self._store.reverted):
            self._say_reverted(now)
        self._known = loaded.whole
        self._decide_touching()
        self.conditions.raise_(ConditionKind.STARTING, "the first pass has not ended yet", now=now)
        await self._probe()
        _log.info("holds", node=self.node, **self.held.summary())

    async def watch_store(self) -> None:
        """Find out by itself when a store that could not be written to can be again. Runs until it is cancelled."""
        while True:
            await asyncio.sleep(_PROBE_INTERVAL)
            if ConditionKind.STORE_UNWRITABLE in self.conditions:
                async with self._lock:
                    await self._probe()

    async def stop(self) -> None:
        """Let a push that is being stored end; what is enforced stays."""
        async with self._lock:
            await asyncio.get_running_loop().run_in_executor(None, self._disk.shutdown)

    async def push(self, pushed: DesiredSet, digest: str, *, adopt: bool = False) -> Held:
        """Take ``pushed``, durably, and have it enforced; what is held now.

        Once it has begun it ends, also when the caller goes away meanwhile: memory and disk say the same.

        Raises:
            Refused: it is stale, another owner's, or could not be stored; what held still holds.
        """
        return await self._counted(self._push(pushed, digest, adopt=adopt), pushed.owner)

    async def replace(self, build: Callable[[Held], tuple[DesiredSet, Received]], *, adopt: bool = False) -> Held:
        """Take the set that ``build`` makes of what is held, and keep what it was made from beside it.

        For clients that know no generations: what is held is read, changed and stored in one go, so two of them never
        build on the same. What changes nothing is acknowledged and not written again. ``build`` may take its time.

        Raises:
            Refused: another owner holds this node, or it could not be stored; what held still holds.
        """
        return await self._counted(self._replace(build, adopt=adopt), OWNER)

    async def revert(self) -> tuple[int, str]:
        """Put everything back and keep hands off until :meth:`resume`; things put back, and a warning or ''.

        Also when that cannot be remembered: whoever asks for it needs it now.

        Raises:
            Refused: the kernel did not let everything be put back.
        """
        async with self._lock:
            warning = ""
            try:
                await self._on_disk(lambda: self._store.mark_reverted(True))
            except NotStored as error:
                warning = f"{error}: a restart of the agent will enforce again"
            self._say_reverted(self.clock.now)
            count = await self._put_back()
        _log.warning("reverted", things=count)
        return count, warning

    async def resume(self) -> None:
        """Enforce again what is held, whether it was reverted or switched off.

        Raises:
            Refused: that could not be remembered.
        """
        async with self._lock:
            try:
                if ConditionKind.SWITCHED_OFF in self.conditions:
                    await self.drop_switch(False)
                await self._on_disk(lambda: self._store.mark_reverted(False))
            except NotStored as error:
                raise Refused(Refusal.NOT_STORED, str(error), error.cure) from error
            if self.conditions.clear(ConditionKind.REVERTED):
                _log.info("resumed")
            self._decide_touching()

    async def switch_off(self, why: str) -> None:
        """Put everything back and keep hands off until :meth:`switch_on`; whoever says it remembers it.

        Raises:
            Refused: the kernel did not let everything be put back; hands are kept off all the same.
        """
        async with self._lock:
            self.conditions.raise_(
                ConditionKind.SWITCHED_OFF,
                why,
                cure="set mode gthulhu the same way; or: gthulhu-agent resume",
                now=self.clock.now,
            )
            self._decide_touching()
            count = await self._put_back()
        _log.warning("switched off", things=count)

    def switch_on(self) -> None:
        """Enforce again what is held, unless everything was reverted."""
        if self.conditions.clear(ConditionKind.SWITCHED_OFF):
            _log.info("switched on")
        self._decide_touching()

    async def _put_back(self) -> int:
        try:
            return await self.engine.revert()
        except OSError as error:
            raise Refused(
                Refusal.INTERNAL, f"not everything could be put back: {error}", "hands are kept off; say it again"
            ) from error

    async def _counted(self, taking: Coroutine[None, None, Held], owner: str) -> Held:
        """``taking``, which ends also when its caller goes away."""

        async def counted() -> Held:
            try:
                return await taking
            except Refused as refused:
                self.pushes.refused[refused.code] = self.pushes.refused.get(refused.code, 0) + 1
                _log.warning("refused a set", code=refused.code.value, owner=owner, why=str(refused))
                raise

        return await asyncio.shield(asyncio.ensure_future(counted()))

    async def _push(self, pushed: DesiredSet, digest: str, *, adopt: bool) -> Held:
        async with self._lock:
            verdict = judge(self.held, pushed, digest, adopt=adopt)
            if isinstance(verdict, Refusal):
                raise self._no(verdict, pushed)
            if verdict is Outcome.REPEATED and not self.damaged:
                self.pushes.repeated += 1
                return self.held
            former, now = self.held, self.clock.now
            held = await self._on_disk(lambda: former.followed_by(pushed, digest, now))
            return await self._take(held)

    async def _replace(self, build: Callable[[Held], tuple[DesiredSet, Received]], *, adopt: bool) -> Held:
        async with self._lock:
            former, now = self.held, self.clock.now

            def follow() -> tuple[DesiredSet, Held]:
                pushed, received = build(former)
                return pushed, former.followed_by(pushed, digest(pushed.intents), now, received)

            pushed, held = await self._on_disk(follow)
            verdict = judge(former, pushed, held.digest, adopt=adopt)
            if isinstance(verdict, Refusal):
                raise self._no(verdict, pushed)
            same = (held.owner, held.digest, held.received) == (former.owner, former.digest, former.received)
            if same and not self.damaged:
                self.pushes.repeated += 1
                return former
            return await self._take(held)

    async def _take(self, held: Held) -> Held:
        former = self.held
        await self._save(held)
        if former.owner not in ("", held.owner):
            _log.warning("adopted", former=former.owner, owner=held.owner)
        self.held = held
        self._known = True
        self.pushes.taken += 1
        self.conditions.clear(ConditionKind.STORE_DAMAGED)
        self.engine.hold(held)
        if held.owner not in (former.owner, OWNER):
            await self.drop_switch(True)
        self._decide_touching()
        _log.info("took a set", **held.summary())
        return held

    async def _save(self, held: Held) -> None:
        try:
            await self._on_disk(lambda: self._store.save(held))
        except NotStored as error:
            self._say_unwritable(error)
            raise Refused(Refusal.NOT_STORED, str(error), error.cure, more={"holds": self.held.summary()}) from error
        self.conditions.clear(ConditionKind.STORE_UNWRITABLE)

    async def _probe(self) -> None:
        try:
            await self._on_disk(self._store.probe)
        except NotStored as error:
            self._say_unwritable(error)
        else:
            if self.conditions.clear(ConditionKind.STORE_UNWRITABLE):
                _log.info("the store can be written to again")

    def _no(self, code: Refusal, pushed: DesiredSet) -> Refused:
        holds = self.held.summary()
        if code is Refusal.FOREIGN_OWNER:
            message = f"this node belongs to {self.held.owner!r}, not to {pushed.owner!r}"
            cure = "?adopt=true (gthulhu-reconcile apply --adopt) takes it over"
        else:
            message = (
                f"(token, generation) is ({pushed.token}, {pushed.generation}); "
                f"this node holds ({self.held.token}, {self.held.generation})"
            )
            cure = "plan again from what it holds"
        return Refused(code, message, cure, more={"holds": holds})

    def _decide_touching(self) -> None:
        # What a set was that cannot be read is unknown, not empty: the kernel is left as it is until one is sent.
        off = ConditionKind.REVERTED in self.conditions or ConditionKind.SWITCHED_OFF in self.conditions
        self.engine.touch(self._known and not off)

    def _say_reverted(self, now: int) -> None:
        self.conditions.raise_(
            ConditionKind.REVERTED,
            "everything was put back by gthulhu-agent revert; sets are stored and not enforced",
            cure="gthulhu-agent resume",
            now=now,
        )

    def _say_unwritable(self, error: NotStored) -> None:
        if self.conditions.raise_(ConditionKind.STORE_UNWRITABLE, str(error), cure=error.cure, now=self.clock.now):
            _log.error("the store cannot be written to", error=str(error))

    async def _on_disk(self, call: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._disk, call)


async def _nothing(_anyway: bool) -> None:
    pass


def _no_notes(_held: Held, _key: IntentKey) -> tuple[NotTaken, ...]:
    return ()
