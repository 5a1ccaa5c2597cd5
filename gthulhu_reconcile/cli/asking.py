"""Asking agents about what is, for the commands that only look; a node that does not answer is a value."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import SystemRandom
from typing import BinaryIO

from gthulhu_reconcile.cli.progress import Tell
from gthulhu_reconcile.cli.rendering.nodes import NodeStatus
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.pods import Pod
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.observing.accepted import identify
from gthulhu_reconcile.observing.asking import asked
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.runtime.chosen_nodes import check_nodes
from gthulhu_reconcile.runtime.connecting import PassClient, backoff, connect
from gthulhu_reconcile.runtime.inputs import LOCAL, find_agents, load_checked, observe
from gthulhu_reconcile.runtime.settings import Settings
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.processes import ProcessReport


@dataclass(frozen=True, slots=True)
class Looked:
    """What policies and pods there are.

    Attributes:
        pods: those that were asked for.
        states: what the agents of their nodes say, as far as they answer.
    """

    candidates: tuple[Candidate, ...]
    observed: Observed
    diagnostics: tuple[Diagnostic, ...]
    pods: tuple[Pod, ...] = ()
    states: Mapping[str, NodeStatus] = field(default_factory=dict)


async def look(
    settings: Settings, choose: Callable[[Looked], tuple[Pod, ...]], stdin: BinaryIO | None, tell: Tell
) -> Looked:
    """Policies, pods, and what the agents of the chosen pods' nodes say. Agents are needed only for local pods.

    Raises:
        UserError: an input has errors, or ``choose`` finds no pod.
    """
    loaded = await load_checked(settings, stdin=stdin)
    files_only = settings if settings.pods == LOCAL else settings.model_copy(update={"offline": True, "nodes": ()})
    async with connect(settings, read_only=True) as client:
        inputs = await observe(
            files_only,
            client,
            loaded,
            at=settings.instant(datetime.now(UTC)),
            rng=SystemRandom(),
            stdin=stdin,
            progress=tell,
        )
        looked = Looked(inputs.candidates, inputs.observed, inputs.diagnostics)
        looked = replace(looked, pods=choose(looked))
        nodes = {pod.node for pod in looked.pods if pod.node}
        return replace(looked, states=await _states_of(settings, client, nodes))


async def ask_nodes(settings: Settings, tell: Tell) -> tuple[tuple[NodeStatus, ...], tuple[Diagnostic, ...]]:
    """The status of every node that the settings name, sorted; and what the inventory is warned about.

    Raises:
        UserError: the inventory has errors, a chosen node has no agent, or ``--offline`` forbids to ask.
    """
    _must_ask(settings)
    async with connect(settings, read_only=True) as client:
        agents, silent, warned = await _named_agents(settings, client)
        if not silent:
            check_nodes(settings.nodes, {agent.node for agent in agents})
        wanted = [agent for agent in agents if settings.planning_options().plans_node(agent.node)]
        found = await _statuses(settings, client, wanted, tell)
    lost = [NodeStatus(each.node, silence=each.reason) for each in silent]
    return tuple(sorted((*found, *lost), key=lambda node: node.node)), warned


async def ask_process(settings: Settings, node: str | None, pid: int, tell: Tell) -> ProcessReport:
    """What the agent of ``node`` says of a process.

    Raises:
        UserError: there is no such node, or it has to be named since there are several.
        AgentUnreachable: it does not answer.
        AgentRefused: it has no such process.
    """
    _must_ask(settings)
    tell("observe", 0, 1)
    async with connect(settings, read_only=True) as client:
        agents, silent, _ = await _named_agents(settings, client)
        return await client.process(_only(agents, silent, node), pid)


def _must_ask(settings: Settings) -> None:
    if settings.offline:
        raise UserError("--offline asks no agent, and this is about what agents say")


def _only(agents: Sequence[Agent], silent: Sequence[Unreachable], node: str | None) -> Agent:
    chosen = [agent for agent in agents if node is None or agent.node == node]
    if len(chosen) == 1:
        return chosen[0]
    if node is None:
        raise UserError(f"there are {len(agents)} nodes; say which: --node NAME")
    if silent:
        raise UserError(
            f"no agent says that it is node '{node}', and {silent[0].node} did not answer: {silent[0].reason}"
        )
    raise UserError(f"there is no node '{node}' among the {len(agents)} that have an agent")


async def _named_agents(
    settings: Settings, client: PassClient
) -> tuple[tuple[Agent, ...], tuple[Unreachable, ...], tuple[Diagnostic, ...]]:
    agents, warned = await asyncio.to_thread(find_agents, settings)
    identified = await identify(client, agents, rng=SystemRandom(), backoff=backoff(settings))
    return identified.agents, identified.unreachable, warned


async def _states_of(settings: Settings, client: PassClient, nodes: Collection[str]) -> Mapping[str, NodeStatus]:
    if settings.offline:
        return {}
    try:
        agents, *_ = await _named_agents(settings, client)
    except UserError:
        # Whoever explains from files need not have an inventory; then there is nobody to be asked.
        return {}
    wanted = [agent for agent in agents if agent.node in nodes]
    return {status.node: status for status in await _statuses(settings, client, wanted, lambda *_: None)}


async def _statuses(
    settings: Settings, client: PassClient, agents: Sequence[Agent], tell: Tell
) -> Sequence[NodeStatus]:
    done = 0

    async def one(agent: Agent) -> NodeStatus:
        nonlocal done
        found = await _status(settings, client, agent)
        done += 1
        tell("observe", done, len(agents))
        return found

    tell("observe", 0, len(agents))
    return await client.fanout.visit(agents, one)


async def _status(settings: Settings, client: PassClient, agent: Agent) -> NodeStatus:
    async def both() -> NodeStatus:
        holding = await client.digest(agent)
        return NodeStatus(agent.node, holding, await client.state(agent))

    found = await asked(client, agent, both, SystemRandom(), backoff(settings))
    return NodeStatus(agent.node, silence=found.reason) if isinstance(found, Unreachable) else found
