"""``gthulhu-agent explain pid N``: the answer of ``GET /v1/processes/{pid}`` for people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gthulhu_agent.errors import AgentError
from gthulhu_agent.printable import printable

_MOST_TIDS = 8


def as_text(value: Mapping[str, Any]) -> str:
    """Where the process belongs, and for each kind of thread the winner, the losers, and what the kernel says.

    Threads of which all of this is the same are told together.

    Raises:
        AgentError: this is no such answer.
    """
    try:
        return "\n".join(map(printable, _lines(value)))
    except (KeyError, TypeError, AttributeError) as error:
        raise AgentError(
            f"the answer is not understood: {error!r}", "is it a gthulhu-agent of this version?"
        ) from error


def _lines(value: Mapping[str, Any]) -> Iterator[str]:
    group, pod = value["group"], value["pod"]
    yield f"process {value['pid']} {printable(value['comm'])}  {printable(value['argv0'])}"
    yield f"  node     {value['node']}"
    if pod:
        name = f"{pod['namespace']}/{pod['name']}  " if pod["name"] else ""
        yield f"  pod      {printable(name)}uid {pod['uid']}"
    if group["containerId"]:
        yield f"  container {group['containerId']}"
    if group["unit"]:
        yield f"  unit     {printable(group['unit'])}"
    yield f"  cgroup   {printable(group['cgroup'] or 'shared with others')}"
    alike: dict[str, list[Mapping[str, Any]]] = {}
    for thread in value["threads"]:
        told = {key: told for key, told in thread.items() if key not in ("tid", "name")}
        alike.setdefault(json.dumps(told, sort_keys=True), []).append(thread)
    for threads in alike.values():
        yield from _threads(threads)


def _threads(threads: list[Mapping[str, Any]]) -> Iterator[str]:
    names = list(dict.fromkeys(printable(thread["name"]) for thread in threads))
    tids = ", ".join(str(thread["tid"]) for thread in threads[:_MOST_TIDS])
    more = f" and {len(threads) - _MOST_TIDS} more" if len(threads) > _MOST_TIDS else ""
    one, named = threads[0], ", ".join(names[:_MOST_TIDS])
    yield ""
    yield f"thread {tids} {named}" if len(threads) == 1 else f"{len(threads)} threads {tids}{more}: {named}"
    winner, wanted, kernel = one["winner"], one["wanted"], one["kernel"]
    if winner is None:
        yield "  winner   none: no intent takes it, it is left as it is"
    else:
        yield f"  winner   {printable(winner['namespace'])}/{printable(winner['name'])}: {_schedule(one, wanted)}"
    if kernel is None:
        yield "  kernel   it has ended"
    else:
        slice_ns = kernel["timeSlice"]
        text = "the kernel's default or not told" if slice_ns is None else _milliseconds(slice_ns)
        weight = "" if one["weight"] is None else f", cgroup weight {one['weight']}"
        yield f"  kernel   {kernel['policy']}, nice {kernel['nice']}, slice {text}{weight}"
    for loser in one["losers"]:
        yield f"  lost     {printable(loser['namespace'])}/{printable(loser['name'])}: {printable(loser['text'])}"
    if one["losersLeftOut"]:
        yield f"  lost     … and {one['losersLeftOut']} more"


def _schedule(thread: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    parts = [str(thread["class"]), f"priority {wanted['priority']}"]
    if wanted["timeSlice"] is not None:
        parts.append(f"slice {_milliseconds(wanted['timeSlice'])}")
    if wanted["preempt"]:
        parts.append("preempt")
    return ", ".join(parts)


def _milliseconds(nanoseconds: int) -> str:
    return f"{nanoseconds / 1e6:g} ms"
