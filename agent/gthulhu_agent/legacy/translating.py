"""What a Decision Maker's clients said, as intents of ours. Pure.

Upstream lists a thread once for each intent that takes it, and its client keeps the last: so the last that arrived is
the strongest here. Entries that say the same of the same pod are one intent. Nothing is dropped without a word: what
cannot be taken as it was said has a note, which is in the intent's state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.legacy.received import Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_wire.dialects import Dialect, hear
from gthulhu_wire.documents import MAX_PATTERN, MAX_TEXT
from gthulhu_wire.globs import any_matches
from gthulhu_wire.intents import CommandOn, Intent, PodRef, PolicyRef, Terms, canonical_json, ordered

OWNER = "legacy"
"""Who owns a node whose set came through the Decision Maker's or the BSS API."""
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


class _Making:
    def __init__(self, around: Surroundings) -> None:
        self.intents: list[Intent] = []
        self.origins: dict[IntentKey, Origin] = {}
        self.unplaced = 0
        self._around = around
        self._heard: dict[tuple[object, ...], _Heard] = {}
        self._ranks: dict[str, int] = {}
        self._pods: dict[str, PodRef] = {}

    def pod_intent(self, said: ReceivedIntent, dialect: Dialect) -> None:
        if not _is_plain(said.pod_id):
            self.unplaced += 1
            return
        heard = self._hear(said, dialect, DECISION_MAKER, "intent")
        pod = PodRef(_cut(said.namespace), _cut(said.pod_name), said.pod_id)
        self._add(heard, Origin(said, dialect), pod, self._where(said.node_id))

    def strategy(self, said: ReceivedStrategy, pod: PodRef) -> None:
        self._add(self._hear(said, Dialect.BOOL, BSS, _STRATEGY), Origin(said, Dialect.BOOL), pod)

    def node_intent(self, said: ReceivedNodeIntent, dialect: Dialect) -> None:
        heard = self._hear(said, dialect, DECISION_MAKER, "node-intent")
        self._add(heard, Origin(said, dialect), None, self._where(said.node_id))

    def _add(self, heard: _Heard, origin: Origin, pod: PodRef | None, notes: Iterable[Refused] = ()) -> None:
        uid = "" if pod is None else pod.uid
        key = (uid, heard.terms.policy.namespace, heard.terms.policy.name)
        if key in self.origins:
            return  # a stronger one says the same
        if pod is not None:
            pod = self._pods.setdefault(uid, pod)
        protection = tuple(self._protection(pod))
        reaches = heard.reaches and not protection
        rank = self._ranks[uid] = self._ranks.get(uid, -1) + 1
        self.intents.append(Intent(heard.terms, rank, pod, None if reaches or pod is None else ()))
        all_notes = (*heard.notes, *protection, *notes)
        self.origins[key] = Origin(origin.said, origin.dialect, all_notes) if all_notes else origin

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

    def _protection(self, pod: PodRef | None) -> Iterator[Refused]:
        if pod is None:
            return
        namespace = self._around.namespaces.get(pod.uid) or pod.namespace
        if namespace and any_matches(self._around.protected_namespaces, namespace):
            yield Refused(
                "namespace",
                f"pods of the namespace {namespace} are protected; this is kept and not enforced",
                "protected_namespaces is the agent's setting",
            )

    def _where(self, node: str) -> Iterator[Refused]:
        if node and node != self._around.node:
            yield Refused(
                "node",
                f"it is meant for the node {node[:253]!r}, and this is {self._around.node!r}; taken all the same",
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


def _is_plain(uid: str) -> bool:
    return bool(uid) and len(uid.encode()) <= MAX_TEXT and "\0" not in uid


def _cut(text: str) -> str:
    """``text`` as far as a name can go; names only label what the uid selects."""
    return text.encode()[:MAX_TEXT].decode(errors="ignore").replace("\0", "")
