"""What a source of pods is: something that lists, and then tells what changes.

The events are those that a Kubernetes watch has, so that a file, agents and an API server are one thing to those who
plan.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from gthulhu_reconcile.model.accepted import Unreachable
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.pods import Node, Pod
from gthulhu_reconcile.transport.agents import Agent


@dataclass(frozen=True, slots=True)
class Observation:
    """What a source saw at one instant.

    Attributes:
        unreadable: what could not be read as a whole (a file, a server). Then ``pods`` is empty, and that says nothing.
        unreachable: nodes whose pods are not known, where each node is asked by itself; no more than those nodes may
            be left alone because of it.
    """

    pods: tuple[Pod, ...] = ()
    nodes: tuple[Node, ...] = ()
    unreadable: tuple[str, ...] = ()
    unreachable: tuple[Unreachable, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether a pod that is not here does not exist (but for those of ``unreachable`` nodes)."""
        return not self.unreadable

    def with_inventory(self, agents: Iterable[Agent]) -> Observation:
        """The same with a node for every agent: what Kubernetes says of a label comes before the inventory."""
        nodes = {node.name: node for node in self.nodes}
        for agent in agents:
            if not agent.node:
                continue
            seen = nodes.get(agent.node)
            if seen is None:
                nodes[agent.node] = Node(agent.node, agent.labels)
            elif agent.labels:
                nodes[agent.node] = Node(agent.node, {**agent.labels, **seen.labels})
        return replace(self, nodes=tuple(nodes.values()))


@dataclass(frozen=True, slots=True)
class PodChanged:
    """A pod is new, or not what it was."""

    pod: Pod


@dataclass(frozen=True, slots=True)
class PodGone:
    """A pod no longer exists."""

    uid: str


@dataclass(frozen=True, slots=True)
class NodeChanged:
    """A node is new, or not what it was."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeGone:
    """A node no longer exists."""

    name: str


@dataclass(frozen=True, slots=True)
class Relisted:
    """What was known is void, and this is known now: a file was replaced, a watch lost its place."""

    observation: Observation


Event = PodChanged | PodGone | NodeChanged | NodeGone | Relisted


class PodSource(Protocol):
    """Where pods and nodes are observed."""

    @property
    def title(self) -> str:
        """What people call it."""
        ...

    async def list(self) -> Observation:
        """Everything, now. What is wrong with the source is in the observation, never raised."""
        ...

    def events(self) -> AsyncIterator[Event]:
        """What changes from now on, until it is closed; never ends by itself."""
        ...
