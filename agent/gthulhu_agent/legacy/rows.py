"""What was received as lines of JSON, for the file that a set is kept in.

A row is a list, its fields in the order of the value's class: 100,000 intents do not name their fields anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from gthulhu_agent.legacy.received import Received, ReceivedIntent, ReceivedNodeIntent, ReceivedStrategy
from gthulhu_wire.dialects import Dialect
from gthulhu_wire.intents import CommandOn

LINE_MAX = 64 * 1024 * 1024
"""A row comes from a request of at most 32 MiB; escaping a control character takes more bytes than it had there."""

_T = TypeVar("_T")


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
    """The rows, each without its line's end."""
    for one in received.intents:
        yield _row(
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
    for node in received.node_intents:
        yield _row(
            node.policy_id, node.node_id, node.command_regex, node.priority, node.execution_time, node.command_on.value
        )
    for said in received.strategies:
        yield _row(said.priority, said.execution_time, said.pid, said.selectors, said.command_regex)


def read(head: Mapping[str, object], lines: Callable[[int], Iterable[bytes]]) -> Received:
    """What :func:`head` and :func:`write` were made from; ``lines`` gives the next so many lines.

    Raises:
        ValueError, TypeError, KeyError: it is not what was written.
    """
    return Received(
        intents=_all(_intent, head["intents"], lines),
        node_intents=_all(_node_intent, head["nodeIntents"], lines),
        strategies=_all(_strategy, head["strategies"], lines),
        dialect=Dialect(str(head["dialect"])),
        node_dialect=Dialect(str(head["nodeDialect"])),
        node_intents_sent=bool(head["nodeIntentsSent"]),
    )


def _row(*fields: object) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)


def _all(make: Callable[[list[Any]], _T], count: object, lines: Callable[[int], Iterable[bytes]]) -> tuple[_T, ...]:
    if not isinstance(count, int):
        raise TypeError(f"{count!r} is no number of rows")
    return tuple(make(json.loads(line)) for line in lines(count))


def _intent(row: list[Any]) -> ReceivedIntent:
    name, uid, node, namespace, regex, priority, execution_time, labels, command_on = row
    return ReceivedIntent(
        name, uid, node, namespace, regex, priority, execution_time, _pairs(labels), CommandOn(command_on)
    )


def _node_intent(row: list[Any]) -> ReceivedNodeIntent:
    policy, node, regex, priority, execution_time, command_on = row
    return ReceivedNodeIntent(policy, node, regex, priority, execution_time, CommandOn(command_on))


def _strategy(row: list[Any]) -> ReceivedStrategy:
    priority, execution_time, pid, selectors, command_regex = row
    return ReceivedStrategy(priority, execution_time, pid, _pairs(selectors), command_regex)


def _pairs(rows: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in rows)
