"""The loop of ``top``: ask, draw, wait, and do what keys say meanwhile."""

from __future__ import annotations

import os
import select
import sys
import termios
import time
import tty
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.live import Live
from rich.text import Text

from gthulhu_agent.asking import Agent
from gthulhu_agent.errors import AgentError
from gthulhu_agent.top.answers import Answer, parse
from gthulhu_agent.top.document import document
from gthulhu_agent.top.rates import Sort
from gthulhu_agent.top.table import render

ONCE = 1.0
"""Seconds between the two looks of a single table: without two there are no rates."""
_PATIENCE = 30.0
_WIDE = 240
_KEYS = {"c": Sort.CPU, "w": Sort.WAIT, "d": Sort.DELAY, "t": Sort.THREADS, "n": Sort.NAME}
KEYS = ", ".join(f"{key} {sort.value}" for key, sort in _KEYS.items()) + ", q end"


@dataclass(frozen=True, slots=True)
class Wish:
    """What to show. ``pod`` is NAMESPACE/NAME or a uid whose threads are shown, or None; ``interval`` seconds."""

    pod: str | None
    sort: Sort
    interval: float


class Asker:
    """Asks for what a :class:`Wish` shows."""

    def __init__(self, agent: Agent, pod: str | None) -> None:
        self._agent = agent
        self._path = "/v1/usage"
        if pod is not None:
            self._path += f"?pod={urllib.parse.quote(self._uid(pod), safe='')}"

    def ask(self) -> Answer:
        """One answer.

        Raises:
            AgentError: there is none.
        """
        try:
            return parse(self._agent.get(self._path))
        except ValueError as error:
            raise AgentError(f"{self._agent.name}: {error}", "is it a gthulhu-agent of this version?") from error

    def _uid(self, pod: str) -> str:
        if "/" not in pod:
            return pod
        known = parse(self._agent.get("/v1/usage")).pods
        found = [one.uid for one in known if one.title == pod]
        if len(found) != 1:
            why = "no pod of this name runs" if not found else f"{len(found)} pods of this name run"
            raise AgentError(f"{pod}: {why} there", "gthulhu-agent top --once lists them; a uid names one")
        return found[0]


def once(asker: Asker, wish: Wish, *, as_json: bool) -> None:
    """Print one table, or one JSON object."""
    before = asker.ask()
    now = _later(asker, before, time.sleep, ONCE)
    if as_json:
        sys.stdout.write(document(before, now, wish.sort) + "\n")
        return
    # A pipe has no width: nothing is cut off for it.
    Console(width=None if sys.stdout.isatty() else _WIDE).print(render(before, now, wish.sort, None))


def follow(asker: Asker, wish: Wish) -> None:
    """Refresh a table in place until ``q``; the terminal is left as it was, however this ends."""
    console, sort, before = Console(), wish.sort, asker.ask()
    now, trouble = before, ""
    with _keys() as key, Live(console=console, auto_refresh=False, screen=True) as live:
        former: Answer | None = None
        while True:
            page = render(former, now, sort, console.height)
            page.renderables.append(Text(trouble or f"sort: {KEYS}", "red" if trouble else "dim", no_wrap=True))
            live.update(page, refresh=True)
            pressed = key(wish.interval)
            if pressed == "q":
                return
            if pressed is not None:
                sort = _KEYS.get(pressed, sort)
                continue
            try:
                answer, trouble = asker.ask(), ""
            except AgentError as error:
                trouble = str(error)  # an agent is restarted now and then: what was last known stays
                continue
            former, now = looks(former, now, answer)


def looks(former: Answer | None, now: Answer, newest: Answer) -> tuple[Answer | None, Answer]:
    """The two looks to show, after ``newest``: a clock that went back is that of a machine that was started anew."""
    if newest.clock == now.clock:
        return former, now
    return (now if newest.clock > now.clock else None), newest


def _later(asker: Asker, before: Answer, sleep: Callable[[float], None], seconds: float) -> Answer:
    """An answer that was read after ``before``; a busy node reads rarely."""
    end = time.monotonic() + _PATIENCE
    while True:
        sleep(seconds)
        now = asker.ask()
        if now.clock > before.clock or time.monotonic() > end:
            return now


@contextmanager
def _keys() -> Iterator[Callable[[float], str | None]]:
    """Waits so many seconds for a key; None where none was pressed. Keys come without Enter, and are not echoed."""
    stream = sys.stdin
    if not stream.isatty():

        def rest(seconds: float) -> None:
            time.sleep(seconds)

        yield rest
        return

    def wait(seconds: float) -> str | None:
        ready, _, _ = select.select([stream], [], [], seconds)
        if not ready:
            return None
        pressed = os.read(stream.fileno(), 64).decode(errors="replace")
        return pressed[-1].lower() if pressed else "q"  # nothing to read is a terminal that was closed

    before = termios.tcgetattr(stream)
    try:
        tty.setcbreak(stream)
        yield wait
    finally:
        termios.tcsetattr(stream, termios.TCSADRAIN, before)
