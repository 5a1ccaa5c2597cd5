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
    """A group and its rules, strongest first. Groups that no intent reaches are not bound.

    Attributes:
        group: whose threads; without those that are protected.
        rules: may be empty where every intent of the group has ended.
        foreign: cgroups of the same pod or unit that also hold threads outside of any binding. No weight may go on
            one of them, nor above it.
        ended: intents that ended by their own ``ends_at``. What they held is put back whatever their ``on_delete``
            says: that is about the document's going away, not about the end of a window.
    """

    group: Group
    rules: tuple[CommandRule, ...]
    foreign: tuple[str, ...] = ()
    ended: tuple[IntentKey, ...] = ()
