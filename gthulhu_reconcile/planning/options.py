"""What the operator's settings say to the planner; policies cannot change any of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from gthulhu_wire.globs import any_matches, is_glob, matches
from gthulhu_wire.intents import Schedule
from gthulhu_wire.protection import PROTECTED_UNITS


@dataclass(frozen=True, slots=True)
class NamespaceLimits:
    """What schedules may ask for in a namespace; both ends are allowed, None is no limit.

    A schedule without a time slice keeps the kernel's default and is within every limit of it.
    """

    priority_min: int | None = None
    priority_max: int | None = None
    preempt: bool = True
    time_slice_min_ns: int | None = None
    time_slice_max_ns: int | None = None

    def breach(self, schedule: Schedule) -> str:
        """The first limit that ``schedule`` breaks, as in "priority 12 is above 5"; empty where it keeps all."""
        if problem := _outside("priority", schedule.priority, self.priority_min, self.priority_max):
            return problem
        if schedule.preempt and not self.preempt:
            return "preempt is not allowed"
        slice_ns = schedule.time_slice_ns
        if slice_ns is None:
            return ""
        return _outside("timeSlice in ns", slice_ns, self.time_slice_min_ns, self.time_slice_max_ns)


LimitsByNamespace = tuple[tuple[str, NamespaceLimits], ...]
"""Exact names or globs of namespaces, with their limits."""


def limits_of(limits: LimitsByNamespace, namespace: str) -> NamespaceLimits | None:
    """The limits of ``namespace``: its exact name's, else the first glob's that matches it.

    They bind the pods of the namespace, whoever owns the policy; a node policy is bound by those of the
    namespace that owns it, since a node has none.
    """
    for pattern, found in limits:
        if pattern == namespace:
            return found
    return next((found for pattern, found in limits if is_glob(pattern) and matches(pattern, namespace)), None)


@dataclass(frozen=True, slots=True)
class Protection:
    """What policies do not reach unless they name it exactly and ``released`` has that name too.

    Attributes:
        namespaces: exact or glob.
        units: systemd units, exact or glob; the agent knows them as well and adds itself by pid.
        released: exact names of namespaces and units.
    """

    namespaces: tuple[str, ...] = ("kube-system",)
    units: tuple[str, ...] = PROTECTED_UNITS
    released: tuple[str, ...] = ()

    def protects_namespace(self, namespace: str) -> bool:
        """Whether ``namespace`` is protected, released or not."""
        return any_matches(self.namespaces, namespace)

    def protects_unit(self, unit: str) -> bool:
        """Whether ``unit`` is protected, released or not."""
        return any_matches(self.units, unit)

    def bars_namespace(self, namespace: str, named: tuple[str, ...]) -> bool:
        """Whether a policy whose selector's namespaces are ``named`` may not reach the pods of ``namespace``."""
        return self.protects_namespace(namespace) and not (namespace in named and namespace in self.released)

    def released_units(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``named``, a node policy's units, that the operator releases, sorted.

        Whether this list protects them does not matter: an agent's own list may, and it asks for the release.
        """
        return tuple(sorted(set(named) & set(self.released)))


@dataclass(frozen=True, slots=True)
class Options:
    """How to plan.

    Attributes:
        owner: name of this installation; a node that another one owns is left alone.
        adopt: take over nodes that another owner holds.
        protection: what policies do not reach by accident.
        limits: per namespace, what schedules may ask for.
        mass_floor: so many pods may always be updated or deleted in one plan.
        mass_fraction: share of the managed pods, 0 to 1, that may be, where that is more.
        approve: id of a held plan that a person has released; the hold of no other plan is.
        unreadable: inputs that could not be read in full, as shown to people; with any, nothing changes.
        only_nodes: exact or glob; empty plans every node.
    """

    owner: str
    adopt: bool = False
    protection: Protection = field(default_factory=Protection)
    limits: LimitsByNamespace = ()
    mass_floor: int = 5
    mass_fraction: float = 0.2
    approve: str | None = None
    unreadable: tuple[str, ...] = ()
    only_nodes: tuple[str, ...] = ()

    def plans_node(self, node: str) -> bool:
        """Whether ``only_nodes`` lets ``node`` be planned."""
        return not self.only_nodes or any_matches(self.only_nodes, node)


def _outside(what: str, value: int, low: int | None, high: int | None) -> str:
    if low is not None and value < low:
        return f"{what} {value} is below {low}"
    if high is not None and value > high:
        return f"{what} {value} is above {high}"
    return ""
