"""Which of many rules takes a thread, in the time that a few take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gthulhu_agent.discovery.snapshot import Process, Thread
from gthulhu_agent.enforcing.binding import CommandRule, IntentKey
from gthulhu_agent.enforcing.patterns import PatternError, Patterns
from gthulhu_wire.intents import CommandOn

_MAX_ANSWERS = 4096


class FirstMatch:
    """The rules of one binding, strongest first. A bad pattern silences its own rule only.

    Attributes:
        bad: patterns that cannot be used, by intent.
    """

    def __init__(self, rules: Sequence[CommandRule], patterns: Patterns) -> None:
        self.rules = rules
        self.version = patterns.version
        self._patterns = patterns
        self._places: dict[CommandOn, dict[int, int]] = {}
        self._always = len(rules)
        self._answers: dict[tuple[str, str, str], CommandRule | None] = {}
        bad: list[tuple[IntentKey, str]] = []
        for place, rule in enumerate(rules):
            if rule.command is None:
                self._always = min(self._always, place)
                continue
            try:
                number = patterns.number(rule.command)
            except PatternError as error:
                bad.append((rule.intent, str(error)))
            else:
                self._places.setdefault(rule.command_on, {}).setdefault(number, place)
        self.bad = tuple(bad)
        self._on = frozenset(self._places)

    def of(self, process: Process, thread: Thread) -> CommandRule | None:
        """The first rule that takes ``thread``; None where none does."""
        if not self._places:
            return self._at(self._always)
        key = (
            process.comm if CommandOn.COMM in self._on else "",
            thread.name if CommandOn.THREAD in self._on else "",
            process.argv0 if CommandOn.ARGV0 in self._on else "",
        )
        if key not in self._answers:
            if len(self._answers) >= _MAX_ANSWERS:
                self._answers.clear()
            self._answers[key] = self._at(self._first(key))
        return self._answers[key]

    def _first(self, key: tuple[str, str, str]) -> int:
        first = self._always
        for command_on, text in zip((CommandOn.COMM, CommandOn.THREAD, CommandOn.ARGV0), key, strict=True):
            places = self._places.get(command_on)
            if places is not None:
                first = min(first, _first_of(places, self._patterns.matching(text), first))
        return first

    def _at(self, place: int) -> CommandRule | None:
        return self.rules[place] if place < len(self.rules) else None


def _first_of(places: Mapping[int, int], found: frozenset[int], least: int) -> int:
    if len(found) < len(places):
        return min((places[number] for number in found if number in places), default=least)
    return next((place for number, place in places.items() if number in found), least)


class FirstMatches:
    """Prepared rules, kept while the very same rules come again: thousands of groups share a few."""

    def __init__(self, patterns: Patterns) -> None:
        self._patterns = patterns
        self._kept: dict[int, FirstMatch] = {}
        self._used: dict[int, FirstMatch] = {}

    def of(self, rules: Sequence[CommandRule]) -> FirstMatch:
        """``rules``, prepared."""
        # By identity: to compare or to hash rules costs what preparing them does. The object is kept with it.
        known = self._used.get(id(rules)) or self._kept.get(id(rules))
        if known is None or known.rules is not rules or known.version != self._patterns.version:
            known = FirstMatch(rules, self._patterns)
        self._used[id(rules)] = known
        return known

    def learn(self, rules_of_all: Sequence[Sequence[CommandRule]]) -> None:
        """All rules that are to come: their patterns are compiled together, and what is not among them is dropped."""
        self._kept, self._used = self._used, {}
        different = {id(rules): rules for rules in rules_of_all}
        fresh = [rules for rules in different.values() if id(rules) not in self._kept]
        if fresh or len(self._kept) > 2 * len(different):
            self._patterns.learn(
                rule.command for rules in different.values() for rule in rules if rule.command is not None
            )
