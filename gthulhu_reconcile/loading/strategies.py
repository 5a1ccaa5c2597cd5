"""Gthulhu's strategies, as its API lists and takes them, converted to policy documents.

A strategy's selectors are terms that must all hold, one without a value asks that the label exists; its time slice
is a number of nanoseconds, 0 where none is asked for. Names of keys are read in any case, as Gthulhu's own decoder
does and its list needs (``LabelSelectors`` in one answer, ``labelSelectors`` in another); keys that nobody knows are
refused, and so is a selector without a key, which Gthulhu drops in silence and so selects more than was meant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_reconcile.loading.document import Document, Places, Pointer, Value
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.source import shown
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.model.documents import API_VERSION

_ENVELOPE = {"success", "data", "timestamp", "strategies"}
_ID = ("id", "strategyid", "name")
_NAMESPACES = ("k8snamespace", "k8snamespaces")
_IGNORED = frozenset({"createdtime", "updatedtime", "deletedtime", "creatorid", "updaterid"})
_KNOWN = (
    "ID",
    "strategyId",
    "name",
    "strategyNamespace",
    "labelSelectors",
    "k8sNamespace",
    "k8sNamespaces",
    "commandRegex",
    "priority",
    "executionTime",
)
_KEYS = {name.lower(): name for name in _KNOWN}
_TELLING = {"strategynamespace", "labelselectors", "commandregex", "executiontime", *_NAMESPACES}


def is_strategies(value: Value) -> bool:
    """Whether a document holds strategies: one, a list, or an answer of the API; told by its keys, if it has any."""
    if isinstance(value, list):
        return all(isinstance(entry, dict) and _is_strategy(entry) for entry in value)
    if not isinstance(value, dict) or "kind" in value or "apiVersion" in value:
        return False
    return _is_strategy(value) or "strategies" in value or (isinstance(value.get("data"), dict) and "success" in value)


def convert(document: Document, findings: list[Diagnostic]) -> Iterator[Places]:
    """Each strategy as a policy document that still knows where it is written; what is wrong goes to ``findings``."""
    for pointer, value in _strategies(document, findings):
        if isinstance(value, dict):
            yield _convert(document, pointer, value, findings)
        else:
            findings.append(document.diagnose(Code.WRONG_TYPE, pointer, "a strategy must be a mapping"))


@dataclass(frozen=True, slots=True)
class Converted:
    """A policy document, and for each of its parts where in the strategy it comes from."""

    value: Value
    line: int
    whole: bool
    sound: bool
    document: Document
    root: Pointer
    origins: Mapping[Pointer, Pointer]

    def diagnose(
        self,
        code: Code,
        pointer: Pointer,
        message: str,
        *,
        key: bool = False,
        severity: Severity = Severity.ERROR,
        hint: str = "",
        suggestion: str = "",
    ) -> Diagnostic:
        """A diagnostic at the strategy's part that became the one at ``pointer``."""
        return self.document.diagnose(
            code, self._origin(pointer), message, key=key, severity=severity, hint=hint, suggestion=suggestion
        )

    def refused(self, pointer: Pointer) -> bool:
        """As of documents."""
        return self.document.refused(self._origin(pointer))

    def written(self, pointer: Pointer) -> str:
        """As of documents."""
        return self.document.written(self._origin(pointer))

    def _origin(self, pointer: Pointer) -> Pointer:
        parts = tuple(pointer)
        for length in range(len(parts), 0, -1):
            if (origin := self.origins.get(parts[:length])) is not None:
                return origin
        return self.root


def _is_strategy(value: Mapping[str, Value]) -> bool:
    return "kind" not in value and "apiVersion" not in value and any(key.lower() in _TELLING for key in value)


def _strategies(document: Document, findings: list[Diagnostic]) -> Iterator[tuple[Pointer, Value]]:
    pointer: Pointer = ()
    value = document.value
    while isinstance(value, dict) and not _is_strategy(value):
        strange = [key for key in value if key not in _ENVELOPE]
        findings += [_unknown(document, (*pointer, key), key, sorted(_ENVELOPE)) for key in strange]
        step = "strategies" if "strategies" in value else "data"
        if step not in value:
            return
        pointer, value = (*pointer, step), value[step]
    if isinstance(value, list):
        if not value:
            message, hint = "there is nothing in this list of strategies", "remove the file if that is meant"
            findings.append(document.diagnose(Code.NO_POLICIES, pointer, message, severity=Severity.WARNING, hint=hint))
        for number, entry in enumerate(value):
            yield (*pointer, number), entry
    elif value is not None:
        yield pointer, value


def _convert(document: Document, root: Pointer, strategy: Mapping[str, Value], findings: list[Diagnostic]) -> Converted:
    given: dict[str, str] = {}
    before = len(findings)
    for key in strategy:
        lowered = key.lower()
        if lowered not in _KEYS and lowered not in _IGNORED:
            findings.append(_unknown(document, (*root, key), key, _KNOWN))
        elif lowered in given:
            message = f"{shown(key)} and {shown(given[lowered])} are the same key"
            findings.append(document.diagnose(Code.DUPLICATE_KEY, (*root, key), message, key=True))
        else:
            given[lowered] = key
    building = _Building(root, strategy, given)
    building.build()
    findings += [_unknown(document, at, str(at[-1]), ("key", "value")) for at in building.strange]
    message = "'executionTime' must be a number of nanoseconds"
    findings += [document.diagnose(Code.WRONG_TYPE, at, message) for at in building.no_numbers]
    return Converted(
        value=building.body,
        line=document.locate(root).line,
        whole=document.whole,
        sound=document.sound and len(findings) == before,
        document=document,
        root=root,
        origins=building.origins,
    )


class _Building:
    def __init__(self, root: Pointer, strategy: Mapping[str, Value], given: dict[str, str]) -> None:
        self.origins: dict[Pointer, Pointer] = {}
        self.strange: list[Pointer] = []
        self.no_numbers: list[Pointer] = []
        self._selector: dict[str, Value] = {}
        self._schedule: dict[str, Value] = {}
        self._metadata: dict[str, Value] = {}
        self.body: dict[str, Value] = {
            "apiVersion": API_VERSION,
            "kind": "SchedulingPolicy",
            "metadata": self._metadata,
            "spec": {"selector": self._selector, "schedule": self._schedule},
        }
        self._root = root
        self._strategy = strategy
        self._given = given

    def build(self) -> None:
        self._identity()
        self._labels()
        self._namespaces()
        pattern, at = self._get("commandregex")
        if at is not None and pattern != "":
            self._put(self._selector, ("spec", "selector", "command"), pattern, at)
        priority, at = self._get("priority")
        if at is not None:
            self._put(self._schedule, ("spec", "schedule", "priority"), priority, at)
        slice_ns, at = self._get("executiontime")
        if at is not None and (not isinstance(slice_ns, int) or isinstance(slice_ns, bool)):
            self.no_numbers.append(at)
        elif at is not None and slice_ns != 0:
            self._put(self._schedule, ("spec", "schedule", "timeSlice"), f"{slice_ns}ns", at)

    def _identity(self) -> None:
        for key in _ID:
            name, at = self._get(key)
            if at is not None and name != "":
                self._put(self._metadata, ("metadata", "name"), name.lower() if isinstance(name, str) else name, at)
                break
        else:
            # Without an id, the name is what the strategy says: it stays the same when the list is reordered.
            text = json.dumps(self._strategy, sort_keys=True, default=str)
            self._metadata["name"] = f"strategy-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
        namespace, at = self._get("strategynamespace")
        if at is not None and namespace != "":
            self._put(self._metadata, ("metadata", "namespace"), namespace, at)

    def _labels(self) -> None:
        selectors, at = self._get("labelselectors")
        if at is None or selectors is None or selectors == []:
            return
        target: Pointer = ("spec", "selector", "matchExpressions")
        if not isinstance(selectors, list):
            self._put(self._selector, target, selectors, at)
            return
        terms: list[Value] = []
        self._put(self._selector, target, terms, at)
        for number, entry in enumerate(selectors):
            self.origins[*target, number] = (*at, number)
            terms.append(self._term(entry, (*target, number), (*at, number)))

    def _term(self, entry: Value, target: Pointer, at: Pointer) -> Value:
        if not isinstance(entry, dict):
            return entry
        keys = {key.lower(): key for key in entry}
        self.strange += [(*at, key) for key in entry if key.lower() not in ("key", "value")]
        term: dict[str, Value] = {}
        if "key" in keys:
            term["key"] = entry[keys["key"]]
            self.origins[*target, "key"] = (*at, keys["key"])
        value = entry[keys["value"]] if "value" in keys else ""
        term["operator"] = "Exists" if value == "" else "In"
        if value != "":
            term["values"] = [value]
            self.origins[*target, "values"] = (*at, keys["value"])
        return term

    def _namespaces(self) -> None:
        for key in _NAMESPACES:
            names, at = self._get(key)
            if at is None or names is None or names in ([], [""]):
                continue
            target: Pointer = ("spec", "selector", "namespaces")
            self._put(self._selector, target, names, at)
            for number in range(len(names) if isinstance(names, list) else 0):
                self.origins[*target, number] = (*at, number)

    def _get(self, key: str) -> tuple[Value, Pointer | None]:
        name = self._given.get(key)
        return (None, None) if name is None else (self._strategy[name], (*self._root, name))

    def _put(self, part: dict[str, Value], target: Pointer, value: Value, at: Pointer) -> None:
        part[str(target[-1])] = value
        self.origins[target] = at


def _unknown(document: Document, pointer: Pointer, key: str, known: Sequence[str]) -> Diagnostic:
    return document.diagnose(
        Code.UNKNOWN_KEY,
        pointer,
        f"{shown(key)} is not allowed here",
        key=True,
        hint=f"allowed are {', '.join(known)}",
        suggestion=resembling(key, known),
    )
