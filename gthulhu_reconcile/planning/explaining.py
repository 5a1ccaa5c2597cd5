"""Why a policy wins or loses for one pod, or for a node: every policy's verdict with what decided it.

It tries each policy term by term, without the planner's indexes; tests hold the two to the same answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.model.plan import Considered, Explanation, Verdict
from gthulhu_reconcile.model.pods import Pod
from gthulhu_reconcile.model.policy import Candidate, Operator, Policy, PolicyKind, Requirement, Standing
from gthulhu_reconcile.planning.admitting import refused_for_nodes, refused_for_pods
from gthulhu_reconcile.planning.matching import Rules, terms_of
from gthulhu_reconcile.planning.nodeterms import takes_node
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.ranking import NamespaceTerm, RankKey, namespace_term, rank_key, why_below
from gthulhu_reconcile.planning.selecting import holds
from gthulhu_reconcile.planning.shadowing import Entry, node_shadowers, pod_shadowers
from gthulhu_wire.intents import PodRef, PolicyRef, format_instant

_Lost = tuple[Verdict, str]


def explain_pod(
    pod: str | PodRef, candidates: Sequence[Candidate], observed: Observed, options: Options
) -> Explanation:
    """Every policy's verdict for one pod.

    Args:
        pod: its uid or its ref; of a ref whose uid is empty, the pod of that namespace and name.
        candidates: every policy at the instant that is asked about.
        observed: pods and nodes.
        options: the operator's settings.

    Raises:
        UserError: there is no such pod.
    """
    found = _find(pod, observed)
    if found is None:
        name = pod if isinstance(pod, str) else f"{pod.namespace}/{pod.name}"
        raise UserError(f"no pod {name} is observed")
    judge = _PodJudge(found, observed, options)
    return Explanation(found.ref, found.node, _considered(judge, Rules(candidates, options)))


def explain_node(node: str, candidates: Sequence[Candidate], observed: Observed, options: Options) -> Explanation:
    """Every policy's verdict for a node itself; one that is not observed has a name and no labels that are known."""
    judge = _NodeJudge(node, observed, options)
    return Explanation(None, node, _considered(judge, Rules(candidates, options)))


@dataclass(frozen=True, slots=True)
class _PodJudge:
    pod: Pod
    observed: Observed
    options: Options
    kind = PolicyKind.SCHEDULING

    def key(self, policy: Policy) -> RankKey:
        term = namespace_term(policy.selector.namespaces, self.pod.ref.namespace)
        return rank_key(policy, NamespaceTerm.ABSENT if term is None else term)

    def lost(self, policy: Policy) -> _Lost | None:
        """Why the policy does not select the pod, if it does not."""
        return self._by_itself(policy) or self._by_place(policy)

    def _by_itself(self, policy: Policy) -> _Lost | None:
        selector, namespace = policy.selector, self.pod.ref.namespace
        if namespace_term(selector.namespaces, namespace) is None:
            return Verdict.NAMESPACE, f"takes {', '.join(selector.namespaces)}"
        refusal = refused_for_pods(policy, namespace, self.options)
        if refusal is not None and refusal[0] is Verdict.PROTECTED:
            return refusal
        for requirement in selector.labels:
            if not holds(requirement, self.pod.labels):
                return Verdict.LABELS, _unmet(requirement, self.pod.labels.get(requirement.key))
        return None

    def _by_place(self, policy: Policy) -> _Lost | None:
        if not self.pod.node or self.pod.phase.finished:
            return Verdict.NOT_PLANNED, self._why_not_planned()
        missed = _missed_node(policy, self.pod.node, self.observed)
        if missed is not None:
            return missed
        if policy.selector.containers and not self._containers(policy):
            return Verdict.CONTAINERS, self._why_no_container(policy)
        return refused_for_pods(policy, self.pod.ref.namespace, self.options)

    def entry(self, candidate: Candidate) -> Entry:
        policy = candidate.policy
        names = self._containers(policy) if policy.selector.containers else None
        return Entry(self.key(policy), terms_of(candidate, self.options), 0, names)

    def shadowers(self, entries: Sequence[Entry]) -> list[PolicyRef | None]:
        return pod_shadowers(entries)

    def _containers(self, policy: Policy) -> tuple[str, ...]:
        created = (container.name for container in self.pod.containers if container.id)
        return tuple(sorted(name for name in created if name in policy.selector.containers))

    def _why_no_container(self, policy: Policy) -> str:
        names = [container.name for container in self.pod.containers]
        waiting = [name for name in policy.selector.containers if name in names]
        if waiting:
            return f"{', '.join(waiting)} has not been created yet"
        return f"takes {', '.join(policy.selector.containers)}; the pod has {', '.join(names) or 'none'}"

    def _why_not_planned(self) -> str:
        return "the pod has finished" if self.pod.phase.finished else "the pod has no node yet"


@dataclass(frozen=True, slots=True)
class _NodeJudge:
    node: str
    observed: Observed
    options: Options
    kind = PolicyKind.NODE

    def key(self, policy: Policy) -> RankKey:
        return rank_key(policy, NamespaceTerm.ABSENT)

    def lost(self, policy: Policy) -> _Lost | None:
        """Why the policy does not select the node, if it does not."""
        return _missed_node(policy, self.node, self.observed) or refused_for_nodes(policy, self.options)

    def entry(self, candidate: Candidate) -> Entry:
        return Entry(self.key(candidate.policy), terms_of(candidate, self.options), 0)

    def shadowers(self, entries: Sequence[Entry]) -> list[PolicyRef | None]:
        return node_shadowers(entries)


def _considered(judge: _PodJudge | _NodeJudge, rules: Rules) -> tuple[Considered, ...]:
    losers: list[tuple[RankKey, Considered]] = []
    selecting: list[tuple[Entry, Policy]] = []
    for candidate in rules.candidates.values():
        policy = candidate.policy
        lost = _lost(judge, candidate)
        if lost is None:
            selecting.append((judge.entry(candidate), policy))
        else:
            losers.append((judge.key(policy), Considered(policy, *lost)))
    selecting.sort(key=lambda pair: pair[0].key)
    keys = {entry.terms.policy: entry.key for entry, _ in selecting}
    winners: list[Considered] = []
    above: Entry | None = None
    shadowers = judge.shadowers([entry for entry, _ in selecting])
    for (entry, policy), by in zip(selecting, shadowers, strict=True):
        if by is not None:
            why = f"{by.namespace}/{by.name} takes every thread: {why_below(entry.key, keys[by])}"
            losers.append((entry.key, Considered(policy, Verdict.SHADOWED, why)))
            continue
        winners.append(Considered(policy, Verdict.WINS, _below(entry, above), len(winners)))
        above = entry
    losers.sort(key=lambda pair: pair[0])
    return (*winners, *(considered for _, considered in losers))


def _lost(judge: _PodJudge | _NodeJudge, candidate: Candidate) -> _Lost | None:
    policy = candidate.policy
    if policy.kind is not judge.kind:
        return Verdict.OTHER_KIND, f"is a {policy.kind.value}"
    lost = judge.lost(policy)
    if lost is not None:
        return lost
    if candidate.standing is Standing.SUSPENDED:
        return Verdict.SUSPENDED, _why_suspended(policy)
    if candidate.standing is Standing.INACTIVE:
        return Verdict.INACTIVE, _why_inactive(policy)
    return None


def _below(entry: Entry, above: Entry | None) -> str:
    if above is None:
        return ""
    policy = above.terms.policy
    return f"after {policy.namespace}/{policy.name}: {why_below(entry.key, above.key)}"


def _why_suspended(policy: Policy) -> str:
    suspension = policy.suspension
    if suspension is None:
        return ""
    if suspension.until is None:
        return suspension.reason
    return f"{suspension.reason}, until {format_instant(suspension.until)}"


def _why_inactive(policy: Policy) -> str:
    window = policy.window
    return "" if window is None else f"outside of its window: {window.cron} ({window.time_zone})"


def _missed_node(policy: Policy, name: str, observed: Observed) -> _Lost | None:
    terms, node = policy.selector.nodes, observed.node(name)
    if takes_node(terms, name, node):
        return None
    if node is None and terms.labels:
        return Verdict.NODE, f"the labels of node {name} are not known"
    labels = {} if node is None else node.labels
    for requirement in terms.labels:
        if not holds(requirement, labels):
            return Verdict.NODE, f"node {name}: {_unmet(requirement, labels.get(requirement.key))}"
    return Verdict.NODE, f"takes {', '.join(terms.names)}; the node is {name}"


def _unmet(requirement: Requirement, value: str | None) -> str:
    key, values = requirement.key, ", ".join(requirement.values)
    wanted = {
        Operator.IN: f"{key}={values}" if len(requirement.values) == 1 else f"{key} in ({values})",
        Operator.NOT_IN: f"{key} not in ({values})",
        Operator.EXISTS: f"label {key}",
        Operator.DOES_NOT_EXIST: f"no label {key}",
    }[requirement.operator]
    return f"wants {wanted}; " + (f"there is no label {key}" if value is None else f"there is {key}={value}")


def _find(pod: str | PodRef, observed: Observed) -> Pod | None:
    if isinstance(pod, str):
        return observed.pod(pod)
    return observed.pod(pod.uid) if pod.uid else observed.find(pod.namespace, pod.name)
