"""``apply``: plan, show, ask, push; or push a saved plan."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import replace
from pathlib import Path

import click

from gthulhu_reconcile.applying.outcomes import PushResult, PushStatus
from gthulhu_reconcile.applying.planfile import load
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.names import PROGRAM
from gthulhu_reconcile.cli.presenting import STATUSES, approval, show_pass_json, show_plan, show_push
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.rendering.words import count
from gthulhu_reconcile.cli.session import Session, start
from gthulhu_reconcile.errors import UsageError
from gthulhu_reconcile.model.plan import Guard, Plan
from gthulhu_reconcile.runtime.reconciling import Planned, Result, execute, execute_saved, judge, make_plan
from gthulhu_reconcile.runtime.settings import Output


@click.command("apply")
@click.argument("file", required=False, metavar="[FILE]", callback=options.plan_file)
@options.confirming
@options.sources
@options.adopting
@options.approving
@options.form("text", "json")
@options.verdicts
@options.common
def command(*, file: str | None, **given: object) -> Exit:
    """Plan, show the plan, ask, and push it; with FILE push that saved plan, which is refused when stale or used.

    Where nobody can be asked (no terminal, or -o json), --yes is needed. --yes releases no hold: --approve does.
    """
    session = start(given, Output.JSON)
    _check_consent(session)
    if file is not None:
        return apply_saved(session, Path(file))
    with progress(session.terminal, "planning") as tell:
        planned = asyncio.run(make_plan(session.settings, stdin=sys.stdin.buffer, progress=tell))
    advice = approval(given, planned.plan.id)
    preview(session, planned, advice)
    pushed = None
    if may_push(session, planned.plan):
        with progress(session.terminal, "pushing") as tell:
            pushed = asyncio.run(execute(planned, session.settings, progress=tell))
    finish(session, planned.plan, pushed, judge(planned, pushed), advice)
    return session.status


def _check_consent(session: Session) -> None:
    """Refuse before anything is read what could not be done after it."""
    if option := session.only_for_looking:
        raise UsageError(f"a plan made with {option} is for looking at and cannot be applied; use 'plan'")
    if session.settings.yes:
        return
    if session.output is Output.JSON:
        raise UsageError("-o json asks nobody; apply with --yes, or look with 'plan -o json'")
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked here (standard input is no terminal); apply with --yes, or look with 'plan'"
        )


def apply_saved(session: Session, path: Path) -> Exit:
    """Push what ``plan --out`` saved, after showing it."""
    saved = load(path)
    plan = saved.plan
    if plan.held is not None and plan.held.guard is not Guard.UNREADABLE_INPUT and session.settings.approve == plan.id:
        plan = replace(plan, held=None)
    advice = shlex.join([PROGRAM, "apply", str(path), "--approve", plan.id])
    if session.output is Output.TEXT:
        show_plan(session, plan, approval=advice)
    pushed = None
    if may_push(session, plan):
        with progress(session.terminal, "pushing") as tell:
            pushed = asyncio.run(execute_saved(saved, session.settings, progress=tell))
    finish(session, plan, pushed, _result(plan, pushed), advice)
    return session.status


def _result(plan: Plan, pushed: PushResult | None) -> Result:
    if plan.held is not None:
        return Result.HELD
    if pushed is None:
        return Result.NOOP
    return {
        PushStatus.SUCCESS: Result.SUCCESS,
        PushStatus.PARTIAL: Result.PARTIAL,
        PushStatus.ERROR: Result.ERROR,
    }[pushed.status]


def preview(session: Session, planned: Planned, advice: str) -> None:
    """Show people what would happen, before they are asked."""
    if session.output is not Output.TEXT:
        session.report(planned.diagnostics)
        return
    policies = planned.inputs.loaded.policies
    show_plan(session, planned.plan, approval=advice, found=planned.diagnostics, policies=policies)


def may_push(session: Session, plan: Plan) -> bool:
    """Whether there is something to push, nothing holds it, and a person agrees."""
    if plan.held is not None or not plan.changed_nodes:
        return False
    if session.settings.yes:
        return True
    if session.terminal.confirm(f"\nPush this to {count(len(plan.changed_nodes), 'node')}?"):
        return True
    session.terminal.note("Nothing was changed.")
    session.earn(Exit.ERROR)
    return False


def finish(session: Session, plan: Plan, pushed: PushResult | None, result: Result, advice: str) -> None:
    """Print what became of it, and earn what it means."""
    if session.output is Output.JSON:
        show_pass_json(session, plan, pushed, result, approval=advice)
    elif pushed is not None:
        show_push(session, pushed)
    session.earn(STATUSES.get(result, Exit.OK))
    if pushed is not None and pushed.nodes and session.settings.detailed_exitcode:
        session.earn(Exit.CHANGES)
