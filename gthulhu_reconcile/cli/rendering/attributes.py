"""An intent as named attributes, so that two can be compared by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from gthulhu_reconcile.cli.rendering.words import duration, instant, short_id, visible
from gthulhu_wire.intents import Intent, OnDelete, Terms

DEFAULTS = {
    "priority": "0",
    "timeSlice": "(kernel's)",
    "preempt": "false",
    "command": "(any)",
    "containers": "(all)",
    "units": "(any)",
    "cgroups": "(any)",
    "released": "(none)",
    "rank": "0",
    "onDelete": OnDelete.REVERT.value,
    "endsAt": "(never)",
    "source": "",
}
"""Attributes in the order in which people ask for them, with what goes without saying."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a change; a side that does not exist is None."""

    name: str
    before: str | None
    after: str | None

    @property
    def changed(self) -> bool:
        """Whether both sides exist and differ."""
        return None not in (self.before, self.after) and self.before != self.after

    @property
    def value(self) -> str:
        """What is shown: ``before -> after``, or the side there is."""
        if self.changed:
            return f"{self.before} -> {self.after}"
        return self.before if self.after is None else self.after or ""  # type: ignore[return-value]  # one side exists


def compare(before: Intent | None, after: Intent | None) -> tuple[Attribute, ...]:
    """The attributes of a change that are not the default on every side there is."""
    old, new = describe(before), describe(after)
    sides = [side for side in (old, new) if side]
    return tuple(
        Attribute(name, old.get(name), new.get(name))
        for name, default in DEFAULTS.items()
        if any(side[name] != default for side in sides)
    )


def describe(intent: Intent | None) -> dict[str, str]:
    """Every attribute by name; empty where there is no intent."""
    if intent is None:
        return {}
    said = dict(_of_terms(intent.terms))
    said["rank"] = str(intent.rank)
    if intent.containers is not None:
        said["containers"] = _listed(map(short_id, intent.containers)) or DEFAULTS["containers"]
    return said


@lru_cache(maxsize=4096)
def _of_terms(terms: Terms) -> dict[str, str]:
    # All pods that a policy selects share its terms.
    wanted = terms.schedule
    said = {
        "priority": str(wanted.priority),
        "timeSlice": "" if wanted.time_slice_ns is None else duration(wanted.time_slice_ns),
        "preempt": str(wanted.preempt).lower(),
        "command": "" if terms.command is None else f'"{visible(terms.command)}" on {terms.command_on}',
        "units": _listed(map(visible, terms.units)),
        "cgroups": _listed(map(visible, terms.cgroups)),
        "released": _listed(map(visible, terms.released)),
        "onDelete": terms.on_delete.value,
        "endsAt": "" if terms.ends_at is None else instant(terms.ends_at),
    }
    return {name: said.get(name) or default for name, default in DEFAULTS.items()}


def _listed(values: Iterable[str]) -> str:
    return ", ".join(values)
