"""From files to policies and diagnostics: the one way in for everything that plans."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from pydantic import ValidationError

from gthulhu_reconcile.loading import patterns, strategies
from gthulhu_reconcile.loading.compiling import compile_policy, read_model
from gthulhu_reconcile.loading.document import Document, Places
from gthulhu_reconcile.loading.files import Content, ReadLimits, read_all, shown_path
from gthulhu_reconcile.loading.judging import Rules, judge
from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.loading.schemas import policy_schema
from gthulhu_reconcile.loading.source import shown, whole_file
from gthulhu_reconcile.loading.yamltree import Limits, open_reader
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span, has_errors
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.planning.options import LimitsByNamespace, Protection
from gthulhu_wire.documents import MAX_PATTERN


@dataclass(frozen=True, slots=True)
class Loaded:
    """What was found.

    Attributes:
        policies: the valid ones, by namespace and name.
        diagnostics: of all files, in the order of reading and of the lines.
        unreadable: files and directories of which policies may be missing here: not readable in full, or with
            errors. What was planned from them before must not be taken for removed.
        files: every file that was read.
    """

    policies: tuple[Policy, ...]
    diagnostics: tuple[Diagnostic, ...]
    unreadable: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def errors(self) -> tuple[Diagnostic, ...]:
        """The diagnostics that are no mere warnings."""
        return tuple(finding for finding in self.diagnostics if finding.severity is Severity.ERROR)


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """What one run may cost: with the defaults at most 2 seconds and 200 MB on a slow core, however hostile.

    Attributes:
        reading: of all files together.
        file: of one file.
        events: YAML events of all files.
        documents: policies of all files.
        instructions: of RE2, that the patterns of all files are compiled to.
        findings: diagnostics of all files; those of one file are bounded by ``file``.
    """

    reading: ReadLimits = field(default_factory=ReadLimits)
    file: Limits = field(default_factory=Limits)
    events: int = 200_000
    documents: int = 2_000
    instructions: int = 800_000
    findings: int = 1_000


DEFAULT_LIMITS = LoadLimits()
_ABOUT_ABSENCE = frozenset({Code.MISSING_KEY, Code.DEPRECATED})
"""Findings that say nothing against the value they point at."""


def load(
    paths: Sequence[str],
    *,
    stdin: BinaryIO | None = None,
    limits: LimitsByNamespace | None = None,
    protected: Protection | None = None,
    bounds: LoadLimits = DEFAULT_LIMITS,
) -> Loaded:
    """All policies of files, directories and (``-``) standard input. Never raises for what is in them.

    ``limits`` and ``protected`` are the operator's settings; without them nothing is judged by them.
    """
    loading = _Loading(Rules(limits, protected), bounds)
    for item in read_all(paths, stdin=stdin, limits=bounds.reading):
        if isinstance(item, Diagnostic):
            loading.refuse(item)
        elif loading.spent:
            loading.refuse(whole_file(item.path, Code.TOO_LARGE, loading.spent))
            break
        else:
            loading.take(item)
        if loading.full:
            break
    return loading.result(paths)


class _Loading:
    def __init__(self, rules: Rules, bounds: LoadLimits) -> None:
        self.full = False
        self._rules = rules
        self._bounds = bounds
        self._policies: dict[tuple[str, str], Policy] = {}
        self._diagnostics: list[Diagnostic] = []
        self._unreadable: dict[str, None] = {}
        self._files: list[str] = []
        self._events = 0
        self._documents = 0
        self._instructions = 0

    def refuse(self, finding: Diagnostic) -> None:
        """Note a file that could not be read."""
        self._diagnostics.append(finding)
        self._unreadable[finding.span.path] = None

    def take(self, content: Content) -> None:
        """Read one file."""
        self._files.append(content.path)
        reader = open_reader(content.data, content.path, limits=self._bounds.file)
        if isinstance(reader, Diagnostic):
            self.refuse(reader)
            return
        findings: list[Diagnostic] = []
        before = self._events
        for document in reader.documents():
            self._events = before + reader.events
            for places in _policies_in(document, findings):
                if len(findings) >= self._bounds.file.findings or not self._affordable(places, findings):
                    break
                findings += self._policy(places, content.path)
            if self.full or len(findings) >= self._bounds.file.findings:
                break
        self._events = before + reader.events
        findings += reader.diagnostics
        findings.sort(key=lambda finding: (finding.span.line, finding.span.column))
        self._keep(content.path, findings)

    def result(self, paths: Sequence[str]) -> Loaded:
        if not self._policies and not self._diagnostics:
            for path in paths or ("",):
                shown_name = "<stdin>" if path == "-" else shown_path(path)
                self._diagnostics.append(
                    whole_file(
                        shown_name,
                        Code.NO_POLICIES,
                        "has no policies",
                        severity=Severity.WARNING,
                        hint="policies are documents with kind SchedulingPolicy or NodeSchedulingPolicy",
                    )
                )
        ordered = tuple(self._policies[key] for key in sorted(self._policies))
        return Loaded(ordered, tuple(self._diagnostics), tuple(self._unreadable), tuple(self._files))

    @property
    def spent(self) -> str:
        """Which limit of all files together is exceeded; empty while none is."""
        if self._documents > self._bounds.documents:
            return f"brings all files together above {self._bounds.documents:,} documents"
        if self._events > self._bounds.events:
            return f"brings all files together above {self._bounds.events:,} keys and values"
        if self._instructions > self._bounds.instructions:
            return "brings all files together above what their patterns may cost; use simpler or fewer of them"
        return ""

    def _affordable(self, document: Places, findings: list[Diagnostic]) -> bool:
        self._documents += 1
        if problem := self.spent:
            findings.append(document.diagnose(Code.TOO_LARGE, (), problem))
            self.full = True
        return not self.full

    def _policy(self, places: Places, path: str) -> list[Diagnostic]:
        findings = list(check(places, policy_schema()))
        told = frozenset(finding.pointer for finding in findings if finding.code not in _ABOUT_ABSENCE)
        findings += judge(places, self._rules, told)
        self._instructions += _cost(places)
        if places.sound and not has_errors(findings):
            try:
                policy = compile_policy(read_model(places.value), source=path, line=places.line)
            except ValidationError as error:
                # The schema and the models agree, which a property test holds them to; were they not to, the
                # stricter one is right.
                problem = error.errors(include_url=False, include_context=False)[0]["msg"]
                return [*findings, places.diagnose(Code.NOT_ALLOWED, (), problem)]
            findings += self._enter(policy, places)
        return findings

    def _enter(self, policy: Policy, places: Places) -> list[Diagnostic]:
        key = (policy.ref.namespace, policy.ref.name)
        first = self._policies.setdefault(key, policy)
        if first is policy:
            return []
        message = f"policy {shown(policy.ref.name)} of namespace {shown(policy.ref.namespace)} is already there"
        hint = f"the first one is at {first.ref.source}:{first.line}; names are unique in a namespace"
        return [places.diagnose(Code.DUPLICATE_POLICY, ("metadata", "name"), message, hint=hint)]

    def _keep(self, path: str, findings: list[Diagnostic]) -> None:
        kept = findings[: self._bounds.file.findings]
        if len(findings) >= self._bounds.file.findings:
            at = kept[-1].span
            kept.append(
                Diagnostic(
                    Code.TOO_LARGE,
                    Severity.ERROR,
                    Span(path, at.line, at.column, at.end_column),
                    f"has {len(kept)} or more mistakes; the rest of the file was not looked at",
                )
            )
        self._diagnostics += kept
        if has_errors(kept):
            self._unreadable[path] = None
        if len(self._diagnostics) >= self._bounds.findings:
            message = f"there are {len(self._diagnostics):,} mistakes; later files were not looked at"
            self._diagnostics.append(whole_file(path, Code.TOO_LARGE, message))
            self.full = True


def _policies_in(document: Document, findings: list[Diagnostic]) -> Iterable[Places]:
    """The policies of a document: itself, or the strategies that it lists; an empty document has none."""
    if document.value is None:
        return ()
    if strategies.is_strategies(document.value):
        return strategies.convert(document, findings)
    return (document,)


def _cost(places: Places) -> int:
    value: object = places.value
    for key in ("spec", "selector", "command"):
        value = value.get(key) if isinstance(value, dict) else None
    return patterns.cost(value) if isinstance(value, str) and len(value.encode()) <= MAX_PATTERN else 0
