"""Intents: one policy resolved for one pod, or for one node.

An intent is split in two. :class:`Terms` is what the policy says and is the same object for every pod that the
policy selects; :class:`Intent` adds the pod and the place in its ranking. A node of 250 pods therefore
carries a handful of terms, and the canonical JSON of each is made once: digests of 100,000 intents cost what
hashing their bytes costs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cached_property

PRIORITY_MIN, PRIORITY_MAX = -20, 20
TIME_SLICE_MIN_NS, TIME_SLICE_MAX_NS = 100_000, 100_000_000
"""100 us to 100 ms: what EEVDF takes as a custom slice (kernel/sched/syscalls.c, since Linux 6.12)."""


class CommandOn(StrEnum):
    """Which text of a thread a command pattern is matched against."""

    COMM = "comm"
    THREAD = "thread"
    ARGV0 = "argv0"


class OnDelete(StrEnum):
    """What becomes of running threads when their policy goes away."""

    REVERT = "revert"
    ORPHAN = "orphan"


@dataclass(frozen=True, slots=True)
class Schedule:
    """How threads are to run. Absent parts are the kernel's defaults, never another policy's values.

    Attributes:
        priority: -20 to 20, 0 is normal, higher is stronger; a step is a factor of 1.25 in weight.
        time_slice_ns: nanoseconds, 100,000 to 100,000,000; None leaves the kernel's default.
        preempt: whether a waking thread takes the CPU at once.
    """

    priority: int = 0
    time_slice_ns: int | None = None
    preempt: bool = False


@dataclass(frozen=True, slots=True, order=True)
class PolicyRef:
    """Name of a policy and the file or strategy it came from."""

    namespace: str
    name: str
    source: str = ""


@dataclass(frozen=True, slots=True, order=True)
class PodRef:
    """An observed pod, by what never changes during its life."""

    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class Terms:
    """What a policy asks for, free of any pod.

    Attributes:
        policy: whose wish it is.
        schedule: how matching threads run.
        command: RE2 pattern, unanchored; None takes every thread.
        command_on: what the pattern is matched against.
        units: node policies only, globs of systemd units.
        cgroups: node policies only, globs of cgroup paths.
        released: names of protected namespaces or units that the operator's settings let this policy reach.
        on_delete: what becomes of the threads when the policy goes away.
        ends_at: Unix seconds after which the agent drops the intent by itself; None is never.
    """

    policy: PolicyRef
    schedule: Schedule
    command: str | None = None
    command_on: CommandOn = CommandOn.COMM
    units: tuple[str, ...] = ()
    cgroups: tuple[str, ...] = ()
    released: tuple[str, ...] = ()
    on_delete: OnDelete = OnDelete.REVERT
    ends_at: int | None = None

    def as_json(self) -> dict[str, object]:
        """The wire form; every key is always present."""
        return {
            "policy": {
                "namespace": self.policy.namespace,
                "name": self.policy.name,
                "source": self.policy.source,
            },
            "schedule": {
                "priority": self.schedule.priority,
                "timeSlice": self.schedule.time_slice_ns,
                "preempt": self.schedule.preempt,
            },
            "command": self.command,
            "commandOn": self.command_on.value,
            "units": list(self.units),
            "cgroups": list(self.cgroups),
            "released": list(self.released),
            "onDelete": self.on_delete.value,
            "endsAt": None if self.ends_at is None else format_instant(self.ends_at),
        }

    @cached_property
    def canonical(self) -> str:
        """Canonical JSON, made once for all intents that share these terms."""
        return canonical_json(self.as_json())


@dataclass(frozen=True, slots=True)
class Intent:
    """One policy resolved for one pod (or, with ``pod`` None, for the node itself).

    Attributes:
        terms: what the policy says.
        rank: place among the intents of the same pod (or of the node), 0 is strongest.
        pod: whose threads; None for a node policy.
        containers: ids without runtime prefix, 64 hex digits as a rule; None takes every container of the pod.
    """

    terms: Terms
    rank: int
    pod: PodRef | None = None
    containers: tuple[str, ...] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two intents of one node the same one: pod uid ('' for the node), policy."""
        policy = self.terms.policy
        return ("" if self.pod is None else self.pod.uid, policy.namespace, policy.name)

    @property
    def order(self) -> tuple[str, str, str, int, str, str]:
        """Sort key of a desired set: node intents first, then pod by pod, each by rank. It leaves no tie."""
        policy = self.terms.policy
        if self.pod is None:
            return ("", "", "", self.rank, policy.namespace, policy.name)
        return (self.pod.namespace, self.pod.name, self.pod.uid, self.rank, policy.namespace, policy.name)

    def as_json(self) -> dict[str, object]:
        """The wire form; every key is always present."""
        pod = self.pod
        return {
            "pod": None if pod is None else {"namespace": pod.namespace, "name": pod.name, "uid": pod.uid},
            "containers": None if self.containers is None else list(self.containers),
            "rank": self.rank,
            "terms": self.terms.as_json(),
        }


@dataclass(frozen=True, slots=True)
class DesiredSet:
    """Everything that one node shall enforce, and who says so.

    ``token`` is the leader's fencing token and ``generation`` grows with every set of one owner. The pair is
    compared as a tuple: a lower one is refused, so a delayed or repeated push changes nothing.
    """

    owner: str
    token: int
    generation: int
    intents: tuple[Intent, ...] = field(default=())

    def as_json(self) -> dict[str, object]:
        """Body of ``PUT /v1/desired``."""
        return {
            "owner": self.owner,
            "token": self.token,
            "generation": self.generation,
            "digest": digest(self.intents),
            "intents": [intent.as_json() for intent in self.intents],
        }


EMPTY_DIGEST = hashlib.sha256(b"[]").hexdigest()


def ordered(intents: Iterable[Intent]) -> tuple[Intent, ...]:
    """The intents in the one order in which they are sent, stored and digested."""
    return tuple(sorted(intents, key=lambda intent: intent.order))


def digest(intents: Iterable[Intent]) -> str:
    """SHA-256, in hex, over the canonical JSON of all fields of ``intents``, which must be :func:`ordered`."""
    return digest_of_texts(map(canonical_intent, intents))


def digest_of_texts(texts: Iterable[str]) -> str:
    """:func:`digest` of intents whose canonical JSON is there already; one text may hold several, by comma."""
    return hashlib.sha256(f"[{','.join(texts)}]".encode()).hexdigest()


def canonical_json(value: object) -> str:
    """JSON with sorted keys, no white space and no escapes beyond what RFC 8259 requires."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def format_instant(seconds: int) -> str:
    """RFC 3339 in UTC, whole seconds."""
    return datetime.fromtimestamp(seconds, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


_quote = json.encoder.encode_basestring


def canonical_intent(intent: Intent) -> str:
    """Canonical JSON of one intent, what :func:`digest` hashes: the text of its terms is made once for all."""
    # The same text as canonical_json(intent.as_json()); a test compares them. Keys in sorted order:
    # containers, pod, rank, terms.
    pod, containers = intent.pod, intent.containers
    pod_json = "null" if pod is None else canonical_pod(pod)
    ids = "null" if containers is None else f"[{','.join(map(_quote, containers))}]"
    return f'{{"containers":{ids},"pod":{pod_json},"rank":{intent.rank},"terms":{intent.terms.canonical}}}'


def canonical_pod(pod: PodRef) -> str:
    """Canonical JSON of a pod within an intent."""
    return f'{{"name":{_quote(pod.name)},"namespace":{_quote(pod.namespace)},"uid":{_quote(pod.uid)}}}'


def canonical_pieces(ranked: Sequence[Terms]) -> tuple[str, ...]:
    """What ``canonical_pod(pod).join`` makes the intents of ``ranked`` for all containers of ``pod``, by comma.

    Thousands of pods share the ranked terms, and each then costs one join.
    """
    pieces, tail = [], ""
    for rank, terms in enumerate(ranked):
        pieces.append(f'{tail}{{"containers":null,"pod":')
        tail = f',"rank":{rank},"terms":{terms.canonical}}},'
    return (*pieces, tail.removesuffix(","))
