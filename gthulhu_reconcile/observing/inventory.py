"""Agents from the command line: Ansible YAML inventories, folders of them, and plain addresses.

The same inventory deploys the agents, so it is read as Ansible reads it (groups, ranges, precedence of variables).
What only Ansible itself can work out (INI files, scripts, plugins, vaults, templates) is named, never skipped in
silence: a host that is overlooked would look like a node without an agent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gthulhu_reconcile.loading.source import shown, whole_file
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, has_errors
from gthulhu_reconcile.observing.ansible.files import Reader
from gthulhu_reconcile.observing.ansible.groups import ALL, Groups
from gthulhu_reconcile.observing.ansible.hosts import agent_of
from gthulhu_reconcile.transport.agents import Agent, looks_like_url, read_url

__all__ = ["AGENTS_GROUP", "Agent", "agents"]

AGENTS_GROUP = "gthulhu_agents"
"""Where an inventory has this group, only its hosts have agents; else all of its hosts have."""


def agents(arguments: Sequence[str]) -> tuple[tuple[Agent, ...], tuple[Diagnostic, ...]]:
    """The agents that ``arguments`` name, those of inventories first, and what is wrong.

    Never raises for what is in a file. Where there is an error there are no agents: half of a fleet is not the
    fleet. An agent that was given by address has no node name yet (``observing.accepted.identify``).
    """
    found: list[Diagnostic] = []
    named: list[Agent] = []
    reader = Reader()
    sources = [argument for argument in arguments if not looks_like_url(argument)]
    for source in sources:
        reader.source(source)
    if sources:
        groups = reader.finish()
        found += reader.found
        named += _of_hosts(groups, found)
        if not named and not has_errors(found):
            found.append(_nobody(sources, groups))
    for argument in arguments:
        if looks_like_url(argument):
            named += _by_address(argument, found)
    distinct = tuple(_distinct(named, found))
    failed = has_errors(found)
    return () if failed else distinct, tuple(found)


def _by_address(argument: str, found: list[Diagnostic]) -> Iterator[Agent]:
    try:
        yield Agent("", read_url(argument))
    except ValueError as error:
        found.append(whole_file("--agents", Code.BAD_FORMAT, str(error)))


def _of_hosts(groups: Groups, found: list[Diagnostic]) -> Iterator[Agent]:
    for host in groups.members(AGENTS_GROUP if AGENTS_GROUP in groups.groups else ALL):
        agent = agent_of(host, groups.variables(host))
        if isinstance(agent, Agent):
            yield agent
        else:
            found.append(agent)


def _nobody(sources: Sequence[str], groups: Groups) -> Diagnostic:
    if AGENTS_GROUP in groups.groups and groups.hosts:
        message = f"the group {AGENTS_GROUP} has no hosts"
    else:
        message = "names no hosts"
    return whole_file(", ".join(sources), Code.NO_AGENTS, message, hint="inventory/ has a commented example")


def _distinct(named: Sequence[Agent], found: list[Diagnostic]) -> Iterator[Agent]:
    nodes: dict[str, Agent] = {}
    addresses: dict[str, Agent] = {}
    for agent in named:
        same_node = nodes.setdefault(agent.node, agent) if agent.node else agent
        same_address = addresses.setdefault(agent.url, agent)
        if same_node is not agent:
            found.append(_twice(agent, f"node {shown(agent.node)} is there already, at {same_node.url}"))
        elif same_address is agent:
            yield agent
        elif agent.node and same_address.node:
            found.append(_twice(agent, f"{agent.url} is node {shown(same_address.node)} already"))
        # An address that is given beside the inventory that has it too is the same agent.


def _twice(agent: Agent, message: str) -> Diagnostic:
    hint = "gthulhu_node_name says which node a host is, ansible_host or gthulhu_agent_url where its agent is"
    if agent.span is None:
        return whole_file("--agents", Code.DUPLICATE_NODE, message, hint=hint)
    return Diagnostic(Code.DUPLICATE_NODE, Severity.ERROR, agent.span, message, hint)
