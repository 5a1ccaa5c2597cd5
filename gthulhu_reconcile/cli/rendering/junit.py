"""JUnit XML: the form that every continuous integration service reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from gthulhu_reconcile.cli.rendering.diagnostics import headline, in_order
from gthulhu_reconcile.cli.rendering.plan import SENT_AGAIN, sent_again, summary_line
from gthulhu_reconcile.cli.rendering.words import GUARDS, REASONS, place, pod_name, policy_name, visible
from gthulhu_reconcile.model.diagnostics import Diagnostic, Severity
from gthulhu_reconcile.model.plan import Change, Plan


@dataclass(frozen=True, slots=True)
class Case:
    """One test case. ``failures`` are (kind, message, text); ``output`` is what a reader may want beside them."""

    name: str
    failures: tuple[tuple[str, str, str], ...] = ()
    output: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class Suite:
    """Cases that belong together."""

    name: str
    cases: tuple[Case, ...]


def document(suites: Sequence[Suite]) -> str:
    """The XML, without times: the same input gives the same bytes."""
    root = Element("testsuites", _totals(tuple(case for suite in suites for case in suite.cases)))
    for suite in suites:
        element = SubElement(root, "testsuite", {"name": _text(suite.name), **_totals(suite.cases)})
        for case in suite.cases:
            _case(element, suite, case)
    indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(root, encoding="unicode")


def files(paths: Sequence[str], found: Sequence[Diagnostic]) -> Suite:
    """A case for each file, which fails where the file has errors; warnings are its output."""
    by_path: dict[str, list[Diagnostic]] = {path: [] for path in paths}
    for each in in_order(found):
        by_path.setdefault(each.span.path, []).append(each)
    return Suite("files", tuple(_file(path, of_path) for path, of_path in sorted(by_path.items())))


def plan(planned: Plan) -> Suite:
    """A case for each node that fails where it was left out, and one for the guards."""
    changes: dict[str, list[Change]] = {node: [] for node in planned.digests}
    for change in planned.changes:
        changes.setdefault(change.node, []).append(change)
    held = planned.held
    guards: tuple[tuple[str, str, str], ...] = ()
    if held is not None:
        guards = ((held.guard.value, f"{GUARDS[held.guard]}: {held.message}", f"plan {planned.id}"),)
    cases = [Case("guards", guards, summary_line(planned))]
    lines = {node: [_change(change) for change in of_node] for node, of_node in sorted(changes.items())}
    for node in sent_again(planned):
        lines[node].insert(0, SENT_AGAIN)
    cases += [Case(f"node {node}", (), "\n".join(of_node)) for node, of_node in lines.items()]
    cases += [Case(f"node {left.node}", (("left-out", left.reason, ""),)) for left in planned.unreachable]
    return Suite("plan", tuple(cases))


def _file(path: str, found: Sequence[Diagnostic]) -> Case:
    failures = tuple(
        (each.code.value, headline(each), _full(each)) for each in found if each.severity is Severity.ERROR
    )
    warnings = "\n".join(_full(each) for each in found if each.severity is not Severity.ERROR)
    return Case(path, failures, warnings, file=path)


def _full(found: Diagnostic) -> str:
    return "\n".join(filter(None, (headline(found), found.hint)))


def _change(change: Change) -> str:
    pod = "the node itself" if change.pod is None else f"pod {pod_name(change.pod)}"
    where = place(change.policy.source, change.line)
    return f"{change.action} {pod} by {policy_name(change.policy)} ({where}): {REASONS[change.reason]}"


def _case(parent: Element, suite: Suite, case: Case) -> None:
    attributes = {"classname": _text(suite.name), "name": _text(case.name)}
    if case.file:
        attributes["file"] = _text(case.file)
    element = SubElement(parent, "testcase", attributes)
    # The common schema allows one failure a case; services that take more are as many as those that take the first.
    if case.failures:
        kind, message, _ = case.failures[0]
        more = f" (and {len(case.failures) - 1} more)" if len(case.failures) > 1 else ""
        failure = SubElement(element, "failure", {"type": kind, "message": _text(f"{message}{more}")})
        failure.text = _text("\n".join(filter(None, (text or message for _, message, text in case.failures))))
    if case.output:
        SubElement(element, "system-out").text = _text(case.output)


def _totals(cases: Sequence[Case]) -> dict[str, str]:
    failed = sum(bool(case.failures) for case in cases)
    return {"tests": str(len(cases)), "failures": str(failed), "errors": "0", "skipped": "0"}


def _text(text: str) -> str:
    # XML 1.0 cannot carry control characters, escaped or not.
    return "\n".join(map(visible, text.split("\n")))
