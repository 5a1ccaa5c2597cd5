"""Short ways to write what planning reads, and to let an agent accept a plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Action, Plan
from gthulhu_reconcile.model.pods import Container, Phase, Pod
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
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.planner import plan
from gthulhu_wire.intents import Intent, OnDelete, PodRef, PolicyRef, Schedule, digest, ordered

ME = Options(owner="me")


def label(key: str, *values: str) -> Requirement:
    """``key in (values)``."""
    return Requirement(key, Operator.IN, values)


def policy(
    name: str,
    *,
    namespaces: Sequence[str] = (),
    labels: Sequence[Requirement] = (),
    nodes: NodeTerms | None = None,
    containers: Sequence[str] = (),
    units: Sequence[str] = (),
    cgroups: Sequence[str] = (),
    command: str | None = None,
    precedence: int = 0,
    schedule: Schedule | None = None,
    on_delete: OnDelete = OnDelete.REVERT,
    kind: PolicyKind = PolicyKind.SCHEDULING,
    namespace: str = "default",
    source: str = "policies/all.yaml",
    line: int = 1,
    window: Window | None = None,
    suspension: Suspension | None = None,
    standing: Standing = Standing.ACTIVE,
    ends_at: int | None = None,
) -> Candidate:
    """A candidate; without any term it selects everything."""
    return Candidate(
        Policy(
            kind=kind,
            ref=PolicyRef(namespace, name, source),
            line=line,
            precedence=precedence,
            selector=Selector(
                namespaces=tuple(namespaces),
                labels=tuple(labels),
                nodes=nodes or NodeTerms(),
                containers=tuple(containers),
                units=tuple(units),
                cgroups=tuple(cgroups),
                command=command,
            ),
            schedule=schedule or Schedule(priority=5),
            on_delete=on_delete,
            window=window,
            suspension=suspension,
        ),
        standing,
        ends_at,
    )


def node_policy(name: str, **parts: object) -> Candidate:
    """A candidate for nodes themselves."""
    return policy(name, kind=PolicyKind.NODE, **parts)  # type: ignore[arg-type]  # the keywords of policy()


def pod(
    name: str,
    *,
    node: str = "n1",
    namespace: str = "shop",
    uid: str = "",
    labels: Mapping[str, str] | None = None,
    containers: Mapping[str, str] | None = None,
    phase: Phase = Phase.RUNNING,
) -> Pod:
    """A pod whose uid is its name, with one container, unless said otherwise."""
    made = {"app": f"{name}-app"} if containers is None else containers
    return Pod(
        ref=PodRef(namespace, name, uid or name),
        node=node,
        labels=labels or {},
        phase=phase,
        containers=tuple(Container(key, value) for key, value in made.items()),
    )


def pods(count: int, **parts: object) -> list[Pod]:
    """``count`` pods that differ in their names only."""
    return [pod(f"pod-{number:03d}", **parts) for number in range(count)]  # type: ignore[arg-type]  # those of pod()


def fresh(*nodes: str) -> dict[str, Accepted]:
    """Agents that hold nothing."""
    return {node: Accepted(node) for node in nodes}


def holding(node: str, intents: Iterable[Intent], *, owner: str = "me", generation: int = 1) -> Accepted:
    """An agent that holds ``intents``."""
    kept = ordered(intents)
    return Accepted(node, owner=owner, generation=generation, digest=digest(kept), intents=kept)


def applied(made: Plan, accepted: Mapping[str, Accepted]) -> dict[str, Accepted]:
    """What the agents hold after ``made`` was executed: whole sets, on the nodes that it says it changes."""
    after = dict(accepted)
    for node in made.changed_nodes:
        after[node] = holding(node, made.desired[node], generation=made.bases[node].generation + 1)
    return after


def by_changes(made: Plan, node: str) -> tuple[Intent, ...]:
    """What the node holds after the changes were done one by one."""
    kept = {intent.key: intent for intent in made.bases[node].intents}
    for change in made.changes:
        if change.node != node:
            continue
        if change.before is not None:
            assert kept.pop(change.before.key) == change.before
        if change.action in (Action.ADD, Action.UPDATE):
            assert change.after is not None
            assert change.after.key not in kept
            kept[change.after.key] = change.after
    return ordered(kept.values())


def settled(
    candidates: Sequence[Candidate], observed: Observed, nodes: Sequence[str] = ("n1",), options: Options = ME
) -> dict[str, Accepted]:
    """Agents that hold just what ``candidates`` ask for."""
    return applied(plan(candidates, observed, fresh(*nodes), options), fresh(*nodes))
