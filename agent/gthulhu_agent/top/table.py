"""Rows as a table that fits the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from gthulhu_agent.top.answers import Answer, Pod
from gthulhu_agent.top.rates import PodRow, Rates, Sort, ThreadRow, pod_rows, thread_rows, total

FRAME = 5
"""Lines around the rows: a headline, the table's head and its rule, what is left out, and the cursor's."""

_NONE = "-"
_TONES = {"system": "magenta", "latency": "cyan", "batch": "yellow", "idle": "bright_black"}
_MILLI, _MICRO = 1e-3, 1e-6


def render(before: Answer | None, now: Answer, sort: Sort, height: int | None) -> Group:
    """The pods of ``now``, or a pod's threads where it has them, in ``height`` lines; None is as many as it takes."""
    room = len(now.pods) + len(now.threads) if height is None else max(1, height - FRAME)
    pods = pod_rows(before, now, sort)
    if now.threads:
        threads = thread_rows(before, now, sort)
        return _page(
            _thread_headline(pods[0]), _thread_table(threads[:room], sort), len(threads[room:]) + now.threads_left_out
        )
    return _page(_headline(now, pods), _pod_table(pods[:room], sort), len(pods[room:]) + now.left_out)


def _page(headline: Text, table: Table, left_out: int) -> Group:
    return Group(headline, table, Text(f"… and {left_out} more", "dim") if left_out else Text(""))


def _headline(now: Answer, rows: Sequence[PodRow]) -> Text:
    every = total(rows)
    threads = sum(row.pod.threads for row in rows)
    return Text(
        f"{now.node}  enforcer {now.enforcer}  pods {len(rows) + now.left_out}  threads {threads}  "
        f"CPU {every.cpu * 100:.1f} %  waiting {every.wait / _MILLI:.1f} ms/s",
        "bold",
        no_wrap=True,
        overflow="ellipsis",
    )


def _thread_headline(row: PodRow) -> Text:
    return Text(
        f"{row.pod.title}  uid {row.pod.uid}  threads {row.pod.threads}", "bold", no_wrap=True, overflow="ellipsis"
    )


def _pod_table(rows: Sequence[PodRow], sort: Sort) -> Table:
    table = _table(
        ("pod", Sort.NAME), ("procs", None), ("threads", Sort.THREADS), ("class", None), ("slice", None), sort=sort
    )
    table.add_column("enforced")
    _add_numbers(table, sort)
    for row in rows:
        pod = row.pod
        table.add_row(
            Text(pod.title),
            str(pod.processes),
            str(pod.threads),
            _class_of(pod),
            _slice(_main(pod)[2] if pod.held else None),
            _enforced(pod),
            *_numbers(row.rates),
        )
    return table


def _thread_table(rows: Sequence[ThreadRow], sort: Sort) -> Table:
    table = _table(("thread", Sort.NAME), ("tid", None), ("pid", None), ("class", None), ("slice", None), sort=sort)
    table.add_column("kernel")
    table.add_column("policy", overflow="ellipsis", no_wrap=True)
    _add_numbers(table, sort)
    for row in rows:
        thread = row.thread
        table.add_row(
            Text(thread.name),
            str(thread.tid),
            str(thread.pid),
            _class(thread.scheduling_class),
            _slice(thread.slice_ns),
            thread.kernel or _NONE,
            Text(thread.policy or _NONE),
            *_numbers(row.rates),
        )
    return table


def _table(*columns: tuple[str, Sort | None], sort: Sort) -> Table:
    table = Table(box=None, pad_edge=False, header_style="reverse", expand=False)
    for number, (title, key) in enumerate(columns):
        table.add_column(
            _head(title, key, sort),
            justify="left" if number in (0, 3) else "right",
            no_wrap=True,
            overflow="ellipsis",
            min_width=None if number else 12,
        )
    return table


def _add_numbers(table: Table, sort: Sort) -> None:
    for title, key in (("CPU %", Sort.CPU), ("wait ms/s", Sort.WAIT), ("delay", Sort.DELAY), ("switches/s", None)):
        table.add_column(_head(title, key, sort), justify="right", no_wrap=True)


def _head(title: str, key: Sort | None, sort: Sort) -> Text:
    return Text(title, "underline" if key is sort else "")


def _numbers(rates: Rates | None) -> tuple[str, str, str, str]:
    if rates is None:
        return _NONE, _NONE, _NONE, _NONE
    return f"{rates.cpu * 100:.1f}", f"{rates.wait / _MILLI:.1f}", _time(rates.delay), f"{rates.switches:.0f}"


def _main(pod: Pod) -> tuple[int, str, int | None, bool]:
    """The intent that holds most of the pod's threads."""
    return max(pod.held, key=lambda held: held[0])


def _class_of(pod: Pod) -> Text:
    text = _class(_main(pod)[1] if pod.held else "")
    others = sum(1 for held in pod.held if held[0]) - 1
    return text.append(f" +{others}", "dim") if others > 0 else text


def _class(name: str) -> Text:
    return Text(name or _NONE, _TONES.get(name, ""))


def _enforced(pod: Pod) -> Text:
    holding = [held for held in pod.held if held[0]]
    if not holding:
        return Text(_NONE if not pod.held else "no threads", "dim")
    yes = sum(held[3] for held in holding)
    if yes == len(holding):
        return Text("yes", "green")
    return Text(f"{yes} of {len(holding)}" if yes else "no", "red")


def _slice(nanoseconds: int | None) -> str:
    return _NONE if nanoseconds is None else f"{nanoseconds / 1e6:g} ms"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return _NONE
    return f"{seconds / _MICRO:.0f} us" if seconds < _MILLI else f"{seconds / _MILLI:.1f} ms"
