"""Results of policy tests, in all forms."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from gthulhu_reconcile.cli.policytests.running import CaseResult, Failure, Report, coverage_line
from gthulhu_reconcile.cli.rendering import github
from gthulhu_reconcile.cli.rendering.diagnostics import address
from gthulhu_reconcile.cli.rendering.junit import Case, Suite
from gthulhu_reconcile.cli.rendering.words import place, policy_name, visible


def results(report: Report) -> Iterator[Text]:
    """A line for each case, the failures below it, then what was left out, then the count."""
    for case in report.cases:
        yield _case(case)
    for policy in report.unexercised:
        text = Text()
        text.append("untested ", style="bold red").append(policy_name(policy.ref), style="bold")
        yield text.append(f" ({place(policy.ref.source, policy.line)}): no expectation meets it")
    yield _ending(report)


def github_lines(report: Report) -> list[str]:
    """GitHub annotations."""
    lines = [
        github.annotation(
            "error",
            "\n".join(filter(None, (failure.message, failure.hint))),
            title=case.name,
            path=failure.span.path,
            line=failure.span.line,
            col=failure.span.column,
            endColumn=failure.span.end_column,
        )
        for case in report.cases
        for failure in case.failures
    ]
    lines += [
        github.annotation(
            "error",
            f"no expectation meets {policy_name(policy.ref)}",
            title="untested policy",
            path=policy.ref.source,
            line=policy.line,
        )
        for policy in report.unexercised
    ]
    return [*lines, github.annotation("notice", tests_line(report), title="policy tests")]


def suites(report: Report) -> list[Suite]:
    """JUnit suites: one for each file, and one of the policies that are to be exercised."""
    files = dict.fromkeys(case.file for case in report.cases)
    made = [
        Suite(
            file,
            tuple(
                Case(case.name, tuple(_junit(failure) for failure in case.failures), file=file)
                for case in report.cases
                if case.file == file
            ),
        )
        for file in files
    ]
    missed = {policy.ref for policy in report.unexercised}
    first = {policy.ref: policy for policy in reversed(report.policies)}
    exercised = tuple(
        Case(
            policy_name(ref),
            (("untested", "no expectation meets it", ""),) if ref in missed else (),
            file=policy.ref.source,
        )
        for ref, policy in sorted(first.items())
    )
    return [*made, Suite("policies exercised", exercised)]


def as_json(report: Report) -> dict[str, object]:
    """The machine form; keys are only added to."""
    return {
        "formatVersion": "1.0",
        "passed": report.passed,
        "summary": {
            "cases": len(report.cases),
            "failed": len(report.failed),
            "policies": report.total,
            "exercised": report.total - len(report.unexercised),
        },
        "cases": [
            {
                "file": case.file,
                "name": case.name,
                "passed": not case.failures,
                "checked": case.checked,
                "failures": [
                    {
                        "path": failure.span.path,
                        "line": failure.span.line,
                        "column": failure.span.column,
                        "message": failure.message,
                        "hint": failure.hint,
                    }
                    for failure in case.failures
                ],
            }
            for case in report.cases
        ],
        "unexercised": [
            {
                "namespace": policy.ref.namespace,
                "name": policy.ref.name,
                "source": policy.ref.source,
                "line": policy.line,
            }
            for policy in report.unexercised
        ],
    }


def tests_line(report: Report) -> str:
    """``Tests: 11 passed, 1 failed; 12/14 policies exercised.``: an interface."""
    failed = len(report.failed)
    return f"Tests: {len(report.cases) - failed} passed, {failed} failed; {coverage_line(report)}."


def _case(case: CaseResult) -> Text:
    text = Text()
    text.append("FAIL " if case.failures else "ok   ", style="bold red" if case.failures else "green")
    text.append(visible(f"{case.file}: {case.name}"), style="bold" if case.failures else "")
    for failure in case.failures:
        text.append(f"\n     {address(failure.span)}: {visible(failure.message)}")
        if failure.hint:
            text.append("\n       = ", style="blue").append(visible(failure.hint))
    return text


def _ending(report: Report) -> Text:
    text = Text("\n")
    text.append("Tests:", style="bold green" if report.passed else "bold red")
    text.append(tests_line(report).removeprefix("Tests:"))
    if not report.cases:
        text.append("\nNothing was tested.")
    return text


def _junit(failure: Failure) -> tuple[str, str, str]:
    message = f"{address(failure.span)}: {failure.message}"
    return ("expectation", message, "\n".join(filter(None, (message, failure.hint))))
