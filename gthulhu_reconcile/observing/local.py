"""Pods as the agents themselves discover them: no API server is needed, and no file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial

from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.model.pods import Node
from gthulhu_reconcile.observing.asking import asked
from gthulhu_reconcile.observing.pods import Event, Observation, Relisted
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.reports import Discovered
from gthulhu_reconcile.transport.retrying import Backoff, Rng

POLL_SECONDS = 10.0


class LocalSource:
    """A :class:`~gthulhu_reconcile.observing.pods.PodSource` over ``GET /v1/pods`` of agents.

    A node whose agent does not answer, or could not read everything, is unreachable by itself; the others' pods are
    known all the same.
    """

    def __init__(
        self,
        client: AgentClient,
        agents: Sequence[Agent],
        *,
        rng: Rng,
        backoff: Backoff | None = None,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._client = client
        self._agents = tuple(agents)
        self._rng = rng
        self._backoff = backoff or Backoff()
        self._poll_seconds = poll_seconds

    @property
    def title(self) -> str:
        """What people call it."""
        return "the agents' own discovery"

    async def list(self) -> Observation:
        """The pods of all nodes that answer."""

        async def one(agent: Agent) -> Discovered | Unreachable:
            return await asked(self._client, agent, partial(self._client.pods, agent), self._rng, self._backoff)

        results = await self._client.fanout.visit(self._agents, one)
        found = [
            (agent, each) for agent, each in zip(self._agents, results, strict=True) if isinstance(each, Discovered)
        ]
        return Observation(
            pods=tuple(pod for _, each in found for pod in each.pods),
            nodes=tuple(Node(agent.node, agent.labels) for agent in self._agents),
            unreachable=(
                *(result for result in results if isinstance(result, Unreachable)),
                *(_incomplete(agent, each) for agent, each in found if each.incomplete),
            ),
        )

    async def events(self) -> AsyncIterator[Event]:
        """A new list whenever one differs from the former. Agents are asked every ``poll_seconds``."""
        former = await self.list()
        while True:
            await asyncio.sleep(self._poll_seconds)
            current = await self.list()
            if current != former:
                former = current
                yield Relisted(current)


def _incomplete(agent: Agent, found: Discovered) -> Unreachable:
    """A node that was not seen whole: a pod that its agent missed is not gone, so nothing is planned there."""
    rest = len(found.incomplete) - 1
    return Unreachable(
        agent.node, f"its agent could not read everything: {found.incomplete[0]}{f', and {rest} more' if rest else ''}"
    )
