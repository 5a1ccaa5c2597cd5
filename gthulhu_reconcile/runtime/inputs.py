"""Observing: everything that a plan is made of, read once, each with what is wrong with it.

What could not be read is said by its type, never by being empty: a policy file that cannot be opened, a list of pods
that is incomplete and an agent that does not answer are three different things, and none of them deletes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random
from typing import BinaryIO

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.loading.policies import Loaded, load
from gthulhu_reconcile.loading.windows import candidates
from gthulhu_reconcile.model.accepted import Accepted, Unreachable
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, has_errors
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.observing import inventory
from gthulhu_reconcile.observing.accepted import identify, read_accepted
from gthulhu_reconcile.observing.local import LocalSource
from gthulhu_reconcile.observing.podfile import STDIN, FileSource
from gthulhu_reconcile.observing.pods import Observation, PodSource
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.resolving import Resolution, resolve
from gthulhu_reconcile.runtime.chosen_nodes import check_nodes
from gthulhu_reconcile.runtime.collecting import collector_paused
from gthulhu_reconcile.runtime.connecting import PassClient, backoff
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.transport.agents import Agent

LOCAL = "local"

Progress = Callable[[str, int, int], None]
"""Called with the phase (``load``, ``observe``, ``plan``, ``push``), how much of it is done, and of how much."""


@dataclass(frozen=True)
class Inputs:
    """What a plan is made of.

    Attributes:
        at: the instant that time windows were judged at.
        loaded: the policies, and what is wrong with their files.
        candidates: every policy at that instant.
        agents: with their nodes' names; those whose name could not be asked for are among ``unreachable``.
        observed: pods and nodes.
        resolution: what each node shall hold.
        accepted: what each node holds; the intents only where they are not the wanted ones.
        unreachable: nodes (or addresses) whose agent did not answer.
        unreadable: inputs that could not be read in full.
        diagnostics: everything wrong with any input, warnings too.
    """

    at: datetime
    loaded: Loaded
    candidates: tuple[Candidate, ...]
    agents: tuple[Agent, ...]
    observed: Observed
    resolution: Resolution
    accepted: Mapping[str, Accepted]
    unreachable: tuple[Unreachable, ...]
    unreadable: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


def load_policies(settings: Settings, *, stdin: BinaryIO | None = None) -> Loaded:
    """The policies that the settings name, judged by the settings' limits."""
    return load(settings.policies, stdin=stdin, limits=settings.namespace_limits(), protected=settings.protection())


def known_agents(settings: Settings) -> tuple[Agent, ...]:
    """The agents that the settings name, as written; those given by address have no node name yet.

    Raises:
        UserError: the inventory has errors; then the agents are not all that were meant.
    """
    return find_agents(settings)[0]


def find_agents(settings: Settings) -> tuple[tuple[Agent, ...], tuple[Diagnostic, ...]]:
    """As :func:`known_agents`, with the warnings that there are.

    Raises:
        UserError: the inventory has errors; then the agents are not all that were meant.
    """
    default = Settings.model_fields["agents"].default
    if settings.offline and settings.agents == default and not any(Path(path).exists() for path in default):
        return (), ()
    agents, found = inventory.agents(settings.agents)
    if has_errors(found):
        raise UserError("the inventory cannot be used", found)
    return agents, found


async def load_checked(settings: Settings, *, stdin: BinaryIO | None = None) -> Loaded:
    """The policies, read in a thread.

    Raises:
        UserError: one has an error that a person must mend.
    """
    if STDIN in settings.policies and settings.pods == STDIN:
        raise UserError("policies and pods cannot both come from standard input")
    loaded = await asyncio.to_thread(load_policies, settings, stdin=stdin)
    _stop_on_errors("the policies have errors", loaded.diagnostics)
    return loaded


async def observe(
    settings: Settings,
    client: PassClient,
    loaded: Loaded,
    *,
    at: datetime,
    rng: Random,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Inputs:
    """Read everything but the policies.

    Raises:
        UserError: an input has an error that a person must mend, or a chosen node is not known; nothing is planned
            then. What merely could not be read is no such error: it is in :attr:`Inputs.unreadable`, and the planner
            holds on it.
    """
    asking = _Asking(settings, client, rng, stdin, progress or tell_nobody)
    agents, found = await asyncio.to_thread(find_agents, settings)
    named, nameless = await asking.names(agents)
    observation = (await asking.pods(named).list()).with_inventory(named)
    _stop_on_errors("the pods have errors", observation.diagnostics)

    observed = Observed.of(observation.pods, observation.nodes)
    if observation.complete:
        # Otherwise the node may be there, and the plan is held.
        check_nodes(settings.nodes, {*observed.populated, *observed.nodes, *(agent.node for agent in named)}, nameless)
    unreadable = (*loaded.unreadable, *observation.unreadable)
    at_instant, resolution = await asyncio.to_thread(_resolved, settings, loaded, observed, at, unreadable)
    accepted, silent = await asking.accepted(named, resolution)
    return Inputs(
        at=at,
        loaded=loaded,
        candidates=at_instant,
        agents=named,
        observed=observed,
        resolution=resolution,
        accepted=accepted,
        unreachable=_once(nameless, observation, silent),
        unreadable=unreadable,
        diagnostics=(*loaded.diagnostics, *found, *observation.diagnostics),
    )


def _resolved(
    settings: Settings, loaded: Loaded, observed: Observed, at: datetime, unreadable: tuple[str, ...]
) -> tuple[tuple[Candidate, ...], Resolution]:
    at_instant = candidates(loaded.policies, at)
    with collector_paused():
        return at_instant, resolve(at_instant, observed, settings.planning_options(unreadable))


@dataclass(frozen=True, slots=True)
class _Asking:
    """How agents are asked during one pass; under ``--offline`` none is."""

    settings: Settings
    client: PassClient
    rng: Random
    stdin: BinaryIO | None
    tell: Progress

    async def names(self, agents: Sequence[Agent]) -> tuple[tuple[Agent, ...], tuple[Unreachable, ...]]:
        if self.settings.offline:
            return tuple(agent for agent in agents if agent.node), ()
        identified = await identify(self.client, agents, rng=self.rng, backoff=backoff(self.settings))
        return identified.agents, identified.unreachable

    def pods(self, agents: tuple[Agent, ...]) -> PodSource:
        if self.settings.pods != LOCAL:
            return FileSource(self.settings.pods, stdin=self.stdin)
        if self.settings.offline:
            raise UserError("--offline asks no agent, so pods must come from a file: --pods FILE")
        options = self.settings.planning_options()
        asked = [agent for agent in agents if options.plans_node(agent.node)]
        return LocalSource(self.client, asked, rng=self.rng, backoff=backoff(self.settings))

    async def accepted(
        self, agents: tuple[Agent, ...], resolution: Resolution
    ) -> tuple[Mapping[str, Accepted], tuple[Unreachable, ...]]:
        options = self.settings.planning_options()
        if self.settings.offline:
            nodes = {*resolution.observed.populated, *(agent.node for agent in agents)}
            return {node: Accepted(node) for node in sorted(nodes) if options.plans_node(node)}, ()
        asked = tuple(agent for agent in agents if options.plans_node(agent.node))
        counted = Counted("observe", len(asked), self.tell)
        wanted = [resolution.desired(agent.node) for agent in asked]
        return await read_accepted(
            self.client,
            asked,
            {node.digest: node.intents for node in wanted},
            rng=self.rng,
            backoff=backoff(self.settings),
            report=lambda _node, _good: counted(),
        )


class Counted:
    """Tells how far a phase is; each call is one step."""

    def __init__(self, phase: str, of: int, tell: Progress) -> None:
        self._phase = phase
        self._of = of
        self._tell = tell
        self._done = 0
        tell(phase, 0, of)

    def __call__(self) -> None:
        """One more is done."""
        self._done += 1
        self._tell(self._phase, self._done, self._of)


def _once(
    nameless: Sequence[Unreachable], observation: Observation, silent: Sequence[Unreachable]
) -> tuple[Unreachable, ...]:
    # A node whose pods could not be asked for does not answer the second question either; the first reason stands.
    found: dict[str, Unreachable] = {}
    for one in (*nameless, *observation.unreachable, *silent):
        found.setdefault(one.node, one)
    return tuple(found.values())


def _stop_on_errors(message: str, diagnostics: Sequence[Diagnostic]) -> None:
    if has_errors(one for one in diagnostics if one.code is not Code.UNREADABLE):
        raise UserError(message, diagnostics)


def tell_nobody(_phase: str, _done: int, _of: int) -> None:
    """Progress for nobody."""
