"""How a benchmark tells what it found: on the terminal, and with ``--write`` as its own section of docs/performance.md.

A section stands between two marks that carry the benchmark's name, and nobody else writes there: text around it stays
as it is, and a benchmark without marks yet gets its section at the end of the page. Every section names the day and
the machine, because figures without them compare with nothing.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import platform
import re
import statistics
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs/performance.md"
_WIDTH = 120
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class PageError(Exception):
    """The page's marks do not pair, so that writing a section could lose somebody else's."""


@dataclass(frozen=True, slots=True)
class Section:
    """What one benchmark came to.

    Attributes:
        name: of the make target that prints it.
        title: heading of the section.
        parts: paragraphs, which are wrapped, and tables, in Markdown.
    """

    name: str
    title: str
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """Where and when figures were taken; ``load`` is the machine's average of the last minute, before the run."""

    day: str
    cpus: int
    kernel: str
    python: str
    load: float

    def __str__(self) -> str:
        return (
            f"{self.day}, {self.cpus} CPUs, {self.kernel}, Python {self.python}, load {self.load:.1f} before the run."
        )


def options(description: str | None) -> argparse.ArgumentParser:
    """A parser with what every benchmark takes: ``--write`` and ``--date``."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write the section of {PAGE.parent.name}/{PAGE.name} too")
    parser.add_argument("--date", type=_day, default=_day(""), help="the day that the section names; today by default")
    return parser


def facts(asked: argparse.Namespace) -> Facts:
    """Of this machine, for the day that ``--date`` says. To be called before the run: it has the load."""
    return Facts(
        day=asked.date,
        cpus=len(os.sched_getaffinity(0)),
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        load=os.getloadavg()[0],
    )


def finish(asked: argparse.Namespace, section: Section, known: Facts, *, page: Path = PAGE) -> None:
    """Print ``section``, and write it where ``--write`` asks for that.

    Raises:
        PageError: the page's marks do not pair.
    """
    text = render(section, known)
    print(f"\n{text}", flush=True)
    if asked.write:
        page.write_text(placed(page.read_text(encoding="utf-8"), section.name, text), encoding="utf-8")


def render(section: Section, known: Facts) -> str:
    """The section as it stands between its marks."""
    body = "\n\n".join(map(_part, section.parts))
    return f"## {section.title}: `make {section.name}`\n\n{body}\n\n{known}\n"


def placed(page: str, name: str, text: str) -> str:
    """``page`` with ``text`` as the section called ``name``.

    Raises:
        PageError: its marks do not pair.
    """
    if _NAME.fullmatch(name) is None:
        raise PageError(f"{name!r} is no name of a section")
    begin, end = f"<!-- {name}: begin, written by the benchmark -->\n", f"<!-- {name}: end -->\n"
    if (page.count(begin), page.count(end)) == (0, 0):
        return f"{page.rstrip(chr(10))}\n\n{begin}\n{text}\n{end}"
    head, opened, rest = page.partition(begin)
    former, closed, tail = rest.partition(end)
    if not opened or not closed or begin in former + tail or end in tail or "<!-- " in former:
        raise PageError(f"the marks of {name} do not pair: begin and end once each, and no other mark between them")
    return f"{head}{begin}\n{text}\n{end}{tail}"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first column is text, the others are figures and stand to the right."""
    rules = ["---", *("---:" for _ in heads[1:])]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rules, *rows))


def spread(values: Sequence[float], digits: int) -> str:
    """Median, and the lowest and highest where there are several."""
    middle = f"{statistics.median(values):.{digits}f}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.{digits}f} – {max(values):.{digits}f})"  # noqa: RUF001 - a range


def ratio(plain: Sequence[float], ours: Sequence[float]) -> str:
    """How many times the plain way takes as long, of medians."""
    times = statistics.median(plain) / statistics.median(ours)
    return f"{times:.1f}" if times >= 1 else f"{times:.2f}"


def _part(text: str) -> str:
    return text if text.startswith("|") else textwrap.fill(" ".join(text.split()), _WIDTH, break_on_hyphens=False)


def _day(text: str) -> str:
    return str(dt.date.fromisoformat(text) if text else dt.datetime.now(tz=dt.UTC).date())
