"""Gthulhu's Decision Maker over our agent: what its endpoints do, without any HTTP.

Its clients know no owner and no generation. What they send replaces a part of what is held (intents, node intents,
strategies) in the name of the owner ``legacy``; a node that another owner holds refuses them unless they adopt it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gthulhu_agent.agent import Agent, Refused
from gthulhu_agent.discovery.snapshot import Process, TaskId
from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.protocol import Refused as Note
from gthulhu_agent.legacy.listing import MAP_ENTRIES, PodProcesses, ThreadStrategy, pod_processes, thread_strategies
from gthulhu_agent.legacy.metricset import MetricSets
from gthulhu_agent.legacy.narrowing import Narrowing, narrowed
from gthulhu_agent.legacy.received import OWNER, Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_agent.legacy.roots import node_root, pod_root
from gthulhu_agent.legacy.translating import Reached, Surroundings, Translation, translate
from gthulhu_agent.passes import Pass
from gthulhu_agent.state import ConditionKind, Held
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.documents import MAX_INTENTS
from gthulhu_wire.globs import any_matches
from gthulhu_wire.intents import DesiredSet
from gthulhu_wire.refusals import Refusal

Reach = Callable[[Received], tuple[Reached, ...]]
"""Finds the pods of the strategies, in their order. Called in any thread, so over values that do not change."""
Change = Callable[[Received], Received]

_NONE = Translation()


@dataclass(frozen=True, slots=True)
class Listing:
    """A listing, and the pass that it was made from: made again for another one only (fault Y-06)."""

    done: Pass
    rows: tuple[ThreadStrategy, ...]


class DecisionMaker:
    """The use cases. Belongs to the event loop's thread.

    Attributes:
        metric_sets: what the node's scheduler reports of itself.
        reach: finds the pods of strategies with selectors; whoever sets it calls :meth:`reach_again` when its answer
            changes.
    """

    def __init__(
        self,
        agent: Agent,
        *,
        protected_namespaces: Sequence[str] = (),
        ppid_of: Callable[[TaskId], int] = lambda _task: 0,
    ) -> None:
        self.agent = agent
        self.metric_sets = MetricSets()
        self.reach: Reach = _nowhere
        self._protected = tuple(protected_namespaces)
        self._ppid_of = ppid_of
        self._translated: tuple[Received, Translation] | None = None
        self._protected_pods: frozenset[str] = frozenset()
        self._roots: tuple[Received, str] | None = None
        self._listings: dict[Dialect, Listing] = {}
        self._working = asyncio.Lock()
        agent.notes = self.notes

    @property
    def received(self) -> Received:
        """What was received and still holds; nothing where another owner holds this node."""
        return self.agent.held.received or Received()

    async def replace_intents(
        self, intents: tuple[ReceivedIntent, ...], dialect: Dialect, *, adopt: bool = False
    ) -> Held:
        """Take ``intents`` in place of all former ones, durably.

        Raises:
            Refused: another owner holds this node, or they could not be stored; what held still holds.
        """
        return await self.change(lambda was: replace(was, intents=intents, dialect=dialect), adopt=adopt)

    async def delete_intents(
        self, pod_id: str | None, narrowing: Narrowing | None = None, *, adopt: bool = False
    ) -> Held:
        """Drop the intents of a pod, or with None all; ``narrowing`` spares what it does not name.

        Raises:
            Refused: as :meth:`replace_intents`.
        """
        if pod_id is None:
            return await self.change(lambda was: replace(was, intents=()), adopt=adopt)
        goes = narrowed(pod_id, narrowing or Narrowing(), self._process)
        return await self.change(
            lambda was: replace(was, intents=tuple(one for one in was.intents if not goes(one))), adopt=adopt
        )

    async def replace_node_intents(
        self, intents: tuple[ReceivedNodeIntent, ...], dialect: Dialect, *, adopt: bool = False
    ) -> Held:
        """Take ``intents`` in place of all former node intents, durably.

        Raises:
            Refused: as :meth:`replace_intents`.
        """
        return await self.change(
            lambda was: replace(was, node_intents=intents, node_dialect=dialect, node_intents_sent=True), adopt=adopt
        )

    async def delete_node_intents(self, policy_id: str | None, *, adopt: bool = False) -> Held:
        """Drop the node intents of a policy, or with None all.

        Raises:
            Refused: as :meth:`replace_intents`.
        """

        def drop(was: Received) -> Received:
            left = tuple(one for one in was.node_intents if policy_id not in (None, one.policy_id))
            return replace(was, node_intents=left, node_intents_sent=True)

        return await self.change(drop, adopt=adopt)

    async def replace_strategies(self, strategies: tuple[ReceivedStrategy, ...], *, adopt: bool = False) -> Held:
        """Take ``strategies`` of the BSS API in place of all former ones, durably.

        Raises:
            Refused: as :meth:`replace_intents`.
        """
        return await self.change(lambda was: replace(was, strategies=strategies), adopt=adopt)

    async def reach_again(self) -> None:
        """Find the pods of what was received again; a set that becomes another is taken as a new generation.

        Raises:
            Refused: it could not be stored.
        """
        # An older copy of a damaged set is not made the newest by our looking at it.
        if self.agent.held.received is not None and not self.agent.damaged:
            await self.change(lambda was: was)

    async def change(self, change: Change, *, adopt: bool = False) -> Held:
        """Take what ``change`` makes of what was received.

        Raises:
            Refused: as :meth:`replace_intents`.
        """
        made, protected = _NONE, self._protected_here()

        def build(held: Held) -> tuple[DesiredSet, Received]:
            nonlocal made
            received = change(held.received or Received())
            _check_size(max(len(received.intents), len(received.node_intents), len(received.strategies)))
            made = translate(received, self._surroundings(received))
            _check_size(len(made.intents))
            return DesiredSet(OWNER, 0, held.generation + 1, made.intents), received

        held = await self.agent.replace(build, adopt=adopt)
        self._protected_pods = protected
        if held.received is not None:
            self._translated = (held.received, made)
        return held

    async def start(self) -> None:
        """Find out where the intents of a stored set come from; with 100,000 of them it takes a while."""
        await asyncio.to_thread(self.translation, self.agent.held)

    def merkle_root(self) -> str:
        """Over the intents as received, in hex. Takes its time with 100,000 of them: for a worker thread."""
        received, known = self.received, self._roots
        if known is None or known[0] is not received:
            # A Manager asks every 30 seconds, and seldom has it sent anything between.
            known = self._roots = (received, pod_root(received))
        return known[1]

    def node_merkle_root(self) -> str:
        """Over the node intents as received, in hex; empty until some were sent or deleted."""
        return node_root(self.received)

    async def strategies(self, dialect: Dialect) -> tuple[ThreadStrategy, ...]:
        """Each thread that an intent of any owner takes, with the one that wins it.

        Raises:
            Refused: what is held, or what runs, is not known. That is not an empty list: the scheduler that reads it
                would take every priority away (fault W-09).
        """
        if not self.agent.known:
            raise Refused(Refusal.BUSY, "what this node holds cannot be read", "send it again")
        done = await self._current()
        async with self._working:
            listing = self._listings.get(dialect)
            if listing is None or listing.done is not done:
                origins = self.translation(done.held).origins
                rows = await asyncio.to_thread(thread_strategies, done.bindings, origins, dialect)
                listing = self._listings[dialect] = Listing(done, rows)
                self._tell_room(len(rows))
        return listing.rows

    async def pods(self) -> tuple[PodProcesses, ...]:
        """The pods that run here, with their processes.

        Raises:
            Refused: this node has not been looked at yet.
        """
        done = await self._current()
        return await asyncio.to_thread(pod_processes, done.snapshot, self._ppid_of)

    def notes(self, held: Held, key: IntentKey) -> tuple[Note, ...]:
        """What has to be said of one intent of ``held`` besides what the kernel says."""
        origin = self.translation(held).origins.get(key)
        return () if origin is None else origin.notes

    def translation(self, held: Held) -> Translation:
        """Where the intents of ``held`` come from; nothing where another owner sent them."""
        received = held.received
        if received is None:
            return _NONE
        known = self._translated
        if known is None or known[0] is not received:
            known = self._translated = (received, translate(received, self._surroundings(received)))
        return known[1]

    def _surroundings(self, received: Received) -> Surroundings:
        last = self.agent.engine.last
        known = {} if last is None else {pod.uid: pod.namespace for pod in last.snapshot.pods if pod.namespace}
        return Surroundings(self.agent.node, self._protected, known, self.reach(received))

    @property
    def misplaced(self) -> bool:
        """Whether the node knows other pods of protected namespaces than when intents were translated last."""
        return self.agent.held.received is not None and self._protected_here() != self._protected_pods

    def _protected_here(self) -> frozenset[str]:
        last = self.agent.engine.last
        pods = () if last is None else last.snapshot.pods
        return frozenset(pod.uid for pod in pods if pod.namespace and any_matches(self._protected, pod.namespace))

    def _tell_room(self, threads: int) -> None:
        conditions = self.agent.conditions
        if threads <= MAP_ENTRIES:
            conditions.clear(ConditionKind.SCHEDULER_MAP_FULL)
            return
        conditions.raise_(
            ConditionKind.SCHEDULER_MAP_FULL,
            f"{threads} threads have strategies; Gthulhu's scheduler has room for {MAP_ENTRIES}",
            cure="the strongest are listed first; let the weakest select less",
            now=self.agent.clock.now,
        )

    async def _current(self) -> Pass:
        engine = self.agent.engine
        if engine.last is None or engine.last.held is not self.agent.held:
            await engine.look_again()
        if engine.last is None:
            raise Refused(Refusal.BUSY, "this node has not been looked at yet", "ask again in a second")
        return engine.last

    def _process(self, pid: int) -> Process | None:
        last = self.agent.engine.last
        if last is None:
            return None
        return next((process for process in last.snapshot.processes() if process.id.tid == pid), None)


def _check_size(count: int) -> None:
    if count > MAX_INTENTS:
        raise Refused(
            Refusal.TOO_LARGE,
            f"it comes to {count} intents; at most {MAX_INTENTS} are taken",
            "let selectors select fewer pods",
        )


def _nowhere(_received: Received) -> tuple[Reached, ...]:
    return ()
