"""What a Decision Maker's clients said, as intents of ours. Pure.

Upstream lists a thread once for each intent that takes it, and its client keeps the last: so the last that arrived is
the strongest here. Entries that say the same of the same pod are one intent. Nothing is dropped without a word: what
cannot be taken as it was said has a note, which is in the intent's state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.legacy.received import Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_wire.dialects import Dialect, hear
from gthulhu_wire.documents import MAX_PATTERN, MAX_TEXT
from gthulhu_wire.globs import any_matches
from gthulhu_wire.intents import CommandOn, Intent, PodRef, PolicyRef, Terms, canonical_json, ordered

NAMESPACE = "legacy"
DECISION_MAKER = "decision-maker"
BSS = "bss"
_STRATEGY = "strategy"

PAUSE = "pause"
"""comm of a pod's sandbox, which upstream leaves out of every strategy."""
ALL_BUT_PAUSE = "(?s)^($|[^p]|p($|[^a])|pa($|[^u])|pau($|[^s])|paus($|[^e])|pause.)"
NOTHING = r"[^\x00-\x{10FFFF}]"
"""A pattern that no text has: a node intent that is held and not enforced."""

Said = ReceivedIntent | ReceivedNodeIntent | ReceivedStrategy


@dataclass(frozen=True, slots=True)
class Reached:
    """A strategy and the pods that have its labels now."""

    strategy: ReceivedStrategy
    pods: tuple[PodRef, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a translation depends on besides what was said.

    Attributes:
        node: this node's name.
        protected_namespaces: names or globs.
        namespaces: of pods that run here, by uid, as far as the node itself knows: it goes before what clients say.
        reached: the strategies with selectors, in order of arrival.
    """

    node: str
    protected_namespaces: tuple[str, ...] = ()
    namespaces: Mapping[str, str] = field(default_factory=dict)
    reached: tuple[Reached, ...] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """What an intent was made from, the dialect of that, and what has to be said about it."""

    said: Said
    dialect: Dialect
    notes: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class Translation:
    """The intents, in wire order, and where each comes from.

    Attributes:
        unplaced: entries that name no pod; they are kept and digested as upstream does, and mean nothing.
    """

    intents: tuple[Intent, ...] = ()
    origins: Mapping[IntentKey, Origin] = field(default_factory=dict)
    unplaced: int = 0


def translate(received: Received, around: Surroundings) -> Translation:
    """All that was received, as intents."""
    making = _Making(around)
    for said in reversed(received.node_intents):
        making.node_intent(said, received.node_dialect)
    for intent in reversed(received.intents):
        making.pod_intent(intent, received.dialect)
    for reached in reversed(around.reached):
        for pod in reached.pods:
            making.strategy(reached.strategy, pod)
    return Translation(ordered(making.intents), making.origins, making.unplaced)


def strategy_name(said: ReceivedStrategy) -> str:
    """Name of the policy that a strategy becomes."""
    return _name(_key(said, Dialect.BOOL, _STRATEGY))


@dataclass(frozen=True, slots=True)
class _Heard:
    """Terms that many pods share, with their notes. ``reaches`` False: they are held and not enforced."""

    terms: Terms
    notes: tuple[Refused, ...]
    reaches: bool


@dataclass(slots=True)
class _Place:
    """A pod, or with ``pod`` None the node: how many intents it has so far, and why none of them is enforced."""

    pod: PodRef | None
    protection: tuple[Refused, ...] = ()
    ranks: int = 0


class _Making:
    def __init__(self, around: Surroundings) -> None:
        self.intents: list[Intent] = []
        self.origins: dict[IntentKey, Origin] = {}
        self.unplaced = 0
        self._around = around
        self._heard: dict[tuple[object, ...], _Heard] = {}
        self._node = _Place(None)
        self._places: dict[str, _Place | None] = {}
        self._protections: dict[str, tuple[Refused, ...]] = {}
        self._wheres: dict[str, tuple[Refused, ...]] = {"": (), around.node: ()}

    def pod_intent(self, said: ReceivedIntent, dialect: Dialect) -> None:
        if said.pod_id not in self._places:
            self._places[said.pod_id] = self._place(said.namespace, said.pod_name, said.pod_id)
        place = self._places[said.pod_id]
        if place is None:
            self.unplaced += 1
            return
        self._add(self._hear(said, dialect, DECISION_MAKER, "intent"), said, dialect, place, self._where(said.node_id))

    def strategy(self, said: ReceivedStrategy, pod: PodRef) -> None:
        if pod.uid not in self._places:
            self._places[pod.uid] = self._place(pod.namespace, pod.name, pod.uid)
        if (place := self._places[pod.uid]) is not None:
            self._add(self._hear(said, Dialect.BOOL, BSS, _STRATEGY), said, Dialect.BOOL, place)

    def node_intent(self, said: ReceivedNodeIntent, dialect: Dialect) -> None:
        heard = self._hear(said, dialect, DECISION_MAKER, "node-intent")
        self._add(heard, said, dialect, self._node, self._where(said.node_id))

    def _add(self, heard: _Heard, said: Said, dialect: Dialect, place: _Place, notes: tuple[Refused, ...] = ()) -> None:
        policy, pod = heard.terms.policy, place.pod
        key = ("" if pod is None else pod.uid, policy.namespace, policy.name)
        if key in self.origins:
            return  # a stronger one says the same
        held_only = pod is not None and (place.protection or not heard.reaches)
        self.intents.append(Intent(heard.terms, place.ranks, pod, () if held_only else None))
        place.ranks += 1
        self.origins[key] = Origin(said, dialect, heard.notes + place.protection + notes)

    def _hear(self, said: Said, dialect: Dialect, source: str, kind: str) -> _Heard:
        key = _key(said, dialect, kind)
        if (known := self._heard.get(key)) is None:
            known = self._heard[key] = self._hear_anew(said, dialect, PolicyRef(NAMESPACE, _name(key), source))
        return known

    def _hear_anew(self, said: Said, dialect: Dialect, policy: PolicyRef) -> _Heard:
        heard = hear(dialect, int(said.priority), said.execution_time)
        notes = [Refused("slice" if note.startswith("executionTime") else "priority", note) for note in heard.notes]
        of_node = isinstance(said, ReceivedNodeIntent)
        problem = _problem(said.command_regex, empty=not of_node)
        if problem:
            notes.append(problem)
        command: str | None = said.command_regex or ALL_BUT_PAUSE
        if problem:
            command = NOTHING if of_node else None
        terms = Terms(policy, heard.schedule, command, _command_on(said) if said.command_regex else CommandOn.COMM)
        return _Heard(terms, tuple(notes), reaches=problem is None)

    def _place(self, namespace: str, name: str, uid: str) -> _Place | None:
        if not uid or len(uid.encode()) > MAX_TEXT or "\0" in uid:
            return None  # no pod has such a uid
        pod = PodRef(_cut(namespace), _cut(name), uid)
        return _Place(pod, self._protection(self._around.namespaces.get(uid) or pod.namespace))

    def _protection(self, namespace: str) -> tuple[Refused, ...]:
        if namespace not in self._protections:
            protected = bool(namespace) and any_matches(self._around.protected_namespaces, namespace)
            self._protections[namespace] = (_protected(namespace),) if protected else ()
        return self._protections[namespace]

    def _where(self, node: str) -> tuple[Refused, ...]:
        if node not in self._wheres:
            self._wheres[node] = (_elsewhere(node, self._around.node),)
        return self._wheres[node]


def _protected(namespace: str) -> Refused:
    return Refused(
        "namespace",
        f"pods of the namespace {namespace} are protected; this is kept and not enforced",
        "protected_namespaces is the agent's setting",
    )


def _elsewhere(said: str, here: str) -> Refused:
    return Refused(
        "node",
        f"it is meant for the node {said[:253]!r}, and this is {here!r}; taken all the same",
        "whoever sends it takes this agent for another node's",
    )


def _command_on(said: Said) -> CommandOn:
    return CommandOn.COMM if isinstance(said, ReceivedStrategy) else said.command_on


def _key(said: Said, dialect: Dialect, kind: str) -> tuple[object, ...]:
    policy = said.policy_id if isinstance(said, ReceivedNodeIntent) else ""
    selectors = said.selectors if isinstance(said, ReceivedStrategy) else ()
    priority, on = int(said.priority), _command_on(said)
    return kind, dialect, said.command_regex, priority, said.execution_time, on, policy, selectors


def _name(key: tuple[object, ...]) -> str:
    kind, *rest = key
    text = canonical_json([str(part) for part in rest])
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _problem(pattern: str, *, empty: bool) -> Refused | None:
    size = len(pattern.encode())
    if size > MAX_PATTERN:
        return Refused("pattern", f"it is {size} bytes long; at most {MAX_PATTERN} are taken", "make it shorter")
    if "\0" in pattern:
        return Refused("pattern", "it has a NUL byte, which no name of a command has")
    if not pattern and not empty:
        return Refused("pattern", "an intent for a node takes nothing without commandRegex", "send one")
    return None


def _cut(text: str) -> str:
    """``text`` as far as a name can go; names only label what the uid selects."""
    return text.encode()[:MAX_TEXT].decode(errors="ignore").replace("\0", "")
