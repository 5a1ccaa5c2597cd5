"""What agents report beyond the head of their set, as values.

Keys that we do not know are ignored, for a newer agent may say more. Only inside of an intent they are refused, by
:mod:`gthulhu_wire.documents`: such a key could narrow what the intent selects.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.pods import Container, Pod
from gthulhu_reconcile.transport.answers import OddAnswer, integer, line, mapping, number, rows, shown, sound, text
from gthulhu_wire.documents import WireError, read_desired
from gthulhu_wire.intents import PodRef, PolicyRef, digest

_SET = ("owner", "token", "generation", "digest", "intents")


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that stands in an agent's way, and the cure."""

    kind: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class IntentState:
    """What became of one intent on its node.

    Attributes:
        accepted_since, enforced_since: RFC 3339; ``enforced_since`` is None where the kernel does not have it (yet).
        effective: what the kernel was told, in the agent's words.
        refused: what the kernel did not take, why, and the cure.
    """

    pod: PodRef | None
    policy: PolicyRef
    rank: int
    accepted_since: str
    enforced_since: str | None
    threads: int
    processes: int
    effective: Mapping[str, object]
    weight: int | None
    nice: int | None
    refused: tuple[str, ...]
    expired: bool


@dataclass(frozen=True, slots=True)
class AgentState:
    """``GET /v1/state``."""

    node: str
    generation: int
    digest: str
    enforcer: str
    conditions: tuple[Condition, ...]
    intents: tuple[IntentState, ...]


@dataclass(frozen=True, slots=True)
class AgentVersion:
    """``GET /v1/version``."""

    node: str
    version: str
    api: str
    enforcer: str
    kernel: str


@dataclass(frozen=True, slots=True)
class Discovered:
    """``GET /v1/pods``; ``incomplete`` says what the agent could not read, so that pods may be missing."""

    pods: tuple[Pod, ...]
    incomplete: tuple[str, ...] = ()


def read_version(value: object) -> AgentVersion:
    """Who answers at an address.

    Raises:
        OddAnswer: this and every reader below, where the answer breaks the API's contract.
    """
    body = mapping(value, "its answer")
    node = text(body, "node")
    if not node or shown(node) != node:
        raise OddAnswer("'node' is not a node's name")
    return AgentVersion(
        node=node,
        version=line(body, "version", ""),
        api=line(body, "api", ""),
        enforcer=line(body, "enforcer", ""),
        kernel=line(body, "kernel", ""),
    )


def read_accepted_set(value: object, node: str) -> Accepted:
    """The set that the agent of ``node`` holds, its digest checked. A fresh agent holds generation 0 of nobody."""
    body = mapping(value, "its answer")
    claimed = text(body, "digest")
    said = text(body, "node", node)
    if node and said != node:
        raise OddAnswer(f"it answers for node '{shown(said)}'")
    owner = text(body, "owner")
    try:
        # The wire's reader wants an owner, because nobody may push without one; nobody holding is not a push.
        known = {key: body[key] for key in _SET if key in body}
        held = read_desired({**known, "owner": owner or "nobody"})
    except WireError as error:
        raise OddAnswer(f"its set breaks the contract: {shown(str(error))}") from None
    found = digest(held.intents)
    if found != claimed:
        raise OddAnswer("the digest that it names is not its set's")
    return Accepted(
        node=node or said,
        owner=owner,
        token=held.token,
        generation=held.generation,
        digest=found,
        intents=held.intents,
    )


def read_pods(value: object, node: str) -> Discovered:
    """The pods that an agent found on its node."""
    body = mapping(value, "its answer")
    said = text(body, "node", node)
    if node and said != node:
        raise OddAnswer(f"it answers for node '{shown(said)}'")
    if "pods" not in body:
        raise OddAnswer("'pods' is missing")
    return Discovered(
        pods=tuple(_pod(mapping(row, "a pod"), node or said) for row in rows(body, "pods")),
        incomplete=tuple(shown(str(line)) for line in rows(body, "incomplete")),
    )


def _pod(row: Mapping[str, object], node: str) -> Pod:
    uid = text(row, "uid")
    if not uid:
        raise OddAnswer("a pod has no uid")
    labels = mapping(row.get("labels") or {}, "'labels'")
    containers = (mapping(entry, "a container") for entry in rows(row, "containers"))
    return Pod(
        ref=PodRef(namespace=text(row, "namespace", ""), name=text(row, "name", ""), uid=uid),
        node=node,
        labels={sound(key, "a label"): text(labels, key) for key in labels},
        containers=tuple(Container(text(entry, "name", ""), text(entry, "id", "")) for entry in containers),
    )


def read_state(value: object) -> AgentState:
    """What became of each intent in the kernel."""
    body = mapping(value, "its answer")
    return AgentState(
        node=line(body, "node"),
        generation=integer(body, "generation"),
        digest=line(body, "digest"),
        enforcer=line(body, "enforcer", ""),
        conditions=tuple(_condition(row) for row in rows(body, "conditions")),
        intents=tuple(_intent(mapping(row, "an intent")) for row in rows(body, "intents")),
    )


def _condition(value: object) -> Condition:
    row = mapping(value, "a condition")
    return Condition(line(row, "type"), line(row, "message", ""), line(row, "cure", ""))


def _intent(row: Mapping[str, object]) -> IntentState:
    policy = mapping(row.get("policy"), "'policy'")
    return IntentState(
        pod=_pod_ref(row.get("pod")),
        policy=PolicyRef(line(policy, "namespace", ""), line(policy, "name"), line(policy, "source", "")),
        rank=integer(row, "rank"),
        accepted_since=line(row, "acceptedSince", ""),
        enforced_since=None if row.get("enforcedSince") is None else line(row, "enforcedSince"),
        threads=integer(row, "threads", 0),
        processes=integer(row, "processes", 0),
        effective=_plain(row.get("effective")),
        weight=number(row, "weight"),
        nice=number(row, "nice"),
        refused=tuple(_refused(entry) for entry in rows(row, "refused")),
        expired=row.get("expired") is True,
    )


def _refused(value: object) -> str:
    row = mapping(value, "an entry of 'refused'")
    what, why, cure = (line(row, key, "") for key in ("what", "why", "cure"))
    return "; ".join(filter(None, (": ".join(filter(None, (what, why))), cure)))


def _pod_ref(value: object) -> PodRef | None:
    if value is None:
        return None
    row = mapping(value, "'pod'")
    return PodRef(line(row, "namespace", ""), line(row, "name", ""), line(row, "uid"))


def _plain(value: object) -> Mapping[str, object]:
    if value is None:
        return {}
    row = mapping(value, "'effective'")
    return {
        shown(key): shown(entry) if isinstance(entry, str) else entry
        for key, entry in row.items()
        if entry is None or isinstance(entry, str | int | float | bool)
    }
