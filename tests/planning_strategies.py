"""Random clusters and policies, small enough that policies meet, shadow and tie all the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import TypeVar

from hypothesis import strategies as st

from gthulhu_reconcile.model.pods import Container, Node, Phase, Pod
from gthulhu_reconcile.model.policy import (
    Candidate,
    NodeTerms,
    Operator,
    Policy,
    PolicyKind,
    Requirement,
    Selector,
    Standing,
    Suspension,
    Window,
)
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import NamespaceLimits, Options, Protection
from gthulhu_wire.intents import CommandOn, OnDelete, PodRef, PolicyRef, Schedule

_T = TypeVar("_T")
NODES = ("n1", "n2", "m1")
NAMESPACES = ("a", "a", "b", "ab", "kube-system")
_KEYS = ("x", "y", "z")
_VALUES = ("1", "2", "3")
_CONTAINERS = ("c", "d", "e")
_UNITS = ("kubelet.service", "cron.service", "backup-*.service")


def some(values: Sequence[str], most: int = 2, least: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    """At least ``least`` and at most ``most`` different ones."""
    return st.sampled_from([chosen for size in range(least, most + 1) for chosen in combinations(values, size)])


requirements = st.builds(
    Requirement, st.sampled_from(_KEYS), st.sampled_from((Operator.IN, Operator.NOT_IN)), some(_VALUES, least=1)
) | st.builds(Requirement, st.sampled_from(_KEYS), st.sampled_from((Operator.EXISTS, Operator.DOES_NOT_EXIST)))

few_requirements = st.sampled_from((0, 0, 1, 2)).flatmap(
    lambda count: st.lists(requirements, min_size=count, max_size=count).map(tuple)
)


def seldom(values: st.SearchStrategy[_T], usual: _T) -> st.SearchStrategy[_T]:
    """``usual`` in most cases, so that policies select something."""
    return st.sampled_from((True, True, False)).flatmap(lambda use: st.just(usual) if use else values)


node_terms = seldom(
    st.builds(
        NodeTerms,
        names=some(("n1", "n*", "?1", "m1"), 1),
        labels=st.lists(requirements, max_size=1).map(tuple),
    ),
    NodeTerms(),
)

schedules = st.builds(
    Schedule,
    priority=st.integers(-2, 2),
    time_slice_ns=st.sampled_from((None, 100_000, 5_000_000)),
    preempt=st.booleans(),
)

_commands = st.sampled_from((*(None,) * 6, "^a$", "^(a|b)$", "worker"))


def _selector(kind: PolicyKind) -> st.SearchStrategy[Selector]:
    nothing: st.SearchStrategy[tuple[str, ...]] = st.just(())
    pods = kind is PolicyKind.SCHEDULING
    return st.builds(
        Selector,
        namespaces=seldom(some((*NAMESPACES[1:], "a*", "kube-*", "*")), ()) if pods else nothing,
        labels=few_requirements if pods else st.just(()),
        nodes=node_terms,
        containers=seldom(some(_CONTAINERS), ()) if pods else nothing,
        units=nothing if pods else some(_UNITS),
        cgroups=nothing if pods else some(("/user.slice", "/batch/*"), 1),
        command=_commands,
        command_on=st.sampled_from(CommandOn),
    )


@st.composite
def _candidates(draw: st.DrawFn, name: str) -> Candidate:
    kind = draw(st.sampled_from((PolicyKind.SCHEDULING, PolicyKind.SCHEDULING, PolicyKind.NODE)))
    window = draw(st.sampled_from((None, None, Window("0 8 * * *", 3600, "UTC"))))
    suspension = draw(st.sampled_from((None, None, None, Suspension("maintenance", 1_900_000_000))))
    standing = Standing.ACTIVE
    if suspension is not None:
        standing = draw(st.sampled_from((Standing.ACTIVE, Standing.SUSPENDED)))
    elif window is not None:
        standing = draw(st.sampled_from((Standing.ACTIVE, Standing.INACTIVE)))
    ends_at = None
    if window is not None and standing is Standing.ACTIVE:
        ends_at = draw(st.sampled_from((1_800_000_000, 1_800_003_600)))
    return Candidate(
        Policy(
            kind=kind,
            ref=PolicyRef(
                draw(st.sampled_from(("default", "team"))), name, draw(st.sampled_from(("p.yaml", "q.yaml")))
            ),
            line=draw(st.integers(1, 50)),
            precedence=draw(st.integers(0, 1)),
            selector=draw(_selector(kind)),
            schedule=draw(schedules),
            on_delete=draw(st.sampled_from((OnDelete.REVERT, OnDelete.REVERT, OnDelete.ORPHAN))),
            window=window,
            suspension=suspension,
        ),
        standing,
        ends_at,
    )


candidates = st.lists(st.sampled_from("pqrstuvw"), min_size=1, max_size=7, unique=True).flatmap(
    lambda names: st.tuples(*(_candidates(name) for name in names))
)

labels = st.dictionaries(st.sampled_from(_KEYS), st.sampled_from((*_VALUES, "other")))


@st.composite
def pod_of(draw: st.DrawFn, uid: str) -> Pod:
    """A pod of that uid."""
    names = draw(some(_CONTAINERS, 3))
    return Pod(
        ref=PodRef(draw(st.sampled_from(NAMESPACES)), draw(st.sampled_from(("web", "db"))) + uid, uid),
        node=draw(st.sampled_from((*NODES, *NODES, *NODES, "elsewhere", ""))),
        labels=draw(labels),
        phase=draw(st.sampled_from((*(Phase.RUNNING,) * 5, Phase.PENDING, Phase.SUCCEEDED, Phase.FAILED))),
        containers=tuple(Container(name, draw(st.sampled_from((f"{uid}-{name}", "")))) for name in names),
    )


UIDS = tuple(f"u{number}" for number in range(9))
pods = st.lists(st.sampled_from(UIDS), min_size=1, max_size=9, unique=True).flatmap(
    lambda uids: st.tuples(*(pod_of(uid) for uid in uids))
)
nodes = st.lists(st.sampled_from(NODES), max_size=3, unique=True).flatmap(
    lambda names: st.tuples(*(st.builds(Node, st.just(name), labels) for name in names))
)

options = st.builds(
    Options,
    owner=st.just("me"),
    protection=st.builds(
        Protection,
        namespaces=st.sampled_from((("kube-system",), ("kube-*",))),
        units=st.just(("kubelet.service",)),
        released=some(("kube-system", "kubelet.service")),
    ),
    limits=st.sampled_from(
        (
            (),
            (("a", NamespaceLimits(priority_max=1)), ("*", NamespaceLimits(preempt=False))),
            (("a*", NamespaceLimits(time_slice_min_ns=1_000_000)), ("b", NamespaceLimits(priority_min=0))),
        )
    ),
)


@dataclass(frozen=True)
class World:
    """Everything that a plan is made from."""

    candidates: tuple[Candidate, ...]
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]
    options: Options

    @property
    def observed(self) -> Observed:
        """The index of it."""
        return Observed.of(self.pods, self.nodes)


worlds = st.builds(World, candidates, pods, nodes, options)


@st.composite
def later(draw: st.DrawFn, world: World) -> World:
    """The same world some time after: policies edited, added and removed, pods changed, added and gone."""
    edited: list[Candidate] = []
    for candidate in world.candidates:
        other = draw(_candidates(candidate.policy.ref.name))
        kind, policy = draw(st.sampled_from(_EDITS)), candidate.policy
        if kind == "gone":
            continue
        edits: dict[str, dict[str, object]] = {
            "schedule": {"schedule": other.policy.schedule},
            "rank": {"precedence": 1 - policy.precedence},
            "source": {"ref": PolicyRef(policy.ref.namespace, policy.ref.name, "moved.yaml")},
            "selector": {"selector": draw(_selector(policy.kind))},
        }
        if kind in edits:
            policy = replace(policy, **edits[kind])  # type: ignore[arg-type]  # fields of a policy
        standing, ends_at = candidate.standing, candidate.ends_at
        if kind == "time" and (policy.window or policy.suspension):
            standing, ends_at = other.standing, other.ends_at
        edited.append(Candidate(policy, standing, ends_at))
    names = {candidate.policy.ref.name for candidate in world.candidates}
    edited.extend(one for one in draw(candidates) if one.policy.ref.name not in names and draw(st.booleans()))
    stays = [pod for pod in world.pods if draw(st.sampled_from((True, True, True, False)))]
    changed = {pod.ref.uid: pod for pod in draw(pods) if draw(st.booleans())}
    kept = [pod for pod in stays if pod.ref.uid not in changed]
    return World(
        tuple(edited), (*kept, *changed.values()), world.nodes, draw(st.sampled_from((world.options, draw(options))))
    )


_EDITS = (*("none",) * 6, "gone", "schedule", "rank", "source", "selector", "time")
