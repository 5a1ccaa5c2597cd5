"""A cluster and its policies, as a large installation has them; the same for the same sizes.

Pods belong to applications of a few replicas each (most small, a few large), applications to teams' namespaces.
Labels are the usual ones, with a template hash, and a label of its own for each pod of a stateful set. Policies
are for one application as a rule; some reach across namespaces by glob, by expressions, by node pool, into one
container or to one command.
"""

from __future__ import annotations

import random
import zlib
from dataclasses import dataclass

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.pods import Container, Node, Phase, Pod
from gthulhu_reconcile.model.policy import (
    Candidate,
    NodeTerms,
    Operator,
    Policy,
    PolicyKind,
    Requirement,
    Selector,
)
from gthulhu_wire.intents import PodRef, PolicyRef, Schedule

TIERS = ("frontend", "backend", "cache", "batch")
POOLS = ("general", "general", "general", "rt", "batch")
COMMANDS = ("^nginx$", "^(upf|nr-gnb)$", "worker", "^java$", "^envoy$")
PODS_PER_NODE = 100
ADVERSARIAL_KEYS = 24


@dataclass(frozen=True, slots=True)
class Load:
    """Input of one measurement."""

    candidates: tuple[Candidate, ...]
    pods: tuple[Pod, ...]
    nodes: tuple[Node, ...]

    @property
    def fresh(self) -> dict[str, Accepted]:
        """Agents that hold nothing yet."""
        return {node.name: Accepted(node.name) for node in self.nodes}


@dataclass(frozen=True, slots=True)
class _App:
    name: str
    namespace: str
    tier: str
    version: str
    stateful: bool
    containers: tuple[str, ...]


def cluster(pod_count: int, policy_count: int, seed: int = 7) -> Load:
    """``pod_count`` pods on a node per hundred, ``policy_count`` policies over them."""
    rng = random.Random(seed)
    nodes = _nodes(max(1, pod_count // PODS_PER_NODE))
    apps = _apps(rng, pod_count)
    pods: list[Pod] = []
    while len(pods) < pod_count:
        app = rng.choice(apps)
        replicas = min(int(rng.paretovariate(1.1)), 400, pod_count - len(pods))
        pods.extend(_pod(rng, app, len(pods) + number, rng.choice(nodes).name) for number in range(replicas))
    policies = [_policy(rng, number, apps) for number in range(policy_count)]
    rng.shuffle(pods)
    return Load(tuple(Candidate(policy) for policy in policies), tuple(pods), nodes)


def adversarial(pod_count: int, policy_count: int, seed: int = 7) -> Load:
    """No two pods alike to the selectors: many keys that policies name, each with its value by chance.

    Nothing that the planner remembers of one pod helps with another.
    """
    rng = random.Random(seed)
    nodes = _nodes(max(1, pod_count // PODS_PER_NODE))
    values = [f"v{number}" for number in range(max(4, policy_count // 50))]
    keys = [f"key{number}" for number in range(ADVERSARIAL_KEYS)]
    pods = tuple(
        Pod(
            ref=PodRef(f"team-{rng.randrange(200)}", f"pod-{number}", f"{number:08x}-0000-4000-8000-000000000000"),
            node=rng.choice(nodes).name,
            labels={key: rng.choice(values) for key in keys},
            containers=(Container("app", f"{number:064x}"),),
        )
        for number in range(pod_count)
    )
    policies = []
    for number in range(policy_count):
        terms = tuple(
            Requirement(key, Operator.IN, (rng.choice(values),)) for key in sorted(rng.sample(keys, rng.choice((2, 3))))
        )
        policies.append(_make(number, Selector(labels=terms), rng))
    return Load(tuple(Candidate(policy) for policy in policies), pods, nodes)


def _nodes(count: int) -> tuple[Node, ...]:
    return tuple(
        Node(
            f"worker-{number:05d}",
            {
                "kubernetes.io/hostname": f"worker-{number:05d}",
                "pool": POOLS[number % len(POOLS)],
                "topology.kubernetes.io/zone": f"zone-{number % 3}",
            },
        )
        for number in range(count)
    )


def _apps(rng: random.Random, pod_count: int) -> list[_App]:
    count = max(8, pod_count // 20)
    namespaces = [f"team-{number:03d}-{rng.choice(('dev', 'prod'))}" for number in range(max(4, count // 20))]
    return [
        _App(
            name=f"app-{number:05d}",
            namespace=rng.choice(namespaces),
            tier=rng.choice(TIERS),
            version=f"v{rng.randrange(1, 4)}",
            stateful=rng.random() < 0.1,
            containers=("app", "envoy") if rng.random() < 0.3 else ("app",),
        )
        for number in range(count)
    ]


def _pod(rng: random.Random, app: _App, number: int, node: str) -> Pod:
    name = f"{app.name}-{number:06d}"
    labels = {
        "app.kubernetes.io/name": app.name,
        "app.kubernetes.io/managed-by": "Helm",
        "tier": app.tier,
        "version": app.version,
    }
    if app.stateful:
        labels["statefulset.kubernetes.io/pod-name"] = name
    else:
        labels["pod-template-hash"] = f"{zlib.crc32((app.name + app.version).encode()):08x}"
    chance = rng.random()
    return Pod(
        ref=PodRef(app.namespace, name, f"{rng.getrandbits(32):08x}-{number:04x}-4000-8000-{number:012x}"),
        node="" if chance < 0.01 else node,
        labels=labels,
        phase=Phase.SUCCEEDED if chance > 0.96 else Phase.RUNNING,
        containers=tuple(Container(one, f"{rng.getrandbits(256):064x}") for one in app.containers),
    )


def _policy(rng: random.Random, number: int, apps: list[_App]) -> Policy:
    app = rng.choice(apps)
    team = app.namespace.rsplit("-", 1)[0]
    by_name = Requirement("app.kubernetes.io/name", Operator.IN, (app.name,))
    by_tier = Requirement("tier", Operator.IN, (app.tier,))
    by_version = Requirement("version", rng.choice((Operator.IN, Operator.NOT_IN)), ("v1", "v2"))
    selectors = (
        (30, Selector(namespaces=(app.namespace,), labels=(by_name,))),
        (15, Selector(labels=(by_name, by_version))),
        (15, Selector(namespaces=(f"{team}-*",), labels=(by_tier,))),
        (10, Selector(namespaces=(app.namespace,), labels=(by_name,), containers=("envoy",))),
        (17, Selector(namespaces=(app.namespace,), labels=(by_tier,), command=rng.choice(COMMANDS))),
        (
            8,
            Selector(
                namespaces=(f"{team}-*",),
                labels=(by_version, Requirement("pod-template-hash", Operator.EXISTS)),
                nodes=NodeTerms(labels=(Requirement("pool", Operator.IN, (rng.choice(POOLS),)),)),
            ),
        ),
        (1, Selector(namespaces=("team-*-prod",), command=rng.choice(COMMANDS), labels=(by_tier, by_version))),
        (4, Selector(namespaces=(f"{team[:6]}*",), nodes=NodeTerms(names=("worker-000*",)))),
    )
    weights, choices = zip(*selectors, strict=True)
    return _make(number, rng.choices(choices, weights)[0], rng)


def _make(number: int, selector: Selector, rng: random.Random) -> Policy:
    return Policy(
        kind=PolicyKind.SCHEDULING,
        ref=PolicyRef("platform", f"policy-{number:05d}", f"policies/{number // 10:03d}.yaml"),
        line=1 + 20 * (number % 10),
        precedence=rng.choice((0, 0, 0, 10, 100)),
        selector=selector,
        schedule=Schedule(
            priority=rng.randrange(-10, 11),
            time_slice_ns=rng.choice((None, 500_000, 5_000_000)),
            preempt=rng.random() < 0.1,
        ),
    )
