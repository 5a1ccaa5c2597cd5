"""From what became of threads and weights to the state of each intent. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.binding import CommandRule, IntentKey
from gthulhu_agent.enforcing.cgroups import WeightScale
from gthulhu_agent.enforcing.priorities import slice_of, steps_between
from gthulhu_agent.enforcing.protocol import IntentState, Refused
from gthulhu_agent.enforcing.refusing import NICE_ONLY, NO_CUSTOM_SLICE, NO_WAY_BACK, untouchable
from gthulhu_agent.enforcing.sched_attr import Ability, Policy
from gthulhu_agent.enforcing.threads import Found
from gthulhu_agent.enforcing.weights import WeightFound
from gthulhu_agent.enforcing.wishes import Bound
from gthulhu_wire.intents import Schedule

SAMPLE = 16
"""So many of an intent's threads are named in its state."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one apply came to, by thread and by cgroup. ``ability`` None: threads are out of reach, ``why`` says so."""

    threads: Mapping[TaskId, Found]
    weights: Mapping[str, WeightFound]
    scale: WeightScale
    ability: Ability | None
    why: tuple[Refused, ...] = ()


def states(
    rules: Iterable[CommandRule],
    bound: Sequence[Bound],
    bad_patterns: Iterable[tuple[IntentKey, str]],
    outcome: Outcome,
) -> dict[IntentKey, IntentState]:
    """The state of every intent that has a rule in some binding."""
    mine: dict[IntentKey, list[Bound]] = {}
    schedules: dict[IntentKey, Schedule] = {}
    for rule in rules:
        mine.setdefault(rule.intent, [])
        schedules[rule.intent] = rule.schedule
    for one in bound:
        mine[one.rule.intent].append(one)
    patterns = {
        key: Refused("pattern", why, "see https://github.com/google/re2/wiki/Syntax") for key, why in bad_patterns
    }
    return {
        key: _state(schedules[key], held, (patterns[key],) if key in patterns else (), outcome)
        for key, held in mine.items()
    }


def _state(schedule: Schedule, held: Sequence[Bound], given: tuple[Refused, ...], outcome: Outcome) -> IntentState:
    # With threads out of reach nothing was found about any; they are there all the same.
    there = [one for one in held if outcome.ability is None or one.wish.thread in outcome.threads]
    if not there:
        return IntentState(refused=given)
    faults = [*given, *outcome.why, *_faults(there, outcome)]
    lacks = list(_lacks(schedule, there, outcome))
    # On an old kernel a schedule comes true as far as its priority does; without one nothing of it does.
    faults += [lack for lack in lacks if lack is not NO_CUSTOM_SLICE or not schedule.priority]
    threads = [found for one in there if (found := outcome.threads.get(one.wish.thread)) and found.touchable]
    nices = [found.attributes.nice for found in threads if found.attributes and found.nice_from is not None]
    weights = [found.now for found in _carriers(there, outcome) if found.now != found.owner]
    return IntentState(
        threads=len(there),
        processes=len({one.wish.pid for one in there}),
        enforced=not faults,
        effective=_effective(schedule, there, threads, outcome),
        weight=outcome.scale.as_weight(weights[0]) if weights and schedule.priority else None,
        nice=nices[0] if nices else None,
        refused=tuple(dict.fromkeys((*faults, *lacks, *_notes(there, outcome)))),
        sample=tuple(one.wish.thread for one in there[:SAMPLE]),
    )


def _faults(held: Sequence[Bound], outcome: Outcome) -> Iterable[Refused]:
    for carried in _carriers(held, outcome):
        yield from carried.refused
    for one in held:
        if (found := outcome.threads.get(one.wish.thread)) is not None:
            yield from found.refused


def _carriers(held: Sequence[Bound], outcome: Outcome) -> list[WeightFound]:
    paths = dict.fromkeys(one.carrier for one in held if one.carrier is not None)
    return [outcome.weights[path] for path in paths if path in outcome.weights]


def _lacks(schedule: Schedule, held: Sequence[Bound], outcome: Outcome) -> Iterable[Refused]:
    """What this kernel cannot do for anybody."""
    if outcome.ability is None:
        return
    if slice_of(schedule) is not None and not outcome.ability.custom_slice:
        yield NO_CUSTOM_SLICE
    if schedule.priority and not outcome.ability.nice_back and any(one.carrier is None for one in held):
        yield NO_WAY_BACK


def _notes(held: Sequence[Bound], outcome: Outcome) -> Iterable[Refused]:
    """What is as it has to be, and still not what a reader of the policy may expect."""
    if any(one.wish.priority for one in held):
        yield NICE_ONLY
    policies = [
        found.attributes.policy
        for one in held
        if (found := outcome.threads.get(one.wish.thread)) and found.attributes and not found.touchable
    ]
    if policies:
        yield untouchable("/".join(sorted({_name(policy) for policy in policies})), len(policies))


def _name(policy: int) -> str:
    return f"SCHED_{Policy(policy).name}" if policy in set(Policy) else f"policy {policy}"


def _effective(
    schedule: Schedule, held: Sequence[Bound], threads: Sequence[Found], outcome: Outcome
) -> Schedule | None:
    reached = [steps_between(found.owner, found.now) for found in _carriers(held, outcome) if found.owner]
    reached += [
        found.nice_from - found.attributes.nice
        for found in threads
        if found.attributes is not None and found.nice_from is not None
    ]
    slices = [found.attributes.slice_ns for found in threads if found.attributes is not None]
    wanted = slice_of(schedule)
    slice_ns = slices[0] if wanted is not None and slices and slices[0] else None
    return Schedule(
        priority=min(reached, key=abs) if reached and schedule.priority else 0,
        time_slice_ns=slice_ns,
        preempt=schedule.preempt and slice_ns == wanted,
    )
