"""Reading what agents have accepted: the head of each set first, the set itself only where it is not known."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType

from gthulhu_reconcile.model.accepted import DAMAGED, Accepted, Unreachable
from gthulhu_reconcile.observing.asking import asked
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff, Rng
from gthulhu_wire.intents import EMPTY_DIGEST, Intent

Report = Callable[[str, bool], None]
"""Called once per node with its name and whether it could be read, as answers come."""

NOTHING_KNOWN: Mapping[str, tuple[Intent, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Identified:
    """Agents with their nodes' names, and those that could not be asked for it."""

    agents: tuple[Agent, ...]
    unreachable: tuple[Unreachable, ...]


async def read_accepted(
    client: AgentClient,
    agents: Sequence[Agent],
    known: Mapping[str, tuple[Intent, ...]] = NOTHING_KNOWN,
    *,
    rng: Rng,
    backoff: Backoff | None = None,
    report: Report | None = None,
) -> tuple[Mapping[str, Accepted], tuple[Unreachable, ...]]:
    """What each of ``agents`` holds, by node, and the nodes that could not be read, in the agents' order.

    ``known`` has sets that are at hand, by their digest: what shall be there, what was there last time. Only a set
    that is not among them is fetched. What an agent lost has the digest :data:`DAMAGED`, whatever older copy it holds.
    ``agents`` must have their node's name (:func:`identify`).
    """
    sets = {EMPTY_DIGEST: (), **known}

    async def one(agent: Agent) -> Accepted | Unreachable:
        result = await asked(client, agent, partial(_read_one, client, agent, sets), rng, backoff or Backoff())
        if report is not None:
            report(agent.node, isinstance(result, Accepted))
        return result

    results = await client.fanout.visit(agents, one)
    return (
        MappingProxyType({result.node: result for result in results if isinstance(result, Accepted)}),
        tuple(result for result in results if isinstance(result, Unreachable)),
    )


async def identify(
    client: AgentClient, agents: Sequence[Agent], *, rng: Rng, backoff: Backoff | None = None
) -> Identified:
    """``agents`` with the names of their nodes; the agents that were given by address only are asked for it.

    Two addresses of one node are a mistake that would make two sets fight: the second is not taken.
    """

    async def one(agent: Agent) -> Agent | Unreachable:
        return await asked(client, agent, partial(_named, client, agent), rng, backoff or Backoff())

    nameless = [agent for agent in agents if not agent.node]
    found = iter(await client.fanout.visit(nameless, one))
    taken: dict[str, Agent] = {agent.node: agent for agent in agents if agent.node}
    kept: list[Agent] = []
    lost: list[Unreachable] = []
    for agent in agents:
        result = agent if agent.node else next(found)
        if isinstance(result, Unreachable):
            lost.append(result)
        elif taken.setdefault(result.node, result) is not result:
            other = taken[result.node].url
            lost.append(Unreachable(agent.url, f"is node '{result.node}', as is {other}; name one of the two"))
        else:
            kept.append(result)
    return Identified(tuple(kept), tuple(lost))


async def _named(client: AgentClient, agent: Agent) -> Agent:
    version = await client.version(agent)
    return Agent(version.node, agent.url, agent.labels, agent.secret_file, agent.span)


async def _read_one(client: AgentClient, agent: Agent, sets: Mapping[str, tuple[Intent, ...]]) -> Accepted:
    held = await client.digest(agent)
    intents = sets.get(held.digest)
    if intents is None:
        found = await client.desired(agent)
    else:
        found = Accepted(agent.node, held.owner, held.token, held.generation, held.digest, intents)
    # A set that was taken between the two answers has mended the store.
    same = (found.owner, found.token, found.generation) == (held.owner, held.token, held.generation)
    return replace(found, digest=DAMAGED) if held.damaged and same else found
