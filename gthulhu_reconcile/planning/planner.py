"""The plan: match, resolve, diff, guard. A pure function of values."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter

from gthulhu_reconcile.model.accepted import Accepted, Unreachable
from gthulhu_reconcile.model.plan import Action, Hold, Plan, Summary, Tie
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.planning import guards
from gthulhu_reconcile.planning.differ import Differ, NodeDifference
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.resolving import NodeDesired, Resolution, resolve
from gthulhu_wire.intents import Intent, PodRef, PolicyRef, canonical_json

TIE_EXAMPLES = 5
_ID_DIGITS = 12


def plan(
    candidates: Sequence[Candidate],
    observed: Observed,
    accepted: Mapping[str, Accepted],
    options: Options,
    *,
    unreachable: Sequence[Unreachable] = (),
    resolution: Resolution | None = None,
) -> Plan:
    """What has to change so that the agents hold what ``candidates`` ask for.

    Planned are the nodes of ``accepted`` that ``options.only_nodes`` lets through and that nobody else owns. Every
    other node that has pods or that a node policy takes is among the plan's ``unreachable``.

    Args:
        candidates: every policy at the planned instant, those that may not win too.
        observed: pods and nodes.
        accepted: per node, what its agent holds; its intents are read only where its digest is not the wanted one.
        options: the operator's settings.
        unreachable: nodes whose agent did not answer.
        resolution: of the same candidates, observed and options, where the caller has it already.
    """
    if resolution is None:
        resolution = resolve(candidates, observed, options)
    scope = _scope(resolution, accepted, options, unreachable)
    unread = guards.unreadable(options)
    if unread is not None:
        return _standstill(scope, resolution, unread)
    desired = {node: resolution.desired(node) for node in scope.bases}
    differ = Differ(resolution, options)
    differences = {
        node: differ.difference(node, base.intents, desired[node].intents)
        for node, base in scope.bases.items()
        if base.digest != desired[node].digest
    }
    held = guards.hold(
        differences,
        sum(wanted.count for wanted in desired.values()),
        observed.pod_count,
        lambda: _managed(scope.bases, desired, observed),
        options,
    )
    digests = {node: wanted.digest for node, wanted in desired.items()}
    plan_id = _identity(scope.bases, digests, held)
    return Plan(
        id=plan_id,
        summary=_summary(differences, desired, observed),
        changes=tuple([change for found in differences.values() for change in found.changes]),
        bases=scope.bases,
        desired=_Sets(desired),
        digests=digests,
        unreachable=scope.unreachable,
        ties=_ties(desired.values()),
        held=None if options.approve == plan_id else held,
        adopted=tuple([node for node, base in scope.bases.items() if base.owner not in ("", options.owner)]),
    )


@dataclass(frozen=True, slots=True)
class _Scope:
    """Planned nodes with what they hold, and the others with the reason; both sorted by node."""

    bases: Mapping[str, Accepted]
    unreachable: tuple[Unreachable, ...]


class _Sets(Mapping[str, tuple[Intent, ...]]):
    """Intents by node, made when they are asked for."""

    def __init__(self, holders: Mapping[str, Accepted | NodeDesired]) -> None:
        self._holders = holders

    def __getitem__(self, node: str) -> tuple[Intent, ...]:
        return self._holders[node].intents

    def __iter__(self) -> Iterator[str]:
        return iter(self._holders)

    def __len__(self) -> int:
        return len(self._holders)


def _scope(
    resolution: Resolution, accepted: Mapping[str, Accepted], options: Options, unreachable: Sequence[Unreachable]
) -> _Scope:
    left_out = {one.node: one.reason for one in unreachable}
    bases: dict[str, Accepted] = {}
    for node in sorted(accepted):
        base = accepted[node]
        if node in left_out or not options.plans_node(node):
            continue
        if base.owner in ("", options.owner) or options.adopt:
            bases[node] = base
        else:
            left_out[node] = f"owned by {base.owner}; --adopt takes it over"
    observed = resolution.observed
    for node in (*observed.populated, *observed.nodes):
        if node in accepted or node in left_out or not options.plans_node(node):
            continue
        if node in observed.populated or resolution.desired(node).takes_node:
            left_out[node] = "no agent"
    reasons = tuple(Unreachable(node, left_out[node]) for node in sorted(left_out) if options.plans_node(node))
    return _Scope(bases, reasons)


def _standstill(scope: _Scope, resolution: Resolution, held: Hold) -> Plan:
    """The plan that leaves every node with what it holds."""
    held_sets = {node: _holds(base, resolution.desired(node)) for node, base in scope.bases.items()}
    digests = {node: base.digest for node, base in scope.bases.items()}
    desired = _Sets(held_sets)
    observed = resolution.observed
    return Plan(
        id=_identity(scope.bases, digests, held),
        summary=Summary(
            unchanged=sum(map(len, desired.values())),
            pods=observed.pod_count,
            matched=sum(len(_running(node, intents, observed)) for node, intents in desired.items()),
        ),
        changes=(),
        bases=scope.bases,
        desired=desired,
        digests=digests,
        unreachable=scope.unreachable,
        held=held,
    )


def _holds(base: Accepted, wanted: NodeDesired) -> Accepted | NodeDesired:
    """Who knows an agent's intents: they are not fetched where their digest is the wanted one."""
    return wanted if wanted.digest == base.digest else base


def _managed(bases: Mapping[str, Accepted], desired: Mapping[str, NodeDesired], observed: Observed) -> tuple[int, int]:
    pods = nodes = 0
    for node, base in bases.items():
        wanted = desired[node]
        if wanted.digest == base.digest:
            pods += wanted.matched
            nodes += wanted.takes_node
        else:
            pods += len(_running(node, base.intents, observed))
            nodes += any(intent.pod is None for intent in base.intents)
    return pods, nodes


def _running(node: str, intents: Iterable[Intent], observed: Observed) -> set[str]:
    """Uids of the pods of ``intents`` that still run on ``node``."""
    return {intent.pod.uid for intent in intents if intent.pod is not None and observed.runs(intent.pod.uid, node)}


def _summary(
    differences: Mapping[str, NodeDifference], desired: Mapping[str, NodeDesired], observed: Observed
) -> Summary:
    count = dict.fromkeys(Action, 0)
    for found in differences.values():
        for change in found.changes:
            count[change.action] += 1
    same = sum(wanted.count for node, wanted in desired.items() if node not in differences)
    return Summary(
        add=count[Action.ADD],
        update=count[Action.UPDATE],
        delete=count[Action.DELETE],
        forget=count[Action.FORGET],
        unchanged=same + sum(found.unchanged for found in differences.values()),
        pods=observed.pod_count,
        matched=sum(wanted.matched for wanted in desired.values()),
    )


def _ties(desired: Iterable[NodeDesired]) -> tuple[Tie, ...]:
    met: dict[tuple[PolicyRef, PolicyRef], list[tuple[PodRef, ...]]] = {}
    for wanted in desired:
        for tie in wanted.ties:
            met.setdefault((tie.winner, tie.loser), []).append(tie.pods)
    ties = []
    for (winner, loser), here in sorted(met.items(), key=_tie_order):
        first = sorted((pod for pods in here for pod in pods[:TIE_EXAMPLES]), key=_POD_ORDER)[:TIE_EXAMPLES]
        ties.append(Tie(winner, loser, tuple(first), sum(map(len, here)) or len(here)))
    return tuple(ties)


def _tie_order(met: tuple[tuple[PolicyRef, PolicyRef], object]) -> tuple[str, ...]:
    (winner, loser), _ = met
    return (winner.namespace, winner.name, loser.namespace, loser.name)


def _identity(bases: Mapping[str, Accepted], digests: Mapping[str, str], held: Hold | None) -> str:
    """The same for the same plan, whenever and wherever it is made, and whether it has been approved or not."""
    material = {
        "bases": {node: [base.owner, base.token, base.generation, base.digest] for node, base in bases.items()},
        "digests": digests,
        "held": None if held is None else [held.guard, held.message],
    }
    return hashlib.sha256(canonical_json(material).encode()).hexdigest()[:_ID_DIGITS]


_POD_ORDER = attrgetter("namespace", "name", "uid")
