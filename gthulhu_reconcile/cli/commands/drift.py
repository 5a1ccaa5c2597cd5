"""``drift``: what changed on the nodes outside of us."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from gthulhu_reconcile.applying.planfile import load_for_show
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.asking import ask_nodes
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.rendering.drift import as_json, drift, drift_line, find
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.runtime.settings import Output


@click.command("drift")
@click.argument("file", required=False, metavar="[FILE]", callback=options.plan_file)
@options.agents
@options.nodes
@options.owner
@options.form("text", "json")
@options.detailed
@options.common
def command(*, file: str | None, **given: object) -> Exit:
    """List what is on the nodes and not by us: another owner, threads or weights that somebody else set, refusals.

    With FILE, a saved plan that was applied, also the nodes that no longer hold what it brought them. Ends with 1
    where a node does not answer, and with --detailed-exitcode with 2 where there is drift.
    """
    session = start(given, Output.JSON)
    applied = None if file is None else _applied(Path(file))
    with progress(session.terminal, "asking agents") as tell:
        nodes, warned = asyncio.run(ask_nodes(session.settings, tell))
    session.report(warned)
    found = find(nodes, session.settings.owner, {} if applied is None else applied.digests)
    if session.output is Output.JSON:
        session.terminal.json(as_json(found, nodes))
        session.terminal.note(drift_line(found, nodes))
    else:
        for block in drift(found, nodes):
            session.terminal.show(block)
    if any(node.silence for node in nodes):
        session.earn(Exit.ERROR)
    if found and session.settings.detailed_exitcode:
        session.earn(Exit.CHANGES)
    return session.status


def _applied(path: Path) -> Plan:
    saved = load_for_show(path)
    if saved.warnings:
        raise UserError(f"{path} cannot be compared with: {'; '.join(saved.warnings)}")
    if not saved.used:
        raise UserError(f"{path} was never applied, so no node holds what it says by it")
    return saved.plan
