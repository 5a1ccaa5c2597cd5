"""What one run of a command carries: its settings, its streams, and the exit statuses that it has earned."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_reconcile.cli.exits import Exit, combine
from gthulhu_reconcile.cli.options import OVERRIDES
from gthulhu_reconcile.cli.rendering.diagnostics import diagnostic, in_order
from gthulhu_reconcile.cli.terminal import Color, Terminal
from gthulhu_reconcile.errors import UsageError, UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic, Severity, has_errors
from gthulhu_reconcile.runtime.settings import Output, Settings, load_settings

COMMAND_LINE = "command line"


@dataclass
class Session:
    """One run of one command."""

    terminal: Terminal
    settings: Settings
    config: Path | None = None
    earned: list[Exit] = field(default_factory=list)

    @property
    def output(self) -> Output:
        """Form of standard output."""
        return self.settings.output

    @property
    def status(self) -> Exit:
        """What the run has come to."""
        return combine(*self.earned)

    @property
    def only_for_looking(self) -> str:
        """The option that makes a plan one to look at and not to apply, wherever it was set; empty where none does."""
        return "--offline" if self.settings.offline else "--at" if self.settings.at is not None else ""

    def earn(self, status: Exit) -> None:
        """Note a status; the strongest of all is the run's."""
        self.earned.append(status)

    def judge(self, found: Iterable[Diagnostic]) -> None:
        """Earn what ``found`` means: errors always, warnings under ``--strict``."""
        for each in found:
            if each.severity is Severity.ERROR:
                self.earn(Exit.ERROR)
            elif self.settings.strict:
                self.earn(Exit.FINDINGS)

    def report(self, found: Sequence[Diagnostic]) -> None:
        """Print findings on standard error and earn what they mean."""
        for each in in_order(found):
            self.terminal.note(diagnostic(each))
        self.judge(found)


def start(given: Mapping[str, object], *forms: Output) -> Session:
    """The session of a command.

    Args:
        given: options as click gives them.
        forms: what the command can print; text goes without saying.

    Raises:
        UsageError: an option's value, or a form that the command does not have.
        UserError: the settings file or the environment.
    """
    color = given.get("color")
    terminal = Terminal(Color(color) if isinstance(color, str) else Color.AUTO)
    config = given.get("config")
    path = Path(config) if isinstance(config, str) and config else None
    settings, found = load_settings(path, os.environ, overrides(given))
    if has_errors(found):
        if any(each.span.path == COMMAND_LINE for each in found):
            raise UsageError("the command line cannot be used", found)
        raise UserError("the settings cannot be used", found)
    if settings.output not in (Output.TEXT, *forms):
        raise UsageError(f"this command has no form '{settings.output}'")
    session = Session(terminal, settings, path)
    session.report(found)
    return session


def overrides(given: Mapping[str, object]) -> dict[str, object]:
    """What the command line says of settings, by their names."""
    return {setting: given.get(option) for option, setting in OVERRIDES.items()}
