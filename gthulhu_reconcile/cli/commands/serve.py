"""``serve``: the pass of the bare command, again and again."""

from __future__ import annotations

import asyncio
import os

import click

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.presenting import STATUSES
from gthulhu_reconcile.cli.session import overrides, start
from gthulhu_reconcile.runtime.service import serve
from gthulhu_reconcile.runtime.settings import load_settings


@click.command("serve")
@click.option("--interval", metavar="DURATION", help="Time between passes, as in 30s or 5m. Default: 60s.")
@click.option("--cron", metavar="LINE", help="A cron line in place of the interval, as in '*/5 * * * *'.")
@click.option("--listen", metavar="ADDRESS:PORT", help="Probes and metrics, on loopback, or off.")
@click.option("--once", is_flag=True, help="One pass of the service, then end with its status.")
@click.option("--log-format", type=click.Choice(["auto", "console", "json"]), help="Form of the log.")
@click.option("--log-level", type=click.Choice(["debug", "info", "warning", "error"]), help="Least severe line.")
@options.policies
@options.pods
@options.agents
@options.nodes
@options.owner
@options.common
def command(*, once: bool, **given: object) -> Exit:
    """Keep the nodes as the policies want them: by the clock, and whenever a file changes.

    The log goes to standard error. SIGTERM lets a running pass end; SIGHUP reads the settings again.
    """
    session = start(given)
    # Read anew at each reload; the options of the command line hold on.
    ended = asyncio.run(
        serve(
            lambda: load_settings(session.config, os.environ, overrides(given)),
            config=session.config,
            once=once,
        )
    )
    return STATUSES.get(ended.result, Exit.OK) if ended is not None else Exit.OK
