"""Test files from a directory: validated, their policies and pods loaded, every fault with its place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gthulhu_reconcile.cli.policytests.documents import SCHEMAS, Expectation, PolicyTestDocument
from gthulhu_reconcile.cli.policytests.running import CaseResult, Expected, Report, concerned, run_case
from gthulhu_reconcile.loading.document import Document
from gthulhu_reconcile.loading.files import Content, read_all, shown_path
from gthulhu_reconcile.loading.policies import Loaded, load
from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.loading.schemas import read_schema
from gthulhu_reconcile.loading.windows import candidates
from gthulhu_reconcile.loading.yamltree import parse
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, has_errors
from gthulhu_reconcile.model.plan import Explanation
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.observing import podfile
from gthulhu_reconcile.planning.explaining import explain_node, explain_pod
from gthulhu_reconcile.planning.observed import Observed
from gthulhu_reconcile.planning.options import Options

SUFFIXES = (".test.yaml", ".test.yml")
KIND = "PolicyTest"


@dataclass(frozen=True, slots=True)
class Found:
    """What became of a directory of tests: results, and what kept files from being run."""

    report: Report
    diagnostics: tuple[Diagnostic, ...]
    files: tuple[str, ...]


def run_directory(path: str, options: Options) -> Found:
    """Run every ``*.test.yaml`` below ``path``, which may be a single file.

    Args:
        path: directory or file.
        options: the operator's protection and limits, which decide along.
    """
    findings: list[Diagnostic] = []
    files: list[str] = []
    cases: list[CaseResult] = []
    policies: dict[tuple[str, int], Policy] = {}
    for content in read_all([path]):
        if isinstance(content, Diagnostic):
            findings.append(content)
        elif content.path.lower().endswith(SUFFIXES) or Path(path).is_file():
            files.append(content.path)
            test = _File(content, options)
            cases += test.run()
            findings += test.findings
            policies |= {(policy.ref.source, policy.line): policy for policy in test.policies}
    return Found(Report(tuple(cases), tuple(policies.values())), tuple(findings), tuple(files))


class _File:
    """One test file. ``findings`` are complete when :meth:`run` is through."""

    def __init__(self, content: Content, options: Options) -> None:
        self.findings: list[Diagnostic] = []
        self.policies: tuple[Policy, ...] = ()
        self._content = content
        self._options = options

    def run(self) -> Iterator[CaseResult]:
        """The results of its cases; none where something is wrong with the file or with what it names."""
        tree, problems = parse(self._content.data, self._content.path)
        self.findings += problems
        for document in tree.documents if tree is not None else ():
            self.findings += check(document, read_schema(SCHEMAS["2020-12"]))
            if not self._broken:
                yield from self._run(document)

    @property
    def _broken(self) -> bool:
        return has_errors(self.findings)

    def _run(self, document: Document) -> Iterator[CaseResult]:
        test = PolicyTestDocument.model_validate(document.value)
        loaded = self._load(document, test.policies)
        observation = podfile.load(self._beside(test.pods))
        self.findings += observation.diagnostics
        self._check_targets(document, test)
        if self._broken:
            return
        self.policies += loaded.policies
        observed = Observed.of(observation.pods, observation.nodes)
        names = [f"{pod.ref.namespace}/{pod.ref.name}" for pod in observed.pods()]
        names += [*observed.nodes, *observed.populated]
        containers = {pod.ref: [each.name for each in pod.containers] for pod in observed.pods()}
        for number, case in enumerate(test.cases):
            at = case.at or test.at
            if at is None and (policy := _timed(loaded.policies)) is not None:
                where = f"{policy.ref.source}:{policy.line}"
                self.findings.append(
                    document.diagnose(
                        Code.MISSING_KEY,
                        ("cases", number),
                        f"'at' is missing, and {where} holds only at times",
                        hint="without an instant the test would pass today and fail tomorrow",
                    )
                )
                return
            expectations = [
                _expected(document, ("cases", number, "expect", place), expectation)
                for place, expectation in enumerate(case.expect)
            ]
            explanations = self._explain(loaded.policies, observed, at or _ANY_INSTANT, expectations)
            yield run_case(
                self._content.path,
                case.name,
                expectations,
                explanations,
                loaded.policies,
                names=names,
                containers=containers,
            )

    def _load(self, document: Document, paths: Sequence[str]) -> Loaded:
        loaded = load(
            [self._beside(path) for path in paths], limits=self._options.limits, protected=self._options.protection
        )
        self.findings += loaded.diagnostics
        if not loaded.policies and not has_errors(loaded.diagnostics):
            self.findings.append(document.diagnose(Code.NO_POLICIES, ("policies",), "there are no policies to test"))
        return loaded

    def _check_targets(self, document: Document, test: PolicyTestDocument) -> None:
        for number, case in enumerate(test.cases):
            for place, expectation in enumerate(case.expect):
                if expectation.node is None:
                    continue
                for other, given in (("pod", expectation.pod), ("container", expectation.container)):
                    if given is not None:
                        pointer = ("cases", number, "expect", place, "node")
                        message = f"'node' is not allowed beside '{other}'"
                        hint = "an expectation is about pods, or about a node's own processes"
                        self.findings.append(document.diagnose(Code.NOT_ALLOWED, pointer, message, key=True, hint=hint))

    def _beside(self, path: str) -> str:
        return shown_path(Path(self._content.path).parent / path) + ("/" if path.endswith(os.sep) else "")

    def _explain(
        self, policies: Sequence[Policy], observed: Observed, at: str, expectations: Sequence[Expected]
    ) -> Iterator[Explanation]:
        standing = candidates(policies, datetime.fromisoformat(at))
        for pod in observed.pods():
            if concerned(expectations, pod=f"{pod.ref.namespace}/{pod.ref.name}"):
                yield explain_pod(pod.ref.uid, standing, observed, self._options)
        for node in sorted({*observed.nodes, *observed.populated}):
            if concerned(expectations, node=node):
                yield explain_node(node, standing, observed, self._options)


_ANY_INSTANT = "2000-01-01T00:00:00+00:00"
"""Where no policy has a window or an end of its suspension, every instant is the same."""


def _timed(policies: Sequence[Policy]) -> Policy | None:
    for policy in policies:
        ends = policy.suspension is not None and policy.suspension.until is not None
        if policy.window is not None or ends:
            return policy
    return None


def _expected(document: Document, pointer: tuple[str | int, ...], expectation: Expectation) -> Expected:
    return Expected(
        span=document.locate(pointer),
        pod=expectation.pod or "",
        node=expectation.node or "",
        winner=expectation.winner,
        command=expectation.command,
        container=expectation.container,
        ranked=expectation.ranked,
        schedule=expectation.schedule,
    )
