"""The program without a command: one pass, as cron or a pipeline runs it; nobody is asked."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import STATUSES, approval, earn_plan, show_pass_json, show_plan, show_push
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.runtime.reconciling import one_pass as run_pass
from gthulhu_reconcile.runtime.settings import Output


def one_pass(given: Mapping[str, object], *, dry_run: bool) -> Exit:
    """One pass; with ``dry_run`` the plan only."""
    session = start(given, Output.JSON)
    with progress(session.terminal, "working") as tell:
        done = asyncio.run(
            run_pass(session.settings, dry_run=dry_run, stdin=sys.stdin.buffer, progress=tell),
        )
    advice = approval(given, done.plan.id)
    if dry_run or session.output is not Output.JSON:
        show_plan(
            session,
            done.plan,
            approval=advice,
            found=done.diagnostics,
            policies=done.planned.inputs.loaded.policies,
        )
    else:
        session.report(done.diagnostics)
        show_pass_json(session, done.plan, done.push, done.result, approval=advice)
    earn_plan(session, done.plan, done.planned.silent)
    if done.push is not None and session.output is not Output.JSON:
        show_push(session, done.push)
    if not dry_run:
        session.earn(STATUSES.get(done.result, Exit.OK))
    return session.status
