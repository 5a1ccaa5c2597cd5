"""Executing a saved plan: it has to be unused and to fit what holds, and is spent before the first set is sent.

Nodes that do not answer or refuse before they are sent anything spend nothing: what was approved can be tried again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from gthulhu_reconcile.applying.outcomes import PushResult
from gthulhu_reconcile.applying.planfile import SavedPlan, mark_used
from gthulhu_reconcile.applying.pusher import Report, fits, moved, push
from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer, Held, StalePlan
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Rng, persist

_SHOWN = 5


async def push_saved(
    saved: SavedPlan,
    agents: Iterable[Agent],
    client: AgentClient,
    *,
    owner: str,
    token: int = 0,
    rng: Rng,
    backoff: Backoff | None = None,
    report: Report | None = None,
) -> PushResult:
    """Execute ``saved`` as :func:`~gthulhu_reconcile.applying.pusher.push` does, once.

    Raises:
        Held: a guard stopped the plan; it is not spent.
        StalePlan: a node has moved since (the plan is not spent), or it is used; nothing is sent to any node.
        UserError: it cannot be marked as used; nothing is sent to any node.
    """
    if saved.plan.held is not None:
        raise Held(saved.plan.held.message)
    known = tuple(agents)
    await ensure_fresh(saved.plan, known, client, rng=rng, backoff=backoff)
    spending = _Spending(saved)
    try:
        return await push(
            saved.plan,
            known,
            client,
            owner=owner,
            token=token,
            rng=rng,
            backoff=backoff,
            report=report,
            before_sending=spending.done,
        )
    except ExceptionGroup:
        if (refusal := spending.refusal) is not None:
            raise refusal from None
        raise


class _Spending:
    """Marks the plan as used, once for all nodes, and lets none be sent anything before that is on disk."""

    def __init__(self, saved: SavedPlan) -> None:
        self._saved = saved
        self._task: asyncio.Task[None] | None = None

    async def done(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(asyncio.to_thread(mark_used, self._saved))
        # Shielded: the deadline of the node that came first must not end it for all the others.
        await asyncio.shield(self._task)

    @property
    def refusal(self) -> BaseException | None:
        """Why the plan could not be spent."""
        ended = self._task is not None and self._task.done() and not self._task.cancelled()
        return self._task.exception() if ended and self._task is not None else None


async def ensure_fresh(
    plan: Plan, agents: Iterable[Agent], client: AgentClient, *, rng: Rng, backoff: Backoff | None = None
) -> None:
    """See that every changed node that answers still holds what ``plan`` was made from.

    A node that does not answer is no reason against the others; the push says so of it.

    Raises:
        StalePlan: one does not.
    """
    wanted = set(plan.changed_nodes)

    async def one(agent: Agent) -> str:
        try:
            held = await persist(
                agent.title,
                lambda: client.digest(agent),
                deadline=client.deadlines.node,
                backoff=backoff or Backoff(),
                rng=rng,
            )
        except (AgentUnreachable, AgentRefused, BadAnswer):
            return ""
        base = plan.bases[agent.node]
        return "" if fits(base, held) else f"{agent.node}: {moved(base, held)}"

    found = await client.fanout.visit([agent for agent in agents if agent.node in wanted], one)
    stale = sorted(filter(None, found))
    if stale:
        rest = f" (and {len(stale) - _SHOWN} more nodes)" if len(stale) > _SHOWN else ""
        raise StalePlan(f"the plan is stale: {'; '.join(stale[:_SHOWN])}{rest}")
