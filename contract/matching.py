"""Whether a JSON value is what a table expects. Pure.

A plain value is expected as it is, of the same type; an object with exactly the keys named, in their order. An object
whose first key begins with ``$`` is a matcher, :data:`MATCHERS` lists them. ``"$more": true`` in an object lets other
keys be there too, and ``{"$optional": …}`` lets one be absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

Json = object

_SHOWN = 200
_TOKEN = r"[\w-]+\.[\w-]+\.[\w-]+"  # noqa: S105 - the shape of a token, not one
_INSTANT = r"\d{4}-(0[1-9]|1[0-2])-([0-2]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:[0-5]\dZ"


class TableError(Exception):
    """A table, or what it is run with, is not as docs/contract.md says."""


def differences(expected: Json, found: Json, at: str) -> Iterator[str]:
    """What ``found`` at the place ``at`` lacks of what is ``expected``: sentences, none where it is as expected.

    Raises:
        TableError: ``expected`` has a matcher that there is not.
    """
    if isinstance(expected, Mapping):
        name = next(iter(expected), "")
        if name.startswith("$") and name != "$more":
            yield from _matcher(name)(expected, found, at)
        else:
            yield from _object(expected, found, at)
    elif isinstance(expected, list):
        yield from _array(expected, found, at)
    elif type(expected) is not type(found) or expected != found:
        yield f"{at}: expected {show(expected)}, found {show(found)}"


def kinds() -> tuple[str, ...]:
    """What ``$is`` takes."""
    return tuple(_KINDS)


def show(value: Json) -> str:
    """``value``, short enough for a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _object(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{at}: expected an object, found {show(found)}"
        return
    wanted = {name: value for name, value in expected.items() if name != "$more"}
    for name, value in wanted.items():
        optional = isinstance(value, Mapping) and "$optional" in value
        if name in found:
            inner = value["$optional"] if optional and isinstance(value, Mapping) else value
            yield from differences(inner, found[name], f"{at}.{name}")
        elif not optional:
            yield f"{at}: has no {name!r}"
    if not expected.get("$more"):
        yield from (f"{at}: has {name!r} = {show(found[name])} besides" for name in found if name not in wanted)
    order = [name for name in found if name in wanted]
    if order != [name for name in wanted if name in found]:
        yield f"{at}: keys come in the order {', '.join(order)}"


def _array(expected: list[Json], found: Json, at: str) -> Iterator[str]:
    if not isinstance(found, list):
        yield f"{at}: expected an array, found {show(found)}"
        return
    if len(found) != len(expected):
        yield f"{at}: expected {len(expected)} entries, found {len(found)}: {show(found)}"
        return
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        yield from differences(one, other, f"{at}[{number}]")


def _is(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    kind = expected["$is"]
    if kind not in _KINDS:
        raise TableError(f"{at}: there is no kind {kind!r}; there are {', '.join(_KINDS)}")
    if not _KINDS[str(kind)](found):
        yield f"{at}: expected {kind}, found {show(found)}"


def _matches(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    if not isinstance(found, str) or not re.fullmatch(str(expected["$matches"]), found, re.DOTALL):
        yield f"{at}: expected text like {expected['$matches']}, found {show(found)}"


def _in(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    choices = _list(expected, "$in", at)
    if all(any(differences(choice, found, at)) for choice in choices):
        yield f"{at}: expected one of {show(choices)}, found {show(found)}"


def _each(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    least = expected.get("$least", 0)
    if not isinstance(found, list) or not isinstance(least, int) or len(found) < least:
        yield f"{at}: expected an array of {least} entries or more, found {show(found)}"
        return
    for number, one in enumerate(found):
        yield from differences(expected["$each"], one, f"{at}[{number}]")


def _holds(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    if not isinstance(found, list):
        yield f"{at}: expected an array, found {show(found)}"
        return
    for wanted in _list(expected, "$holds", at):
        if all(any(differences(wanted, one, at)) for one in found):
            yield f"{at}: has no entry like {show(wanted)}; it has {show(found)}"


def _unordered(expected: Mapping[str, Json], found: Json, at: str) -> Iterator[str]:
    wanted = _list(expected, "$unordered", at)
    if not isinstance(found, list) or len(found) != len(wanted):
        yield f"{at}: expected {len(wanted)} entries in any order, found {show(found)}"
        return
    left = list(found)
    for one in wanted:
        index = next((number for number, other in enumerate(left) if not any(differences(one, other, at))), None)
        if index is None:
            yield f"{at}: has no entry like {show(one)}; it has {show(found)}"
        else:
            left.pop(index)


def _list(expected: Mapping[str, Json], name: str, at: str) -> list[Json]:
    value = expected[name]
    if not isinstance(value, list):
        raise TableError(f"{at}: {name} takes an array")
    return value


def _matcher(name: str) -> Callable[[Mapping[str, Json], Json, str], Iterator[str]]:
    if name not in MATCHERS:
        raise TableError(f"there is no matcher {name!r}; there are {', '.join(MATCHERS)}")
    return MATCHERS[name]


def _text(pattern: str) -> Callable[[Json], bool]:
    return lambda found: isinstance(found, str) and re.fullmatch(pattern, found) is not None


_KINDS: Mapping[str, Callable[[Json], bool]] = {
    "anything": lambda _found: True,
    "array": lambda found: isinstance(found, list),
    "boolean": lambda found: isinstance(found, bool),
    "digest": _text("[0-9a-f]{64}"),
    "instant": _text(_INSTANT),
    "integer": lambda found: isinstance(found, int) and not isinstance(found, bool),
    "text": lambda found: isinstance(found, str),
    "token": _text(_TOKEN),
}
MATCHERS: Mapping[str, Callable[[Mapping[str, Json], Json, str], Iterator[str]]] = {
    "$is": _is,
    "$matches": _matches,
    "$in": _in,
    "$each": _each,
    "$holds": _holds,
    "$unordered": _unordered,
}
