"""``init``: a first policy to start from."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click
from rich.text import Text

from gthulhu_reconcile.cli import options
from gthulhu_reconcile.cli.names import PROGRAM
from gthulhu_reconcile.cli.rendering.words import visible
from gthulhu_reconcile.cli.terminal import Color, Terminal
from gthulhu_reconcile.errors import UsageError, UserError
from gthulhu_reconcile.loading.files import SUFFIXES
from gthulhu_reconcile.loading.schemas import policy_schema
from gthulhu_reconcile.loading.starter import starter_policy

POLICY = Path("policies/first.yaml")
SCHEMA = Path(".gthulhu/policy-v1.draft-7.json")


@click.command("init")
@click.argument("directory", metavar="[DIR]", default=".")
@options.color
def command(*, directory: str, color: str | None) -> None:
    """Write DIR/policies/first.yaml, a commented policy; never over an existing file."""
    _check(Path(directory))
    path = Path(directory) / POLICY
    text = starter_policy(schema=f"../{SCHEMA}", path=visible(str(path)))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
        _write_schema(Path(directory) / SCHEMA)
    except FileExistsError as error:
        raise UserError(f"{visible(str(error.filename))} is already there and stays as it is") from None
    except OSError as error:
        raise UserError(f"{visible(str(error.filename))} cannot be written: {error.strerror}") from error
    terminal = Terminal(Color(color or "auto"))
    terminal.show(next_steps(path))


def _check(directory: Path) -> None:
    """Refuse what is the name of a file: people mean the policy, and would get a directory of that name."""
    shown = visible(str(directory))
    if directory.exists() and not directory.is_dir():
        raise UsageError(f"{shown} is a file; init takes the directory that {POLICY} is to be written in")
    if directory.suffix.lower() in SUFFIXES and not directory.is_dir():
        raise UsageError(f"{shown} reads as a file; init takes the directory that {POLICY} is to be written in")


def _write_schema(path: Path) -> None:
    # Beside the policies, and of this very version: editors complete and check without the network.
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(policy_schema("7"), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def next_steps(path: Path) -> Text:
    """What to do with the new file."""
    file, folder = (visible(shlex.quote(str(name))) for name in (path, path.parent))
    text = Text()
    text.append("Wrote ", style="bold green").append(visible(str(path))).append(".\n\nNext:\n")
    for line, why in (
        (f"$EDITOR {file}", "say which pods, and how they are to run"),
        (f"{PROGRAM} validate {folder}", "checks it, offline"),
        ("kubectl get pods,nodes -A -o json > pods.json", "what runs now"),
        (f"{PROGRAM} plan --policies {folder} --pods pods.json --offline", "what it would mean"),
        (f"{PROGRAM} apply --policies {folder} --pods pods.json --agents inventory/", "asks, then does it"),
    ):
        text.append(f"  {line}\n", style="bold").append(f"      {why}\n", style="dim")
    return text
