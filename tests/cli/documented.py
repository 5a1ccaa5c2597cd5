"""Runs the examples of a page: files, commands, and what these print. ``GTHULHU_WRITE_DOCS=1`` writes the output anew.

A fenced block whose info string is a language and a path is that file; a ``console`` block has commands after ``$``
and what they print. The examples of one heading share a directory.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gthulhu_reconcile.cli.main import run

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = "gthulhu-reconcile"
WRITE = os.environ.get("GTHULHU_WRITE_DOCS") == "1"
_FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^## `?(?P<title>[^`\n]+)`?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Section:
    """One heading with the text below it."""

    title: str
    text: str


def sections(page: Path) -> tuple[Section, ...]:
    """The headings of second rank."""
    text = page.read_text(encoding="utf-8")
    found = list(_HEADING.finditer(text))
    ends = [each.start() for each in found[1:]] + [len(text)]
    return tuple(Section(each["title"], text[each.end() : end]) for each, end in zip(found, ends, strict=True))


def check(page: Path, section: Section, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Assert that the commands of ``section`` print what it says."""
    monkeypatch.chdir(directory)
    monkeypatch.setenv("COLUMNS", "100")
    for name in [name for name in os.environ if name.startswith("GTHULHU_")]:
        monkeypatch.delenv(name)
    for block in _FENCE.finditer(section.text):
        language, _, path = block["info"].partition(" ")
        if path:
            file = directory / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(block["body"], encoding="utf-8")
        elif language == "console":
            printed = "".join(_commands(block["body"]))
            if WRITE and printed != block["body"]:
                text = page.read_text(encoding="utf-8")
                page.write_text(text.replace(block["body"], printed, 1), encoding="utf-8")
            else:
                assert printed == block["body"]


def _commands(body: str) -> Iterator[str]:
    for line in body.splitlines(keepends=True):
        if line.startswith("$ "):
            yield line
            yield _run(line.removeprefix("$ ").strip())


def _run(command: str) -> str:
    words = shlex.split(command)
    if words[0] != PROGRAM or "|" in words:
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
        return done.stdout + done.stderr
    out = _Both()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        status = run(words[1:])
    sys.stdout.flush()
    return out.text() + (f"(exit {int(status)})\n" if status else "")


class _Both(io.TextIOWrapper):
    """Standard output and error in one, in the order of writing, as a terminal shows them."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def text(self) -> str:
        """Everything so far."""
        self.flush()
        return self._bytes.getvalue().decode()
