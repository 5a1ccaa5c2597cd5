"""Executing a plan: every changed node is sent its whole set, and acknowledges it.

A node is visited in two calls over one connection: the head of what it holds, then the set, if that is needed and
still fits. The head makes a lost answer harmless (the next try sees that the set arrived) and shows a node that
has moved since it was planned, also backwards, which generations alone could not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from gthulhu_reconcile.applying.outcomes import NodeOutcome, Outcome, PushResult
from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer, Held
from gthulhu_reconcile.model.accepted import DAMAGED, Accepted
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding, shown
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Rng, persist
from gthulhu_wire.intents import DesiredSet
from gthulhu_wire.refusals import Refusal

Report = Callable[[NodeOutcome], None]
"""Called once per node, as outcomes come."""
BeforeSending = Callable[[], Awaitable[None]]
"""Awaited each time before a node is sent its set; what it raises ends the push, wrapped in an exception group."""

_BY_CODE = {Refusal.STALE_GENERATION.value: Outcome.STALE, Refusal.FOREIGN_OWNER.value: Outcome.FOREIGN}


async def push(
    plan: Plan,
    agents: Iterable[Agent],
    client: AgentClient,
    *,
    owner: str,
    token: int = 0,
    rng: Rng,
    backoff: Backoff | None = None,
    report: Report | None = None,
    before_sending: BeforeSending | None = None,
) -> PushResult:
    """Bring every changed node of ``plan`` to its desired set. What goes wrong on one node is that node's outcome.

    ``plan.desired`` is sent and nothing else, only to ``plan.changed_nodes``, in the name of ``owner`` and with
    ``token``, the leader's fencing token; nodes of another owner are taken over only where ``plan.adopted`` says so.
    ``agents`` have their nodes' names.

    Raises:
        Held: a guard stopped the plan.
    """
    if plan.held is not None:
        raise Held(plan.held.message)
    by_node = {agent.node: agent for agent in agents}
    changed = plan.changed_nodes
    told = [by_node[node] for node in changed if node in by_node]
    orders = _orders(plan, owner, token)
    visitor = _Visitor(client, orders, rng, backoff or Backoff(), report, before_sending=before_sending)
    outcomes = [
        *(visitor.reported(_without_agent(node)) for node in changed if node not in by_node),
        *await client.fanout.visit(told, visitor.visit),
    ]
    return PushResult(tuple(sorted(outcomes, key=lambda outcome: outcome.node)))


@dataclass(frozen=True, slots=True)
class _Order:
    """What one node is to hold, and what it must hold for that to be right."""

    base: Accepted
    desired: DesiredSet
    digest: str
    adopt: bool


def _orders(plan: Plan, owner: str, token: int) -> Mapping[str, _Order]:
    return {
        node: _Order(
            base=plan.bases[node],
            desired=DesiredSet(owner, token, plan.bases[node].generation + 1, plan.desired[node]),
            digest=plan.digests[node],
            adopt=node in plan.adopted,
        )
        for node in plan.changed_nodes
    }


def _without_agent(node: str) -> NodeOutcome:
    return NodeOutcome(node, Outcome.UNREACHABLE, reason="the inventory has no agent for it")


class _Visitor:
    def __init__(
        self,
        client: AgentClient,
        orders: Mapping[str, _Order],
        rng: Rng,
        backoff: Backoff,
        report: Report | None,
        *,
        before_sending: BeforeSending | None,
    ) -> None:
        self._client = client
        self._orders = orders
        self._rng = rng
        self._backoff = backoff
        self._report = report
        self._before_sending = before_sending

    async def visit(self, agent: Agent) -> NodeOutcome:
        """One node's outcome, whatever happens there."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        tries = 0
        order = self._orders[agent.node]

        async def once() -> tuple[Outcome, Holding]:
            nonlocal tries
            tries += 1
            return await _deliver(self._client, agent, order, self._before_sending)

        try:
            outcome, held = await persist(
                agent.title, once, deadline=self._client.deadlines.node, backoff=self._backoff, rng=self._rng
            )
        except (AgentUnreachable, AgentRefused, BadAnswer) as error:
            result = NodeOutcome(
                agent.node, _failure(error), reason=error.reason, tries=tries, seconds=loop.time() - began
            )
        else:
            result = NodeOutcome(
                agent.node, outcome, held.generation, held.digest, tries=tries, seconds=loop.time() - began
            )
        return self.reported(result)

    def reported(self, outcome: NodeOutcome) -> NodeOutcome:
        """``outcome``, after those who watch have been told."""
        if self._report is not None:
            self._report(outcome)
        return outcome


async def _deliver(
    client: AgentClient, agent: Agent, order: _Order, before_sending: BeforeSending | None
) -> tuple[Outcome, Holding]:
    held = await client.digest(agent, more=True)
    if held.owner == order.desired.owner and held.digest == order.digest and not held.damaged:
        return Outcome.ALREADY, held
    if held.owner not in ("", order.desired.owner) and not order.adopt:
        raise AgentRefused(
            agent.title,
            Refusal.FOREIGN_OWNER.value,
            f"'{shown(held.owner)}' holds it with generation {held.generation}; --adopt takes it over",
        )
    if not fits(order.base, held):
        raise AgentRefused(agent.title, Refusal.STALE_GENERATION.value, moved(order.base, held))
    if before_sending is not None:
        await before_sending()
    return Outcome.ACKNOWLEDGED, await client.put(agent, order.desired, adopt=order.adopt)


def fits(base: Accepted, held: Holding) -> bool:
    """Whether a node still holds what was planned from."""
    return (base.owner, base.token, base.generation, base.digest) == (
        held.owner,
        held.token,
        held.generation,
        DAMAGED if held.damaged else held.digest,
    )


def moved(base: Accepted, held: Holding) -> str:
    """Why :func:`fits` says no, for people."""
    if held.damaged != base.damaged:
        then, now = ("whole", "damaged") if held.damaged else ("damaged", "whole")
        return f"what it has stored was {then} when the plan was made and is {now} now; plan again"
    if held.generation == base.generation and held.owner == base.owner:
        return f"it holds another set under generation {held.generation} than was planned from; plan again"
    return (
        f"it holds generation {held.generation} of '{shown(held.owner)}', but the plan was made from generation "
        f"{base.generation} of '{base.owner}'; plan again"
    )


def _failure(error: AgentUnreachable | AgentRefused | BadAnswer) -> Outcome:
    if isinstance(error, AgentUnreachable):
        return Outcome.REFUSED if error.code else Outcome.UNREACHABLE
    if isinstance(error, BadAnswer):
        return Outcome.FAULTY
    return _BY_CODE.get(error.code, Outcome.REFUSED)
