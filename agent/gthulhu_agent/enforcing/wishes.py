"""From bindings to wishes: what each thread and each cgroup shall have. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from gthulhu_agent.enforcing.binding import Binding, CommandRule, IntentKey
from gthulhu_agent.enforcing.carriers import Placed
from gthulhu_agent.enforcing.deciding import Wish
from gthulhu_agent.enforcing.matching import Matched
from gthulhu_agent.enforcing.priorities import slice_of
from gthulhu_agent.enforcing.weights import WeightWish
from gthulhu_wire.intents import OnDelete


@dataclass(frozen=True, slots=True)
class Part:
    """One binding with its threads and with what carries its priority."""

    binding: Binding
    matched: Matched
    placed: Placed


@dataclass(frozen=True, slots=True)
class Bound:
    """A thread, its rule, and the cgroup whose weight carries its priority; None where nice has to."""

    wish: Wish
    rule: CommandRule
    carrier: str | None


@dataclass(slots=True)
class ThreadWishes:
    """Threads that rules take, and those beside them that no rule takes."""

    bound: list[Bound] = field(default_factory=list)
    bystanders: list[Wish] = field(default_factory=list)


def weight_wishes(parts: Sequence[Part]) -> dict[str, WeightWish]:
    """What the carriers of all parts shall carry. A priority of 0 is the owner's own weight, and no wish."""
    rules: dict[str, dict[IntentKey, CommandRule]] = {}
    for part in parts:
        if part.placed.carrier is not None and part.placed.priority:
            mine = rules.setdefault(part.placed.carrier, {})
            mine.update((taken.rule.intent, taken.rule) for taken in part.matched.taken if taken.rule is not None)
    return {carrier: _weight_wish(list(mine.values())) for carrier, mine in rules.items()}


def thread_wishes(parts: Sequence[Part], carried: Collection[str], *, slices: bool, nice: bool) -> ThreadWishes:
    """What each thread shall have.

    Args:
        parts: all bindings.
        carried: cgroups that can carry a weight here; elsewhere nice has to.
        slices: the kernel keeps a slice per thread.
        nice: nice values can be put back.
    """
    wishes = ThreadWishes()
    for part in parts:
        group, placed = part.binding.group, part.placed
        carrier = placed.carrier if placed.carrier in carried else None
        for taken in part.matched.taken:
            rule, thread, pid = taken.rule, taken.thread.id, taken.process.id.tid
            if rule is None:
                wishes.bystanders.append(Wish(thread, pid, group.cgroup or "", ("", "", "")))
                continue
            wish = Wish(
                thread=thread,
                pid=pid,
                cgroup=group.cgroup or "",
                intent=rule.intent,
                orphan=rule.on_delete is OnDelete.ORPHAN,
                slice_ns=slice_of(rule.schedule) if slices else None,
                priority=0 if carrier is not None or not nice else rule.schedule.priority,
            )
            wishes.bound.append(Bound(wish, rule, carrier))
    return wishes


def _weight_wish(rules: Sequence[CommandRule]) -> WeightWish:
    return WeightWish(
        priority=rules[0].schedule.priority,
        intents=tuple(sorted(rule.intent for rule in rules)),
        orphan=all(rule.on_delete is OnDelete.ORPHAN for rule in rules),
    )
