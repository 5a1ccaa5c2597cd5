"""Strategies of the BSS API on this node: their pods are found again whenever a pod comes, goes or is relabelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from gthulhu_agent.agent import Refused
from gthulhu_agent.enforcing.protocol import Refused as NotTaken
from gthulhu_agent.legacy.decision_maker import DecisionMaker
from gthulhu_agent.legacy.labels import Labelled, merged, of_intents, of_pods
from gthulhu_agent.legacy.received import Received, ReceivedIntent
from gthulhu_agent.legacy.strategies import Reachable, StrategyState, missing_labels, states
from gthulhu_agent.legacy.translating import BSS, Reached, strategy_name
from gthulhu_agent.state import ConditionKind
from gthulhu_wire.intents import PodRef

if TYPE_CHECKING:
    from gthulhu_agent.legacy.kubernetes import PodWatch

TOLD = 1000
"""Strategies whose state is told; a caller may send 100 times as many in one body."""
_TOGETHER = 0.2
"""Seconds in which changes are waited for together: a rollout changes many pods at once, and each set is stored."""
_RETRY = 5.0

_log = structlog.stdlib.get_logger("gthulhu_agent.strategies")


class Strategies:
    """Finds the pods of strategies. Belongs to the event loop's thread, but for :meth:`reach`."""

    def __init__(self, decisions: DecisionMaker, *, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self.watch: PodWatch | None = None
        """Where labels come from besides pod file and intents; whoever sets it runs it."""
        self._decisions = decisions
        self._sleep = sleep
        self._changed = asyncio.Event()
        self._of_pod_file: Mapping[str, Labelled] | None = None
        self._of_intents: tuple[tuple[ReceivedIntent, ...], Mapping[str, Labelled]] | None = None
        decisions.reach = self.reach
        decisions.agent.strategy_states = self.states

    def reach(self, received: Received) -> tuple[Reached, ...]:
        """The pods of each strategy now. Called in any thread: it reads what is replaced and never changed.

        Until the API server and the pod file were read once since the start, pods that a strategy reached before
        stay its own: not known is not gone.
        """
        if not received.strategies:
            return ()
        reachable, former = Reachable(self._labelled(received)), self._former()
        if not former:
            return tuple(Reached(said, reachable.by(said)) for said in received.strategies)
        return tuple(
            Reached(said, _both(reachable.by(said), former.get(strategy_name(said), ())))
            for said in received.strategies
        )

    def states(self) -> tuple[StrategyState, ...]:
        """What the first :data:`TOLD` strategies that were received came to, in order of arrival."""
        received = self._decisions.received
        if not received.strategies:
            return ()
        labelled = self._labelled(received)
        return states(received.strategies[:TOLD], labelled, self._missing(labelled))

    def changed(self) -> None:
        """Labels became others: find the pods again, soon."""
        self._changed.set()

    def pass_ended(self) -> None:
        """The node was looked at: the pod file may say something else."""
        last = self._decisions.agent.engine.last
        if last is not None and (found := of_pods(last.snapshot.pods)) != self._of_pod_file:
            self._of_pod_file = found
            self._changed.set()
        if self._decisions.misplaced:
            self._changed.set()
        self.judge()

    async def run(self) -> None:
        """Keep the pods of strategies right, until cancelled."""
        while True:
            await self._changed.wait()
            await self._sleep(_TOGETHER)
            self._changed.clear()
            try:
                if self._decisions.misplaced or any(said.selectors for said in self._decisions.received.strategies):
                    await self._decisions.reach_again()
            except Refused as refused:
                _log.warning("the pods of strategies could not be stored", why=str(refused))
                self._changed.set()
                await self._sleep(_RETRY)

    def judge(self) -> None:
        """Raise or clear the condition that says that strategies wait for labels."""
        received, agent = self._decisions.received, self._decisions.agent
        selecting = sum(bool(said.selectors) for said in received.strategies)
        missing = self._missing(self._labelled(received)) if selecting else None
        if missing is None:
            agent.conditions.clear(ConditionKind.LABELS_UNKNOWN)
            return
        agent.conditions.raise_(
            ConditionKind.LABELS_UNKNOWN,
            f"{selecting} strategies select by labels: {missing.why}",
            cure=missing.cure,
            now=agent.clock.now,
        )

    @property
    def _trouble(self) -> str:
        watch = self.watch
        if watch is None:
            return ""
        if watch.trouble is None and watch.synced and not watch.labelled:
            return f"the API server has no pods on a node {self._decisions.agent.node!r}; is that its name there?"
        return "" if watch.trouble is None else str(watch.trouble)

    def _missing(self, labelled: Mapping[str, Labelled]) -> NotTaken | None:
        last = self._decisions.agent.engine.last
        running = () if last is None else {group.pod_uid for group in last.snapshot.groups if group.pod_uid}
        return missing_labels(labelled, running, self._trouble)

    def _labelled(self, received: Received) -> dict[str, Labelled]:
        last, watch = self._decisions.agent.engine.last, self.watch
        return merged(
            {} if watch is None else watch.labelled,
            {} if last is None else of_pods(last.snapshot.pods),
            self._said(received.intents),
        )

    def _said(self, intents: tuple[ReceivedIntent, ...]) -> Mapping[str, Labelled]:
        # 100,000 intents are walked through once and not at each pass. Two threads may both do so: they agree.
        known = self._of_intents
        if known is None or known[0] is not intents:
            known = self._of_intents = (intents, of_intents(intents))
        return known[1]

    def _former(self) -> dict[str, list[PodRef]]:
        known = self.watch is None or self.watch.synced
        if known and self._decisions.agent.engine.last is not None:
            return {}
        found: dict[str, list[PodRef]] = {}
        for intent in self._decisions.agent.held.intents:
            if intent.pod is not None and intent.terms.policy.source == BSS:
                found.setdefault(intent.terms.policy.name, []).append(intent.pod)
        return found


def _both(now: tuple[PodRef, ...], before: list[PodRef] | tuple[PodRef, ...]) -> tuple[PodRef, ...]:
    known = {pod.uid for pod in now}
    return (*now, *(pod for pod in before if pod.uid not in known))
