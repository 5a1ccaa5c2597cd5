"""Expectations against what the planner really decides. Pure; what is read and printed is read and printed elsewhere.

A test that cannot fail is worse than none: an expectation that matches no pod fails, a policy that is not there
fails, and so does a policy that no expectation has met.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_reconcile.cli.policytests.documents import NONE, ExpectedSchedule
from gthulhu_reconcile.cli.rendering.words import count, duration, policy_name
from gthulhu_reconcile.loading import durations, patterns
from gthulhu_reconcile.model.diagnostics import Span
from gthulhu_reconcile.model.plan import Considered, Explanation, Verdict
from gthulhu_reconcile.model.policy import Policy
from gthulhu_wire.globs import matches
from gthulhu_wire.intents import PodRef, PolicyRef

_EXERCISED = (Verdict.WINS, Verdict.SHADOWED)


@dataclass(frozen=True, slots=True)
class Expected:
    """One expectation, and where it is written. One of ``pod`` and ``node`` is empty."""

    span: Span
    pod: str
    node: str
    winner: str
    command: str | None = None
    container: str | None = None
    ranked: tuple[str, ...] | None = None
    schedule: ExpectedSchedule | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """An expectation that does not hold."""

    span: Span
    message: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class CaseResult:
    """What became of one case.

    Attributes:
        checked: pods and nodes that were looked at.
        exercised: policies that took part there: that won, or lost to a stronger one only.
    """

    file: str
    name: str
    checked: int
    failures: tuple[Failure, ...]
    exercised: frozenset[PolicyRef]


@dataclass(frozen=True, slots=True)
class Report:
    """What became of all cases, and of the policies that they are to exercise."""

    cases: tuple[CaseResult, ...]
    policies: tuple[Policy, ...]

    @property
    def failed(self) -> tuple[CaseResult, ...]:
        """Cases of which an expectation does not hold."""
        return tuple(case for case in self.cases if case.failures)

    @property
    def unexercised(self) -> tuple[Policy, ...]:
        """Policies that no expectation has met, by place."""
        met = {ref for case in self.cases for ref in case.exercised}
        missed = {policy.ref: policy for policy in self.policies if policy.ref not in met}
        return tuple(sorted(missed.values(), key=lambda policy: (policy.ref.source, policy.line)))

    @property
    def total(self) -> int:
        """Policies under test."""
        return len({policy.ref for policy in self.policies})

    @property
    def passed(self) -> bool:
        """Whether something was tested, everything holds, and no policy was left out."""
        return bool(self.cases) and not self.failed and not self.unexercised


def run_case(
    file: str,
    name: str,
    expectations: Sequence[Expected],
    explanations: Iterable[Explanation],
    policies: Sequence[Policy],
    *,
    names: Sequence[str] = (),
    containers: Mapping[PodRef, Sequence[str]] | None = None,
) -> CaseResult:
    """Hold ``expectations`` against ``explanations``, one for each pod and each node that they are about.

    ``names`` are all pods and nodes of the snapshot, for a guess at what a misspelt one meant; ``containers`` are those
    of each pod, and without them none is judged.
    """
    pods: dict[str, list[Explanation]] = {}
    nodes: dict[str, list[Explanation]] = {}
    for explained in explanations:
        if explained.pod is None:
            nodes.setdefault(explained.node, []).append(explained)
        else:
            pods.setdefault(f"{explained.pod.namespace}/{explained.pod.name}", []).append(explained)
    failures: list[Failure] = []
    exercised: set[PolicyRef] = set()
    checked: set[str] = set()
    for expected in expectations:
        failures += _unknown_names(expected, policies)
        targets = _targets(expected, pods, nodes)
        if not targets:
            failures.append(_no_target(expected, names))
        for target, explained in targets:
            checked.add(target)
            exercised.update(each.policy.ref for each in explained.considered if each.verdict in _EXERCISED)
            missing = _unknown_container(expected, target, explained.pod, containers)
            failures += [missing] if missing is not None else _compare(expected, target, explained)
    return CaseResult(file, name, len(checked), tuple(failures), frozenset(exercised))


def _targets(
    expected: Expected, pods: Mapping[str, Sequence[Explanation]], nodes: Mapping[str, Sequence[Explanation]]
) -> list[tuple[str, Explanation]]:
    pattern, among, word = (expected.pod, pods, "pod") if expected.pod else (expected.node, nodes, "node")
    return [(f"{word} {name}", each) for name in sorted(among) if matches(pattern, name) for each in among[name]]


def concerned(expectations: Iterable[Expected], *, pod: str = "", node: str = "") -> bool:
    """Whether one of ``expectations`` is about the pod, or the node, of that name."""
    if pod:
        return any(expected.pod and matches(expected.pod, pod) for expected in expectations)
    return any(expected.node and matches(expected.node, node) for expected in expectations)


def _no_target(expected: Expected, known: Iterable[str]) -> Failure:
    what = f"pod '{expected.pod}'" if expected.pod else f"node '{expected.node}'"
    near = difflib.get_close_matches(expected.pod or expected.node, known, n=1)
    return Failure(expected.span, f"{what} is not in the snapshot", f"did you mean '{near[0]}'?" if near else "")


def _unknown_names(expected: Expected, policies: Sequence[Policy]) -> list[Failure]:
    known = {qualified(policy.ref) for policy in policies}
    named = [name for name in (expected.winner, *(expected.ranked or ())) if name != NONE]
    failures = []
    for name in dict.fromkeys(named):
        if _full(name) not in known:
            near = difflib.get_close_matches(_full(name), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else ""
            failures.append(Failure(expected.span, f"there is no policy '{name}'", hint))
    return failures


def _unknown_container(
    expected: Expected, target: str, pod: PodRef | None, containers: Mapping[PodRef, Sequence[str]] | None
) -> Failure | None:
    """A container that the pod does not have: whoever is expected there would win in nothing."""
    if containers is None or pod is None or expected.container is None:
        return None
    known = containers.get(pod, ())
    if expected.container in known:
        return None
    near = difflib.get_close_matches(expected.container, known, n=1)
    has = f"it has {', '.join(known)}" if known else "the snapshot names none of its containers"
    hint = f"did you mean '{near[0]}'?" if near else has
    return Failure(expected.span, f"{target} has no container '{expected.container}'", hint)


def _compare(expected: Expected, target: str, explained: Explanation) -> list[Failure]:
    sent = [each for each in explained.considered if each.verdict is Verdict.WINS]
    winner = _winner(sent, expected)
    found = NONE if winner is None else qualified(winner.policy.ref)
    wanted = NONE if expected.winner == NONE else _full(expected.winner)
    failures = []
    if found != wanted:
        failures.append(Failure(expected.span, _other_winner(expected, target, winner), _why(wanted, explained)))
    elif expected.schedule is not None and winner is not None:
        failures += _schedule(expected, target, winner.policy)
    if expected.ranked is not None:
        ranked = [qualified(each.policy.ref) for each in sent]
        if ranked != [_full(name) for name in expected.ranked]:
            message = f"{target} is sent {', '.join(ranked) or 'nothing'}; expected {', '.join(expected.ranked)}"
            failures.append(Failure(expected.span, message))
    return failures


def _winner(sent: Sequence[Considered], expected: Expected) -> Considered | None:
    for each in sent:
        selector = each.policy.selector
        of_command = expected.command is None or selector.command is None
        in_container = expected.container is None or not selector.containers
        if (of_command or patterns.search(selector.command or "", expected.command or "")) and (
            in_container or expected.container in selector.containers
        ):
            return each
    return None


def _other_winner(expected: Expected, target: str, winner: Considered | None) -> str:
    asked = (("command", expected.command), ("container", expected.container))
    where = "".join(f", {word} '{name}'" for word, name in asked if name is not None)
    found = "no policy wins" if winner is None else f"{policy_name(winner.policy.ref)} wins"
    return f"{found} on {target}{where}; expected {expected.winner}"


def _why(wanted: str, explained: Explanation) -> str:
    for each in explained.considered:
        if qualified(each.policy.ref) == wanted:
            if each.verdict is Verdict.WINS:
                return f"{wanted} has rank {each.rank}"
            return f"{wanted} lost by {each.verdict}{f': {each.detail}' if each.detail else ''}"
    return ""


def _schedule(expected: Expected, target: str, policy: Policy) -> list[Failure]:
    wanted, found = expected.schedule, policy.schedule
    if wanted is None:
        return []
    time_slice = None if wanted.time_slice is None else durations.parse(wanted.time_slice)
    found_slice = "the kernel's" if found.time_slice_ns is None else duration(found.time_slice_ns)
    pairs = (
        ("priority", wanted.priority, found.priority, str(found.priority)),
        ("timeSlice", time_slice, found.time_slice_ns, found_slice),
        ("preempt", wanted.preempt, found.preempt, str(found.preempt).lower()),
    )
    shown = {"priority": wanted.priority, "timeSlice": wanted.time_slice, "preempt": str(wanted.preempt).lower()}
    return [
        Failure(expected.span, f"{name} of {target} is {text}; expected {shown[name]}")
        for name, asked, given, text in pairs
        if asked is not None and asked != given
    ]


def qualified(ref: PolicyRef) -> str:
    """``namespace/name``, always."""
    return f"{ref.namespace}/{ref.name}"


def _full(name: str) -> str:
    return name if "/" in name else f"default/{name}"


def coverage_line(report: Report) -> str:
    """``12/14 policies exercised``: an interface."""
    done = report.total - len({policy.ref for policy in report.unexercised})
    return f"{done}/{count(report.total, 'policy', 'policies')} exercised"
