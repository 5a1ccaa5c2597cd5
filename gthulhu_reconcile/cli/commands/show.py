"""``show``: a saved plan, whatever has become of it."""

from __future__ import annotations

from pathlib import Path

import click

from gthulhu_reconcile.applying.planfile import load_for_show
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import earn_plan, saved_apply, show_plan
from gthulhu_reconcile.cli.rendering.words import visible
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.runtime.settings import Output


@click.command("show")
@click.argument("file", metavar="FILE")
@options.form("text", "json", "github", "junit")
@options.verdicts
@options.common
def command(*, file: str, **given: object) -> Exit:
    """Show the plan that 'plan --out FILE' saved; also one that was used or is damaged, with a warning."""
    session = start(given, *Output)
    saved = load_for_show(Path(file))
    warnings = [*saved.warnings, *(["it was applied before, and a saved plan is applied once"] if saved.used else [])]
    for warning in warnings:
        session.terminal.note(f"warning: {visible(str(saved.path))}: {visible(warning)}")
    show_plan(session, saved.plan, approval=visible(saved_apply(given, file, approve=saved.plan.id)))
    session.terminal.note(f"Saved {saved.created.isoformat(timespec='seconds')}, plan {saved.plan.id}.")
    earn_plan(session, saved.plan, ())
    return session.status
