"""The intents of one set by whom they reach, so that one group is bound at the cost of its own intents."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.enforcing.binding import CommandRule, IntentKey
from gthulhu_wire.globs import any_matches
from gthulhu_wire.intents import Intent

_MAX_CHOICES = 16_384


class Where(Protocol):
    """A group, or the place where one would be."""

    @property
    def kind(self) -> GroupKind:
        """Container, pod, host or declared."""
        ...

    @property
    def cgroup(self) -> str | None:
        """Its path."""
        ...

    @property
    def pod_uid(self) -> str:
        """Empty for the host."""
        ...

    @property
    def container_id(self) -> str:
        """Empty where there is none."""
        ...

    @property
    def unit(self) -> str:
        """The systemd unit of a host's group."""
        ...


class Ranks:
    """Some intents in order of rank, and the rules that they make. The same rules are the same object each time.

    Attributes:
        intents: the strongest first.
        everywhere: none of them is for chosen containers only.
    """

    def __init__(self, intents: Iterable[Intent]) -> None:
        self.intents = tuple(sorted(intents, key=_rank))
        self._rules = tuple(map(_rule, self.intents))
        self.everywhere = all(intent.containers is None for intent in self.intents)
        ends = [intent.terms.ends_at for intent in self.intents if intent.terms.ends_at is not None]
        self._first_end = min(ends, default=None)
        self._parts: dict[tuple[int, ...], Ranks] = {}
        self._left: dict[int, tuple[tuple[CommandRule, ...], tuple[IntentKey, ...]]] = {}

    def part(self, chosen: tuple[int, ...]) -> Ranks:
        """Those at the places ``chosen``."""
        if len(chosen) == len(self.intents):
            return self
        known = self._parts.get(chosen)
        if known is None:
            known = self._parts[chosen] = Ranks(self.intents[place] for place in chosen)
        return known

    def at(self, now: int) -> tuple[tuple[CommandRule, ...], tuple[IntentKey, ...]]:
        """The rules that stand at ``now`` (Unix seconds), and the intents that have ended by then."""
        if self._first_end is None or now < self._first_end:
            return self._rules, ()
        ended = [place for place, intent in enumerate(self.intents) if _has_ended(intent, now)]
        if len(ended) not in self._left:
            gone = set(ended)
            rules = tuple(rule for place, rule in enumerate(self._rules) if place not in gone)
            # What has ended at one time has ended at every later one, so their number says which they are.
            self._left[len(ended)] = rules, tuple(self.intents[place].key for place in ended)
        return self._left[len(ended)]


class Ranked:
    """All intents of a node; made once per set. Belongs to one thread at a time."""

    def __init__(self, intents: Sequence[Intent], protected_units: Sequence[str] = ()) -> None:
        self._protected = tuple(protected_units)
        by_pod: dict[str, list[Intent]] = {}
        of_node: list[Intent] = []
        for intent in intents:
            (of_node if intent.pod is None else by_pod.setdefault(intent.pod.uid, [])).append(intent)
        self._by_pod = {uid: Ranks(mine) for uid, mine in by_pod.items()}
        self._of_node = Ranks(of_node)
        self._choices: dict[tuple[str | None, str], tuple[int, ...]] = {}

    def reaches(self, where: Where) -> bool:
        """Whether any intent is for what runs there."""
        return bool(self.of(where).intents)

    def of(self, where: Where) -> Ranks:
        """The intents that are for what runs there."""
        if where.kind is not GroupKind.HOST:
            ranks = self._by_pod.get(where.pod_uid, _NONE)
            if ranks.everywhere:
                return ranks
            chosen = (at for at, intent in enumerate(ranks.intents) if _takes_container(intent, where.container_id))
            return ranks.part(tuple(chosen))
        if not self._of_node.intents:
            return _NONE
        key = where.cgroup, where.unit
        if key not in self._choices:
            if len(self._choices) >= _MAX_CHOICES:
                self._choices.clear()
            self._choices[key] = tuple(
                at
                for at, intent in enumerate(self._of_node.intents)
                if _takes_host_group(intent, where, self._protected)
            )
        return self._of_node.part(self._choices[key])


def _rank(intent: Intent) -> int:
    return intent.rank


def _takes_container(intent: Intent, container_id: str) -> bool:
    return intent.containers is None or (container_id != "" and container_id in intent.containers)


def _takes_host_group(intent: Intent, group: Where, protected_units: Sequence[str]) -> bool:
    terms = intent.terms
    if group.cgroup is not None and any(part.startswith("kubepods") for part in group.cgroup.split("/")):
        return False
    if group.unit and any_matches(protected_units, group.unit) and group.unit not in terms.released:
        return False
    if terms.units and not (group.unit and any_matches(terms.units, group.unit)):
        return False
    return not terms.cgroups or (group.cgroup is not None and _below_any(group.cgroup, terms.cgroups))


def _below_any(cgroup: str, patterns: Sequence[str]) -> bool:
    """Whether one of ``patterns`` matches ``cgroup`` or a cgroup above it; a cgroup brings all that is below it."""
    parts = cgroup.rstrip("/").split("/")
    return any(any_matches(patterns, "/".join(parts[:depth]) or "/") for depth in range(1, len(parts) + 1))


def _has_ended(intent: Intent, now: int) -> bool:
    return intent.terms.ends_at is not None and intent.terms.ends_at <= now


def _rule(intent: Intent) -> CommandRule:
    terms = intent.terms
    return CommandRule(
        intent=intent.key,
        schedule=terms.schedule,
        command=terms.command,
        command_on=terms.command_on,
        on_delete=terms.on_delete,
    )


_NONE = Ranks(())
