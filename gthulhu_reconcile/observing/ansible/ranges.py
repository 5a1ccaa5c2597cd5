"""Host patterns of an inventory: ``node[01:10].example``, ``rack[a:c]n[1:9:2]``."""

from __future__ import annotations

import itertools
import re
import string

MAX_HOSTS = 100_000

_RANGE = re.compile(r"\[([0-9]*|[A-Za-z]):([0-9]+|[A-Za-z])(?::([0-9]+))?\]")
_PORT = re.compile(r"^([^:]+|\[[0-9A-Fa-f:.]+\]):([0-9]+)$")


def expand(pattern: str) -> tuple[str, ...]:
    """The host names that ``pattern`` stands for; a name without a range stands for itself.

    Raises:
        ValueError: a range is not one, or is too long.
    """
    bare, places = _without_port(pattern)
    parts: list[tuple[str, ...]] = []
    size = 1
    at = 0
    for found in _RANGE.finditer(bare):
        values = _values(*found.groups())
        size *= len(values)
        if size > MAX_HOSTS:
            raise ValueError(f"'{pattern}' stands for more than {MAX_HOSTS:,} hosts")
        parts += [(bare[at : found.start()],), values]
        at = found.end()
    rest = bare[at:]
    if "[" in rest and not places:
        raise ValueError(f"'{pattern}' has a range that is none; it is written as in node[01:10]")
    return tuple("".join(combination) for combination in itertools.product(*parts, (rest,)))


def _without_port(pattern: str) -> tuple[str, bool]:
    if re.fullmatch(r"\[[0-9A-Fa-f:.]*::?[0-9A-Fa-f:.]*\](:[0-9]+)?", pattern) and not _RANGE.search(pattern):
        return pattern[1 : pattern.index("]")], True
    # The SSH port that a name may carry; colons inside of ranges are not before it.
    outside = _RANGE.sub(lambda found: "_" * len(found[0]), pattern)
    found = _PORT.match(outside)
    return (pattern[: found.end(1)], False) if found else (pattern, False)


def _values(begin: str, end: str, step: str | None) -> tuple[str, ...]:
    stride = int(step) if step else 1
    written = f"[{begin}:{end}{f':{step}' if step else ''}]"
    if stride < 1:
        raise ValueError(f"the step of {written} must be at least 1")
    if (begin or "0").isdigit() != end.isdigit():
        raise ValueError(f"{written} goes from a number to a letter")
    if not end.isdigit():
        letters = string.ascii_letters
        first, last = letters.index(begin), letters.index(end)
        values = tuple(letters[first : last + 1 : stride])
    else:
        begin = begin or "0"
        width = len(begin) if begin.startswith("0") and len(begin) > 1 else 0
        if width and width != len(end):
            raise ValueError(f"both ends of {written} need the same number of digits")
        if int(end) - int(begin) > MAX_HOSTS * stride:
            raise ValueError(f"{written} stands for more than {MAX_HOSTS:,} hosts")
        values = tuple(str(number).zfill(width) for number in range(int(begin), int(end) + 1, stride))
    if not values:
        raise ValueError(f"{written} ends before it begins")
    return values
