"""Entry point: finds the command, and turns whatever ends it into a status and a message without a traceback."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import tempfile
import traceback
from collections.abc import Sequence
from typing import NoReturn

import click
from click.shell_completion import CompletionItem, shell_complete

from gthulhu_reconcile import __version__
from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.commands import COMMANDS
from gthulhu_reconcile.cli.exits import Exit
from gthulhu_reconcile.cli.names import COMPLETION_VARIABLE, DEBUG_VARIABLE, PROGRAM
from gthulhu_reconcile.cli.streams import detach, replace_closed
from gthulhu_reconcile.errors import GthulhuError, Held, UsageError, UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic


class LazyGroup(click.Group):
    """Imports a command's module when it is run, so that ``--help`` and completion answer at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All commands, in the order of :data:`COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - same
        """The command, imported."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"gthulhu_reconcile.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does it, which knows no likely names of commands that are not imported."""
        name = args[0]
        if name not in COMMANDS and not ctx.resilient_parsing and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, n=1)
            asked = f"; did you mean '{near[0]}'?" if near else ""
            raise click.UsageError(f"no such command: '{name}'{asked}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands and options, nothing imported."""
        commands = [CompletionItem(name, help=COMMANDS[name]) for name in COMMANDS if name.startswith(incomplete)]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Commands first: they are what a newcomer looks for. From the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        click.Command.format_options(self, ctx, formatter)


@click.group(
    PROGRAM,
    cls=LazyGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND [ARGS]…]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, "-V", "--version", prog_name=PROGRAM)
@click.option("--dry-run", is_flag=True, help="Without a command: print the plan and change nothing.")
@options.adopting
@options.approving
@options.sources
@options.looking
@options.verdicts
@options.form("text", "json", "github", "junit")
@options.common
@click.pass_context
def cli(ctx: click.Context, /, *, dry_run: bool, **given: object) -> Exit | None:
    """Keep the CPU scheduling of every node as the policies in git want it.

    Without a command it does one pass: it reads the policies, looks at pods and agents, and pushes the difference.
    Options before a command are the command's.
    """
    if ctx.invoked_subcommand is None:
        from gthulhu_reconcile.cli.one_pass import one_pass  # noqa: PLC0415 - --help must not pay for it

        return one_pass(given, dry_run=dry_run)
    if dry_run:
        raise click.UsageError("--dry-run goes without a command; 'plan' changes nothing by itself", ctx)
    _hand_down(ctx, {name: value for name, value in given.items() if value not in (None, ())})
    return None


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and end the process with its status."""
    replace_closed()
    status = run(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            detach(stream)
        except OSError as error:
            detach(stream)
            status = Exit.ERROR
            if stream is sys.stdout:
                sys.stderr.write(f"error: the output cannot be written: {error.strerror}\n")
    sys.exit(status)


def run(arguments: Sequence[str]) -> Exit:
    """Run the program and give its status; nothing escapes but what ends the interpreter."""
    if instruction := os.environ.get(COMPLETION_VARIABLE):
        return Exit(shell_complete(cli, {}, PROGRAM, COMPLETION_VARIABLE, instruction))
    chosen = options.Chosen()
    try:
        with cli.make_context(PROGRAM, list(arguments), obj=chosen) as ctx:
            return Exit(cli.invoke(ctx) or Exit.OK)
    except click.exceptions.Exit as stopped:
        return Exit(stopped.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return _say("interrupted", Exit.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last line of defence: a fault of ours must not look like a plan
        return _failed(error, chosen)


def _failed(error: Exception, chosen: options.Chosen) -> Exit:
    match error:
        case click.UsageError():
            return _usage(error)
        case click.ClickException():
            return _say(f"error: {error.format_message()}", Exit.ERROR)
        case GthulhuError():
            return _known(error, chosen)
        case OSError():
            return _say(f"error: {error}", Exit.ERROR)
        case _:
            return _internal(error)


def _hand_down(ctx: click.Context, given: dict[str, object]) -> None:
    name = ctx.invoked_subcommand or ""
    command = cli.get_command(ctx, name)
    if command is None or not given:
        return
    takes = {parameter.name for parameter in _leaves(command)}
    if strange := sorted(given.keys() - takes):
        raise click.UsageError(f"'{name}' has no option --{strange[0].replace('_', '-')}", ctx)
    ctx.default_map = {name: {**given, **dict.fromkeys(getattr(command, "commands", ()), given)}}


def _leaves(command: click.Command) -> list[click.Parameter]:
    nested = getattr(command, "commands", {}).values()
    return [*command.params, *(parameter for inner in nested for parameter in inner.params)]


def _usage(error: click.UsageError) -> Exit:
    where = error.ctx.command_path if error.ctx is not None else PROGRAM
    if error.ctx is not None:
        _say(error.ctx.get_usage())
    return _say(f"error: {error.format_message()}\nhelp: {where} --help", Exit.USAGE)


def _known(error: GthulhuError, chosen: options.Chosen) -> Exit:
    if isinstance(error, UserError) and error.diagnostics:
        _show(error.diagnostics, chosen.color)
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    status = Exit.USAGE if isinstance(error, UsageError) else Exit.HELD if isinstance(error, Held) else Exit.ERROR
    return _say(f"error: {error}", status)


def _show(found: Sequence[Diagnostic], color: str) -> None:
    # Imported here, since --help must not pay for rich.
    from gthulhu_reconcile.cli.rendering.diagnostics import diagnostic, in_order  # noqa: PLC0415 - see above
    from gthulhu_reconcile.cli.terminal import Color, Terminal  # noqa: PLC0415 - see above

    terminal = Terminal(Color(color))
    for each in in_order(found):
        terminal.note(diagnostic(each))


def _internal(error: Exception) -> Exit:
    if os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
        return Exit.ERROR
    try:
        handle, name = tempfile.mkstemp(prefix=f"{PROGRAM}-", suffix=".traceback.txt")
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(f"{PROGRAM} {__version__}\n")
            traceback.print_exception(error, file=file)
        kept = f"the traceback is in {name}"
    except OSError:
        kept = f"{DEBUG_VARIABLE}=1 shows the traceback"
    summary = " ".join(traceback.format_exception_only(error)[-1].split())
    return _say(f"internal error: {summary}; this is a fault of the program, {kept}", Exit.ERROR)


def _say(message: str, status: Exit = Exit.OK) -> Exit:
    try:
        sys.stderr.write(f"{message}\n")
        sys.stderr.flush()
    except OSError:
        detach(sys.stderr)
    return status
