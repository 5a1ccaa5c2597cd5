"""``apply``: plan, show, ask, push; or push a saved plan."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click

from gthulhu_reconcile.applying.outcomes import PushResult, PushStatus
from gthulhu_reconcile.applying.planfile import load
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import (
    STATUSES,
    approval,
    saved_apply,
    show_pass,
    show_plan,
    show_push,
    show_refusal,
    tell_strange_approval,
)
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.rendering.words import count
from gthulhu_reconcile.cli.session import Session, start
from gthulhu_reconcile.cli.streams import standard_input
from gthulhu_reconcile.errors import StalePlan, UsageError, UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.plan import Guard, Plan
from gthulhu_reconcile.model.policy import Policy
from gthulhu_reconcile.runtime.reconciling import Planned, Result, execute, execute_saved, judge, make_plan
from gthulhu_reconcile.runtime.settings import Output


@click.command("apply")
@click.argument("file", required=False, metavar="[FILE]", callback=options.plan_file)
@options.confirming
@options.sources
@options.adopting
@options.approving
@options.form("text", "json", "github", "junit")
@options.verdicts
@options.common
def command(*, file: str | None, **given: object) -> Exit:
    """Plan, show the plan, ask, and push it; with FILE push that saved plan, which is refused when stale or used.

    Where nobody can be asked (no terminal, or a form for machines), --yes is needed. --yes releases no hold: --approve
    does.
    """
    session = start(given, *Output)
    _check_consent(session)
    try:
        return _apply(session, given) if file is None else apply_saved(session, given, file)
    except (UserError, StalePlan) as error:
        return show_refusal(session, error)


def _apply(session: Session, given: Mapping[str, object]) -> Exit:
    with progress(session.terminal, "planning") as tell:
        planned = asyncio.run(make_plan(session.settings, stdin=standard_input(), progress=tell))
    tell_strange_approval(session, planned.plan)
    advice = approval(given, planned.plan.id)
    preview(session, planned, advice)
    pushed = None
    if may_push(session, planned.plan):
        with progress(session.terminal, "pushing") as tell:
            pushed = asyncio.run(execute(planned, session.settings, progress=tell))
    ended = judge(planned, pushed)
    policies = planned.inputs.loaded.policies
    finish(session, planned.plan, pushed, ended, advice, found=planned.diagnostics, policies=policies)
    return session.status


def _check_consent(session: Session) -> None:
    """Refuse before anything is read what could not be done after it."""
    if option := session.only_for_looking:
        raise UsageError(f"a plan made with {option} is for looking at and cannot be applied; use 'plan'")
    if session.settings.yes:
        return
    if (form := session.output) is not Output.TEXT:
        raise UsageError(f"-o {form} asks nobody; apply with --yes, or look with 'plan -o {form}'")
    if not sys.stdin.isatty():
        raise UsageError(
            "nobody can be asked here (standard input is no terminal); apply with --yes, or look with 'plan'"
        )


def apply_saved(session: Session, given: Mapping[str, object], file: str) -> Exit:
    """Push what ``plan --out`` saved, after showing it."""
    if session.settings.nodes:
        raise UsageError("a saved plan is applied whole; choose its nodes with --node where it is made, by 'plan'")
    saved = load(Path(file))
    plan = saved.plan
    if plan.held is not None and plan.held.guard is not Guard.UNREADABLE_INPUT and session.settings.approve == plan.id:
        plan = replace(plan, held=None)
    tell_strange_approval(session, plan)
    advice = saved_apply(given, file, approve=plan.id)
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


def finish(
    session: Session,
    plan: Plan,
    pushed: PushResult | None,
    result: Result,
    advice: str,
    *,
    found: Sequence[Diagnostic] = (),
    policies: Sequence[Policy] = (),
) -> None:
    """Print what became of it, and earn what it means."""
    if session.output is not Output.TEXT:
        show_pass(session, plan, pushed, result, approval=advice, found=found, policies=policies)
    elif pushed is not None:
        show_push(session, pushed)
    session.earn(STATUSES.get(result, Exit.OK))
    if pushed is not None and pushed.nodes and session.settings.detailed_exitcode:
        session.earn(Exit.CHANGES)
