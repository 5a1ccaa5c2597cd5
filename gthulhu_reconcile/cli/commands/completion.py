"""``completion``: the script that makes a shell complete commands, options and file names."""

from __future__ import annotations

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from gthulhu_reconcile.cli.names import COMPLETION_VARIABLE, PROGRAM
from gthulhu_reconcile.cli.terminal import Terminal


class _Bash(BashComplete):
    @staticmethod
    def _check_version() -> None:
        """Print the script where there is no bash, too: it may be for another machine."""


SHELLS: dict[str, type[ShellComplete]] = {"bash": _Bash, "zsh": ZshComplete, "fish": FishComplete}


@click.command(
    "completion",
    epilog='For this shell alone: eval "$(gthulhu-reconcile completion bash)". '
    "For good, write it to ~/.local/share/bash-completion/completions/gthulhu-reconcile, to a directory of zsh's "
    "fpath as _gthulhu-reconcile, or to ~/.config/fish/completions/gthulhu-reconcile.fish.",
)
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(ctx: click.Context, /, *, shell: str) -> None:
    """Print the completion script of SHELL."""
    root = ctx.find_root().command
    script = SHELLS[shell](root, {}, PROGRAM, COMPLETION_VARIABLE).source()
    Terminal().data(script)
