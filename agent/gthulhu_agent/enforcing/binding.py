"""Bindings: what an enforcer is told. A group of processes and the rules for its threads, first match wins."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import Group
from gthulhu_wire.intents import CommandOn, OnDelete, Schedule

IntentKey = tuple[str, str, str]
""":attr:`gthulhu_wire.intents.Intent.key`: pod uid ('' for the node), policy namespace, policy name."""


@dataclass(frozen=True, slots=True)
class CommandRule:
    """One intent's hold on a group. ``command`` None takes every thread that no earlier rule took."""

    intent: IntentKey
    schedule: Schedule
    command: str | None = None
    command_on: CommandOn = CommandOn.COMM
    on_delete: OnDelete = OnDelete.REVERT


@dataclass(frozen=True, slots=True)
class Binding:
    """A group and its rules, strongest first. Groups without rules are not bound."""

    group: Group
    rules: tuple[CommandRule, ...]
