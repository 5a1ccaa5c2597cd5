"""``status``: what every agent holds and what the kernel has of it."""

from __future__ import annotations

import asyncio

import click

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.asking import ask_nodes
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.rendering.nodes import as_json, status, status_line
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.runtime.settings import Output


@click.command("status")
@options.agents
@options.nodes
@options.owner
@options.form("text", "json")
@options.common
def command(**given: object) -> Exit:
    """Show for every node: its agent's health, owner and generation, what is accepted and enforced, and what is not.

    Ends with 1 where a node does not answer. Gaps are shown and change no status: see 'drift'.
    """
    session = start(given, Output.JSON)
    with progress(session.terminal, "asking agents") as tell:
        nodes, warned = asyncio.run(ask_nodes(session.settings, tell))
    session.report(warned)
    if session.output is Output.JSON:
        session.terminal.json(as_json(nodes))
        session.terminal.note(status_line(nodes))
    else:
        for block in status(nodes, session.settings.owner):
            session.terminal.show(block)
    if any(node.silence for node in nodes):
        session.earn(Exit.ERROR)
    return session.status
