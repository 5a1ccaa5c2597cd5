"""One question to one agent, with retries; a node that does not answer is a value."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer
from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Rng, persist

_T = TypeVar("_T")


async def asked(
    client: AgentClient, agent: Agent, call: Callable[[], Awaitable[_T]], rng: Rng, backoff: Backoff
) -> _T | Unreachable:
    """What ``call`` gives, or why the node could not be asked."""
    try:
        return await persist(agent.title, call, deadline=client.deadlines.node, backoff=backoff, rng=rng)
    except (AgentUnreachable, AgentRefused, BadAnswer) as error:
        return Unreachable(agent.title, error.reason)
