"""``plan``: what would change; nothing does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gthulhu_reconcile.applying.planfile import save, target
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import (
    approval,
    earn_plan,
    saved_apply,
    show_plan,
    show_refusal,
    tell_strange_approval,
)
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.cli.streams import standard_input
from gthulhu_reconcile.errors import UsageError, UserError
from gthulhu_reconcile.runtime.reconciling import make_plan
from gthulhu_reconcile.runtime.settings import Output


@click.command("plan")
@click.option("--out", metavar="FILE", help="Save the plan, for 'apply FILE' and 'show FILE'.")
@options.sources
@options.looking
@options.adopting
@options.approving
@options.form("text", "json", "github", "junit")
@options.verdicts
@options.common
def command(*, out: str | None, **given: object) -> Exit:
    """Show what would change on which nodes, and why.

    Policies, pods and agents are read; nothing is written but FILE.
    """
    session = start(given, *Output)
    if out is not None and (option := session.only_for_looking):
        raise UsageError(f"a plan made with {option} is for looking at: it cannot be applied, so --out saves none")
    if out is not None:
        target(Path(out))  # before minutes are spent on a plan that could not be saved
    try:
        with progress(session.terminal, "planning") as tell:
            planned = asyncio.run(make_plan(session.settings, stdin=standard_input(), progress=tell))
    except UserError as error:
        return show_refusal(session, error)
    tell_strange_approval(session, planned.plan)
    show_plan(
        session,
        planned.plan,
        approval=approval(given, planned.plan.id),
        found=planned.diagnostics,
        policies=planned.inputs.loaded.policies,
    )
    if out is not None:
        save(planned.plan, Path(out))
        session.terminal.note(f"Saved. Apply it once with: {saved_apply(given, out)}")
    earn_plan(session, planned.plan, planned.silent)
    return session.status
