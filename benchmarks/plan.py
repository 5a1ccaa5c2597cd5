"""Planning: what a full plan and one pod's event cost, beside the straightforward policies x pods loop.

    python benchmarks/plan.py [--write] [--json FILE] [--pods 1000,10000,100000] [--policies 10,100,1000]

Every line of the table comes from a process of its own, so that its peak memory is its own. Times are CPU seconds
of that one process, the best of several runs, with Python's garbage collector as it is by default. It walks over
every pod several times while 100,000 changes are made, so ``paused`` is ``first`` without it.

``index`` makes the pods' index, which the service keeps and changes by events. ``first`` plans against agents that
hold nothing, so that every intent is a change; ``steady`` against agents that hold what is wanted; ``edited`` after
one policy in a hundred was edited. All three start from the candidates: match, rank, resolve, digest, diff, guard.
``event`` is one changed pod: the index, its node's desired set and digest, and the plan of that node; ``fleet`` the
same with the plan of all nodes. ``plain`` is the loop alone, without digests, diff and guards, so the ratio to
``first`` flatters it; where pods x policies is large it runs on a sample of the pods and is scaled, which is said.
"""

from __future__ import annotations

import argparse
import gc
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from typing import TypeVar

from plan_load import Load, adversarial, cluster
from plan_plain import plain_pods
from report import Section, facts, finish, options, table

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.policy import Candidate
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options
from gthulhu_reconcile.planning.planner import plan
from gthulhu_reconcile.planning.resolving import resolve
from gthulhu_wire.intents import Intent

_T = TypeVar("_T")
OPTIONS = Options(owner="bench")
RUNS = 5
EVENTS = 200
PLAIN_WORK = 3_000_000
"""Pairs of pod and policy that the plain loop tries at most; beyond, it takes a sample of the pods."""

_ABOUT = """
CPU seconds of one core. *first* plans against agents that hold nothing, so that every intent is a change, and *paused*
is the same with Python's collector held back, as the program does it; *steady* plans against agents that hold what is
wanted; *event* is one changed pod with its node's set, digest and plan. The plain loop tries every policy on every pod
and does neither digests nor differences nor guards; for large sizes it runs on a sample of the pods and is scaled. The
ratio is the plain loop's time to *first*.
"""
AIM_FULL_S, AIM_EVENT_MS, AIM_RATIO = 1.5, 5.0, 20.0


@dataclass(frozen=True, slots=True)
class Row:
    """What one size came to."""

    load: str
    pods: int
    policies: int
    nodes: int
    intents: int
    index_s: float
    first_s: float
    paused_s: float
    steady_s: float
    edited_s: float
    event_ms: float
    fleet_event_ms: float
    plain_s: float
    plain_sample: int
    input_mb: float
    peak_mb: float

    @property
    def ratio(self) -> float:
        """How many times the plain loop takes as long."""
        return self.plain_s / self.first_s


def main() -> int:
    """Print the table; with ``--json`` write it too."""
    parser = options(__doc__)
    parser.add_argument("--pods", type=_numbers, default=(1_000, 10_000, 100_000), help="numbers of pods, by comma")
    parser.add_argument("--policies", type=_numbers, default=(10, 100, 1_000), help="numbers of policies, by comma")
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    parser.add_argument("--one", nargs=3, metavar=("LOAD", "PODS", "POLICIES"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        kind, pods, policies = arguments.one
        sys.stdout.write(json.dumps(asdict(measure(kind, int(pods), int(policies)))))
        return 0
    known = facts(arguments)
    print(_heading(), flush=True)
    rows = []
    sizes = [("cluster", pods, policies) for pods in arguments.pods for policies in arguments.policies]
    for kind, pods, policies in [*sizes, ("adversarial", min(10_000, sizes[-1][1]), sizes[-1][2])]:
        rows.append(_in_a_process_of_its_own(kind, pods, policies))
        print(_line(rows[-1]), flush=True)
    print(_verdict(rows))
    finish(arguments, _section(rows), known)
    if arguments.json:
        arguments.json.write_text(json.dumps([{**asdict(row), "ratio": row.ratio} for row in rows], indent=2) + "\n")
    return 0


def measure(kind: str, pod_count: int, policy_count: int) -> Row:
    """One line of the table, in this process."""
    load = (adversarial if kind == "adversarial" else cluster)(pod_count, policy_count)
    candidates = load.candidates
    input_mb = _rss_mb()
    index_s, observed = _best(lambda: Observed.of(load.pods, load.nodes))
    first_s, first = _best(lambda: plan(candidates, observed, load.fresh, OPTIONS))
    peak_mb = _rss_mb()
    intents = first.summary.add
    accepted = _accept(first, first.digests)
    del first
    gc.disable()
    paused_s, _ = _best(lambda: plan(candidates, observed, load.fresh, OPTIONS))
    gc.enable()
    steady_s, steady = _best(lambda: plan(candidates, observed, accepted, OPTIONS))
    other = _edited(candidates, accepted)
    edited_s, edited = _best(lambda: plan(other, observed, accepted, OPTIONS))
    if steady.changes or not edited.changes:
        raise SystemExit("the benchmark does not measure what it says")
    del steady, edited
    event_ms, fleet_ms = _events(load, observed, accepted)
    plain_s, sample = _plain(load, accepted)
    return Row(
        load=kind,
        pods=pod_count,
        policies=policy_count,
        nodes=len(load.nodes),
        intents=intents,
        index_s=index_s,
        first_s=first_s,
        paused_s=paused_s,
        steady_s=steady_s,
        edited_s=edited_s,
        event_ms=event_ms,
        fleet_event_ms=fleet_ms,
        plain_s=plain_s,
        plain_sample=sample,
        input_mb=input_mb,
        peak_mb=peak_mb,
    )


def _best(work: Callable[[], _T]) -> tuple[float, _T]:
    """CPU seconds of the best run, and what the last one gave."""
    best = float("inf")
    for _ in range(RUNS):
        begun = time.process_time()
        result = work()
        best = min(best, time.process_time() - begun)
    return best, result


def _accept(made: Plan, nodes: Iterable[str]) -> dict[str, Accepted]:
    return {node: Accepted(node, OPTIONS.owner, 0, 1, made.digests[node], made.desired[node]) for node in nodes}


def _edited(candidates: Sequence[Candidate], accepted: dict[str, Accepted]) -> list[Candidate]:
    """One policy in a hundred, at least one, asks for something else; only policies that win somewhere are taken."""
    winning = {intent.terms.policy for base in accepted.values() for intent in base.intents}
    chosen = [number for number, one in enumerate(candidates) if one.policy.ref in winning]
    edited = list(candidates)
    for number in chosen[: max(1, len(candidates) // 100)]:
        policy = edited[number].policy
        schedule = replace(policy.schedule, preempt=not policy.schedule.preempt)
        edited[number] = Candidate(replace(policy, schedule=schedule))
    return edited


def _events(load: Load, observed: Observed, accepted: dict[str, Accepted]) -> tuple[float, float]:
    """Milliseconds of the median event: with the plan of the pod's node, and with the plan of all nodes."""
    resolution = resolve(load.candidates, observed, OPTIONS)
    plan(load.candidates, observed, accepted, OPTIONS, resolution=resolution)
    running = [pod for pod in load.pods if observed.runs(pod.ref.uid, pod.node)]
    accepted = dict(accepted)
    of_node, of_fleet = [], []
    for number in range(EVENTS):
        pod = running[number * 7919 % len(running)]
        changed = replace(pod, labels={**pod.labels, "tier": "moved", "event": str(number)})
        begun = time.process_time()
        observed = observed.with_pod(changed)
        resolution = resolution.after(observed)
        options = replace(OPTIONS, only_nodes=(pod.node,))
        base = {pod.node: accepted[pod.node]}
        plan(load.candidates, observed, base, options, resolution=resolution)
        of_node.append(time.process_time() - begun)
        begun = time.process_time()
        made = plan(load.candidates, observed, accepted, OPTIONS, resolution=resolution)
        of_fleet.append(of_node[-1] + time.process_time() - begun)
        accepted.update(_accept(made, made.changed_nodes))
    return median(of_node) * 1e3, median(of_fleet) * 1e3


def _plain(load: Load, accepted: dict[str, Accepted]) -> tuple[float, int]:
    """Seconds that the plain loop takes for all pods, and how many it really tried. Its winners must be the same."""
    sample = load.pods[: max(1, min(len(load.pods), PLAIN_WORK // len(load.candidates)))]
    nodes = {node.name: node for node in load.nodes}
    begun = time.process_time()
    expected = plain_pods(load.candidates, sample, nodes, OPTIONS)
    taken = time.process_time() - begun
    found: dict[str, list[Intent]] = {}
    for base in accepted.values():
        for intent in base.intents:
            if intent.pod is not None:
                found.setdefault(intent.pod.uid, []).append(intent)
    for pod in sample:
        if tuple(found.get(pod.ref.uid, ())) != expected.get(pod.ref.uid, ()):
            raise SystemExit(f"the planner and the plain loop do not agree on {pod.ref}")
    return taken * len(load.pods) / len(sample), len(sample)


def _rss_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _in_a_process_of_its_own(kind: str, pods: int, policies: int) -> Row:
    command = [sys.executable, __file__, "--one", kind, str(pods), str(policies)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return Row(**json.loads(done.stdout))


def _heading() -> str:
    columns = f"{'':11} {'pods':>7} {'policies':>8} {'intents':>8} | "
    columns += f"{'index':>7} {'first':>7} {'paused':>7} {'steady':>7} {'edited':>7} | "
    columns += f"{'event':>8} {'fleet':>8} | {'plain loop':>10} {'ratio':>6} | {'peak':>7}"
    return (
        f"CPU seconds of one process, best of {RUNS}; the event's are medians; memory is the peak of input and plan\n"
        f"{columns}"
    )


def _line(row: Row) -> str:
    scaled = "" if row.plain_sample == row.pods else f"  plain: {row.plain_sample} pods, scaled"
    return (
        f"{row.load:11} {row.pods:7} {row.policies:8} {row.intents:8} | "
        f"{row.index_s:6.3f}s {row.first_s:6.3f}s {row.paused_s:6.3f}s {row.steady_s:6.3f}s {row.edited_s:6.3f}s | "
        f"{row.event_ms:6.2f}ms {row.fleet_event_ms:6.2f}ms | {row.plain_s:9.2f}s {row.ratio:5.0f}x | "
        f"{row.peak_mb:4.0f} MB{scaled}"
    )


def _verdict(rows: Sequence[Row]) -> str:
    largest = max((row for row in rows if row.load == "cluster"), key=lambda row: row.pods * row.policies)
    size = f"{largest.pods} pods x {largest.policies} policies"
    aims = (
        (f"first plan <= {AIM_FULL_S} s", largest.first_s <= AIM_FULL_S),
        ("with the collector paused", largest.paused_s <= AIM_FULL_S),
        (f"steady plan <= {AIM_FULL_S} s", largest.steady_s <= AIM_FULL_S),
        (f"event <= {AIM_EVENT_MS} ms", largest.event_ms <= AIM_EVENT_MS),
        (f"ratio >= {AIM_RATIO:.0f}", largest.ratio >= AIM_RATIO),
    )
    return f"{size}: " + "; ".join(f"{aim}: {'yes' if met else 'no'}" for aim, met in aims)


def _section(rows: Sequence[Row]) -> Section:
    heads = (
        "pods",
        "policies",
        "intents",
        "index",
        "first",
        "paused",
        "steady",
        "event",
        "plain loop",
        "ratio",
        "peak",
    )
    cells = [
        (
            f"{row.pods:,}",
            f"{row.policies:,}",
            f"{row.intents:,}",
            f"{row.index_s:.3f} s",
            f"{row.first_s:.3f} s",
            f"{row.paused_s:.3f} s",
            f"{row.steady_s:.3f} s",
            f"{row.event_ms:.2f} ms",
            f"{row.plain_s:.2f} s",
            f"{row.ratio:.0f}",
            f"{row.peak_mb:.0f} MB",
        )
        for row in rows
        if row.load == "cluster"
    ]
    worst = next(row for row in rows if row.load != "cluster")
    return Section(
        "bench-plan",
        "Planning",
        (
            _ABOUT,
            table(heads, cells),
            f"""
            With few policies the plain loop has little to do, and the ratio says so. The worst case made on purpose
            ({worst.pods:,} pods with a value of their own for every label that policies ask for, {worst.policies:,}
            policies) is {worst.first_s:.2f} s and {worst.ratio:.0f} times as fast as the plain loop.
            """,
        ),
    )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(number) for number in text.split(","))


if __name__ == "__main__":
    sys.exit(main())
