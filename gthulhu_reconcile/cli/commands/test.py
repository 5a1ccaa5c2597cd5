"""``test``: unit tests of policies."""

from __future__ import annotations

import click

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.policytests.reading import Found, run_directory
from gthulhu_reconcile.cli.rendering import github, junit, policytests
from gthulhu_reconcile.cli.session import Session, start
from gthulhu_reconcile.runtime.settings import Output


@click.command("test")
@click.argument("directory", metavar="DIR")
@options.form("text", "json", "github", "junit")
@options.strictness
@options.common
def command(*, directory: str, **given: object) -> Exit:
    """Run the policy tests in DIR (*.test.yaml, or one such file), offline.

    Fails where an expectation does not hold or matches no pod, where a policy was met by no expectation, and where
    there is nothing to test.
    """
    session = start(given, *Output)
    found = run_directory(directory, session.settings.planning_options())
    _print(session, found)
    if not found.report.passed:
        session.earn(Exit.ERROR)
    return session.status


def _print(session: Session, found: Found) -> None:
    terminal, report = session.terminal, found.report
    if session.output in (Output.TEXT, Output.JSON):
        session.report(found.diagnostics)
    else:
        session.judge(found.diagnostics)
    match session.output:
        case Output.JSON:
            terminal.json(policytests.as_json(report))
        case Output.GITHUB:
            for line in (*github.diagnostics(found.diagnostics), *policytests.github_lines(report)):
                terminal.data(line)
        case Output.JUNIT:
            terminal.data(junit.document([junit.files(found.files, found.diagnostics), *policytests.suites(report)]))
        case Output.TEXT:
            for block in policytests.results(report):
                terminal.show(block)
            return
    terminal.note(policytests.tests_line(report))
