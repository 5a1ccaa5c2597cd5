"""Options that several commands share. Values stay None where they are not given, so that settings can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from gthulhu_reconcile.cli.rendering.words import visible
from gthulhu_reconcile.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])
Decorator = Callable[[F], F]

OVERRIDES = {
    "policies": "policies",
    "pods": "pods",
    "agents": "agents",
    "node": "nodes",
    "offline": "offline",
    "at": "at",
    "owner": "owner",
    "adopt": "adopt",
    "approve": "approve",
    "secret_file": "secretFile",
    "output": "output",
    "strict": "strict",
    "detailed_exitcode": "detailedExitcode",
    "yes": "yes",
    "interval": "serve.interval",
    "cron": "serve.cron",
    "listen": "serve.listen",
    "log_format": "logFormat",
    "log_level": "logLevel",
}
"""Names of options as click gives them, and the settings that they override."""


@dataclass
class Chosen:
    """What the error path must know of a command line that it did not parse."""

    color: str = "auto"


def _all(*decorators: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return decorate


def _remember_color(ctx: click.Context, _: click.Parameter, value: str | None) -> str | None:
    if value is not None and isinstance(ctx.obj, Chosen):
        ctx.obj.color = value
    return value


def color(function: F) -> F:
    """How it looks."""
    return click.option(
        "--color",
        type=click.Choice(["auto", "always", "never"]),
        callback=_remember_color,
        help="Colour the output. Default: auto, on a terminal without NO_COLOR.",
    )(function)


def common(function: F) -> F:
    """What every command takes that reads the settings."""
    config = click.option(
        "--config",
        metavar="FILE",
        envvar="GTHULHU_CONFIG",
        show_envvar=True,
        help="Settings. Default: gthulhu.yaml, where it exists.",
    )
    return _all(config, color)(function)


def policies(function: F) -> F:
    """Where policies come from."""
    return click.option(
        "--policies",
        metavar="PATH",
        multiple=True,
        help="File or directory of policies, - for standard input; may be repeated. Default: policies/.",
    )(function)


def pods(function: F) -> F:
    """Where pods come from."""
    return click.option(
        "--pods",
        metavar="FILE|local",
        help="'kubectl get pods,nodes -A -o json', a YAML snapshot, or what the agents discover. Default: local.",
    )(function)


def agents(function: F) -> F:
    """Where agents are."""
    return _all(
        click.option(
            "--agents",
            metavar="INVENTORY|URL",
            multiple=True,
            help="Ansible inventory, or an agent's http://… or unix:/…; may be repeated. Default: inventory/.",
        ),
        click.option("--secret-file", metavar="FILE", help="Secret shared with the agents."),
    )(function)


def plan_file(_context: click.Context, _argument: click.Parameter, file: str | None) -> str | None:
    """``file``, the saved plan that a command takes; an address in its place was meant for ``--agents``.

    Raises:
        UsageError: it is an address.
    """
    if file is not None and file.startswith(("http://", "https://", "unix:")):
        raise UsageError(f"'{visible(file)}' is taken as a saved plan; write --agents before each address")
    return file


def nodes(function: F) -> F:
    """Which nodes."""
    return click.option(
        "--node", metavar="NAME", multiple=True, help="Only this node, exact or glob; may be repeated."
    )(function)


def owner(function: F) -> F:
    """Who we are."""
    return click.option("--owner", metavar="NAME", help="Name of this installation. Default: the host's name.")(
        function
    )


def looking(function: F) -> F:
    """What only makes sense for a plan that is not executed."""
    return _all(
        click.option("--offline/--no-offline", default=None, help="Ask no agent; plan as if they held nothing."),
        click.option("--at", metavar="INSTANT", help="Judge time windows at this instant (RFC 3339). Default: now."),
    )(function)


def sources(function: F) -> F:
    """Where everything comes from that a plan is made of."""
    return _all(policies, pods, agents, nodes, owner)(function)


def adopting(function: F) -> F:
    """Whether other owners' nodes are taken over."""
    return click.option("--adopt/--no-adopt", default=None, help="Take over nodes that another owner holds.")(function)


def approving(function: F) -> F:
    """Which hold is released."""
    return click.option("--approve", metavar="PLAN-ID", help="Release the hold of this one plan.")(function)


def confirming(function: F) -> F:
    """Whether to ask."""
    return click.option("--yes/--no-yes", "-y", default=None, help="Do not ask. Releases no hold.")(function)


def form(*forms: str) -> Callable[[F], F]:
    """``-o``, with the forms that the command has."""
    return click.option("--output", "-o", type=click.Choice(forms), help="Form of standard output. Default: text.")


def strictness(function: F) -> F:
    """What warnings mean."""
    return click.option("--strict/--no-strict", default=None, help="Warnings end with exit code 3.")(function)


def detailed(function: F) -> F:
    """What changes mean."""
    return click.option(
        "--detailed-exitcode/--no-detailed-exitcode", default=None, help="Changes end with exit code 2, not 0."
    )(function)


def verdicts(function: F) -> F:
    """What the exit code tells."""
    return _all(detailed, strictness)(function)
