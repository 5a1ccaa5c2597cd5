"""``validate``: policies alone, without cluster, agents or network."""

from __future__ import annotations

import click

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.rendering import github, junit
from gthulhu_reconcile.cli.rendering.diagnostics import diagnostic, in_order, tally
from gthulhu_reconcile.cli.session import Session, start
from gthulhu_reconcile.cli.streams import standard_input
from gthulhu_reconcile.loading.policies import Loaded, load
from gthulhu_reconcile.runtime.settings import Output


@click.command("validate")
@click.argument("paths", nargs=-1, metavar="[PATH]…")
@options.policies
@options.form("text", "json", "github", "junit")
@options.strictness
@options.common
def command(*, paths: tuple[str, ...], **given: object) -> Exit:
    """Check the policies in PATHs and --policies: files, directories, or - for standard input. Default: policies/.

    Everything is read and every mistake is told. Nothing is asked but the files.
    """
    if paths:
        named = given.get("policies")
        given = {**given, "policies": (*(named if isinstance(named, tuple) else ()), *paths)}
    session = start(given, *Output)
    settings = session.settings
    loaded = load(
        settings.policies,
        stdin=standard_input(),
        limits=settings.namespace_limits(),
        protected=settings.protection(),
    )
    _print(session, loaded)
    session.judge(loaded.diagnostics)
    return session.status


def _print(session: Session, loaded: Loaded) -> None:
    terminal, found = session.terminal, in_order(loaded.diagnostics)
    files = {*loaded.files, *(each.span.path for each in found)}
    match session.output:
        case Output.JSON:
            terminal.json([each.as_json() for each in found])
        case Output.GITHUB:
            for line in github.diagnostics(found):
                terminal.data(line)
        case Output.JUNIT:
            terminal.data(junit.document([junit.files(loaded.files, found)]))
        case Output.TEXT:
            for each in found:
                terminal.show(diagnostic(each))
    terminal.note(tally(found, len(files), len(loaded.policies)))
