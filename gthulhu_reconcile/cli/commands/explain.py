"""``explain``: why a pod or a process runs as it does."""

from __future__ import annotations

import asyncio
import difflib

import click

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.asking import Looked, ask_process, look
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.progress import progress
from gthulhu_reconcile.cli.rendering import process as processes
from gthulhu_reconcile.cli.rendering.explained_json import as_json
from gthulhu_reconcile.cli.rendering.explanation import explanation
from gthulhu_reconcile.cli.rendering.held import held
from gthulhu_reconcile.cli.rendering.words import visible
from gthulhu_reconcile.cli.session import start
from gthulhu_reconcile.cli.streams import standard_input
from gthulhu_reconcile.errors import UsageError, UserError
from gthulhu_reconcile.model.pods import Pod
from gthulhu_reconcile.observing import podfile
from gthulhu_reconcile.planning.explaining import explain_pod
from gthulhu_reconcile.runtime.inputs import LOCAL
from gthulhu_reconcile.runtime.settings import Output


def _complete_pod(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """Pods of the file that ``--pods`` names; nothing is asked over the network for a key press."""
    source = ctx.params.get("pods")
    if not isinstance(source, str) or source in (LOCAL, "-"):
        return []
    names = {f"{pod.ref.namespace}/{pod.ref.name}" for pod in podfile.load(source).pods}
    return sorted(name for name in names if name.startswith(incomplete) and name.isprintable())


@click.group("explain", no_args_is_help=False)
def command() -> None:
    """Why a pod or a process runs as it does."""


@command.command("pod")
@click.argument("pod", metavar="NAMESPACE/NAME", shell_complete=_complete_pod)
@options.policies
@options.pods
@options.agents
@options.looking
@options.form("text", "json")
@options.common
def pod_command(*, pod: str, **given: object) -> Exit:
    """Who wins on a pod, who loses and by what, with the file and line of each; and what its node's agent says of it.

    With --pods FILE no agent is needed: one that does not answer is left out.
    """
    namespace, slash, name = pod.rpartition("/")
    if not slash or not name:
        raise UsageError(f"'{pod}' is not NAMESPACE/NAME")
    session = start(given, Output.JSON)
    settings = session.settings
    with progress(session.terminal, "looking") as tell:
        looked = asyncio.run(look(settings, lambda seen: _named(seen, namespace, name), standard_input(), tell))
    session.report(looked.diagnostics)
    explained = [
        explain_pod(found.ref.uid, looked.candidates, looked.observed, settings.planning_options())
        for found in looked.pods
    ]
    if session.output is Output.JSON:
        session.terminal.json(as_json(explained, looked.states))
    else:
        for each in explained:
            session.terminal.show(explanation(each))
            session.terminal.show(held(each, looked.states.get(each.node)))
    return session.status


@command.command("pid")
@click.argument("pid", type=click.IntRange(min=1))
@click.option("--node", metavar="NAME", help="Node that the process runs on; needed where there are several.")
@options.agents
@options.form("text", "json")
@options.common
def pid_command(*, pid: int, node: str | None, **given: object) -> Exit:
    """Which policy wins each thread of a process, and what the kernel says of it. The node's agent knows."""
    session = start(given, Output.JSON)
    with progress(session.terminal, "asking") as tell:
        report = asyncio.run(ask_process(session.settings, node, pid, tell))
    if session.output is Output.JSON:
        session.terminal.json(processes.as_json(report))
    else:
        session.terminal.show(processes.process(report))
    return session.status


def _named(looked: Looked, namespace: str, name: str) -> tuple[Pod, ...]:
    pods = [pod for pod in looked.observed.pods() if pod.ref.namespace == namespace and pod.ref.name == name]
    if pods:
        return tuple(pods)
    known = {f"{pod.ref.namespace}/{pod.ref.name}" for pod in looked.observed.pods()}
    near = difflib.get_close_matches(f"{namespace}/{name}", known, n=1)
    asked = f"; did you mean '{visible(near[0])}'?" if near else ""
    raise UserError(f"there is no pod '{visible(namespace)}/{visible(name)}' among {len(known)}{asked}")
