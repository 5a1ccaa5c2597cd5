"""What was received as lines of JSON, for the file that a set is kept in.

A row is a list, its fields in the order of the value's class, and a line has many of them: 100,000 intents neither
name their fields anew nor are parsed one by one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from sys import intern
from typing import Any, TypeVar

from gthulhu_agent.legacy.received import Labels, Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.intents import CommandOn

LINE_MAX = 256 * 1024 * 1024
"""Rows come from a request of at most 32 MiB; escaping a control character takes six bytes for one."""
_ROWS = 256

_T = TypeVar("_T")
_COMMAND_ON = {choice.value: choice for choice in CommandOn}


def head(received: Received) -> dict[str, object]:
    """How many rows there are of each kind, and what goes for all of them."""
    return {
        "intents": len(received.intents),
        "nodeIntents": len(received.node_intents),
        "strategies": len(received.strategies),
        "dialect": received.dialect.value,
        "nodeDialect": received.node_dialect.value,
        "nodeIntentsSent": received.node_intents_sent,
    }


def write(received: Received) -> Iterator[str]:
    """The lines, each without its end."""
    yield from _lines(received.intents, _of_intent)
    yield from _lines(received.node_intents, _of_node_intent)
    yield from _lines(received.strategies, _of_strategy)


def read(head: Mapping[str, object], line: Callable[[], bytes]) -> Received:
    """What :func:`head` and :func:`write` were made from; ``line`` gives the next line.

    Raises:
        ValueError, TypeError, KeyError: it is not what was written.
    """
    shared: dict[Labels, Labels] = {}
    return Received(
        intents=_all(lambda row: _intent(row, shared), head["intents"], line),
        node_intents=_all(_node_intent, head["nodeIntents"], line),
        strategies=_all(_strategy, head["strategies"], line),
        dialect=Dialect(str(head["dialect"])),
        node_dialect=Dialect(str(head["nodeDialect"])),
        node_intents_sent=bool(head["nodeIntentsSent"]),
    )


def _lines(values: Sequence[_T], row: Callable[[_T], tuple[object, ...]]) -> Iterator[str]:
    for start in range(0, len(values), _ROWS):
        rows = [row(value) for value in values[start : start + _ROWS]]
        yield json.dumps(rows, separators=(",", ":"), ensure_ascii=False)


def _all(make: Callable[[list[Any]], _T], count: object, line: Callable[[], bytes]) -> tuple[_T, ...]:
    if not isinstance(count, int):
        raise TypeError(f"{count!r} is no number of rows")
    found: list[_T] = []
    while len(found) < count:
        found.extend(make(row) for row in json.loads(line()))
    return tuple(found)


def _of_intent(one: ReceivedIntent) -> tuple[object, ...]:
    return (
        one.pod_name,
        one.pod_id,
        one.node_id,
        one.namespace,
        one.command_regex,
        one.priority,
        one.execution_time,
        one.labels,
        one.command_on.value,
    )


def _of_node_intent(one: ReceivedNodeIntent) -> tuple[object, ...]:
    return (one.policy_id, one.node_id, one.command_regex, one.priority, one.execution_time, one.command_on.value)


def _of_strategy(one: ReceivedStrategy) -> tuple[object, ...]:
    return (one.priority, one.execution_time, one.pid, one.selectors, one.command_regex)


def _intent(row: list[Any], shared: dict[Labels, Labels]) -> ReceivedIntent:
    name, uid, node, namespace, regex, priority, execution_time, labels, command_on = row
    pairs = _pairs(labels)
    return ReceivedIntent(
        intern(name),
        intern(uid),
        intern(node),
        intern(namespace),
        intern(regex),
        priority,
        execution_time,
        shared.setdefault(pairs, pairs),
        _COMMAND_ON[command_on],
    )


def _node_intent(row: list[Any]) -> ReceivedNodeIntent:
    policy, node, regex, priority, execution_time, command_on = row
    return ReceivedNodeIntent(policy, node, regex, priority, execution_time, _COMMAND_ON[command_on])


def _strategy(row: list[Any]) -> ReceivedStrategy:
    priority, execution_time, pid, selectors, command_regex = row
    return ReceivedStrategy(priority, execution_time, pid, _pairs(selectors), command_regex)


def _pairs(rows: list[list[str]]) -> Labels:
    return tuple((intern(key), intern(value)) for key, value in rows)
