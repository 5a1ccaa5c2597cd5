"""The program without a command: one pass, as cron or a pipeline runs it; nobody is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import (
    STATUSES,
    approval,
    earn_plan,
    show_pass,
    show_plan,
    show_push,
    show_refusal,
    tell_strange_approval,
)
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.cli.streams import standard_input
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.runtime.reconciling import one_pass as run_pass
from gthulhu_reconcile.runtime.settings import Output


def one_pass(given: Mapping[str, object], *, dry_run: bool) -> Exit:
    """One pass; with ``dry_run`` the plan only."""
    session = start(given, *Output)
    try:
        with progress(session.terminal, "working") as tell:
            done = asyncio.run(
                run_pass(session.settings, dry_run=dry_run, stdin=standard_input(), progress=tell),
            )
    except UserError as error:
        return show_refusal(session, error)
    tell_strange_approval(session, done.plan)
    advice = approval(given, done.plan.id)
    policies = done.planned.inputs.loaded.policies
    if dry_run or session.output is Output.TEXT:
        show_plan(session, done.plan, approval=advice, found=done.diagnostics, policies=policies)
        if done.push is not None:
            show_push(session, done.push)
    else:
        show_pass(
            session, done.plan, done.push, done.result, approval=advice, found=done.diagnostics, policies=policies
        )
    earn_plan(session, done.plan, done.planned.silent)
    if not dry_run:
        session.earn(STATUSES.get(done.result, Exit.OK))
    return session.status
