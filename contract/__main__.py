"""``python -m contract URL``: run a table against it. Exit 0: all steps held; 1: some are broken; 64: usage."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from contract.calling import Unreachable, target
from contract.matching import Json, TableError
from contract.report import as_json, line, summary
from contract.running import Outcome, Verdict, run
from contract.table import load

TABLES = {"dm": "decision-maker.json", "bss": "bss.json"}
_USAGE = 64


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(_USAGE, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line ``arguments``; the exit code."""
    chosen = _parser().parse_args(arguments)
    try:
        return _run(chosen)
    except (TableError, OSError, UnicodeDecodeError) as error:
        print(f"contract: {error}", file=sys.stderr)
        return _USAGE
    except Unreachable as error:
        print(f"contract: {chosen.url} does not answer: {error}", file=sys.stderr)
        return 1


def _run(chosen: argparse.Namespace) -> int:
    table = load(chosen.table or Path(__file__).parent / TABLES[chosen.api])
    variables: dict[str, Json] = dict(map(_variable, chosen.variable))
    if chosen.public_key is not None:
        variables["public_key"] = chosen.public_key.read_text(encoding="ascii")
    token = chosen.token if chosen.token_file is None else chosen.token_file.read_text(encoding="ascii").strip()
    called = target(chosen.url, ca=chosen.ca, certificate=chosen.certificate, key=chosen.key)
    outcomes: list[Outcome] = []
    for outcome in run(table, called, variables, token=token, upstream=chosen.upstream):
        outcomes.append(outcome)
        if chosen.output == "text" and (text := line(outcome, verbose=chosen.verbose)):
            print(text, flush=True)
    print(as_json(outcomes) if chosen.output == "json" else f"{table.name}: {summary(outcomes)}")
    return int(any(outcome.verdict is Verdict.BROKEN for outcome in outcomes))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="contract", description="Run a table of requests and answers against a URL.")
    add = parser.add_argument
    add("url", metavar="URL", help="http://HOST:PORT or https://HOST:PORT")
    add("--api", choices=tuple(TABLES), default="dm", help="which table (default: dm)")
    add("--table", type=Path, metavar="FILE", help="a table of your own instead")
    add("--public-key", type=Path, metavar="FILE", help="PEM file to log in with, as Gthulhu's clients do")
    add("--token", help="token or shared secret to send instead of logging in")
    add("--token-file", type=Path, metavar="FILE", help="file with that token")
    add("--variable", action="append", default=[], metavar="NAME=VALUE", help="what steps need, as pod_uid=…")
    add("--upstream", action="store_true", help="the target is Gthulhu's own: expect what the tables say it does")
    add("--ca", type=Path, metavar="FILE", help="CA that the target's certificate is of")
    add("--certificate", type=Path, metavar="FILE", help="client certificate")
    add("--key", type=Path, metavar="FILE", help="its key, where it is not in the same file")
    add("--output", choices=("text", "json"), default="text")
    add("--verbose", action="store_true", help="name the steps that held too")
    return parser


def _variable(text: str) -> tuple[str, Json]:
    name, separator, value = text.partition("=")
    if not separator or not re.fullmatch(r"\w+", name):
        raise TableError(f"--variable {text}: is not NAME=VALUE")
    return name, int(value) if re.fullmatch(r"0|[1-9]\d{0,17}", value) else value


if __name__ == "__main__":
    sys.exit(main())
