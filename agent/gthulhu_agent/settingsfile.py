"""A TOML file with sections, each key with its place, which the standard library's reader does not tell."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from gthulhu_agent.errors import UsageError

_MAX_BYTES = 256 * 1024
_MOST_READ = 2 * 1024 * 1024
"""Bytes that are read again to find a key; among very many namesakes it is told without its place, not slowly."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One key, with its section and a dot before it where it is in one.

    Attributes:
        where: ``file:line:column``.
        exposed: whether others may read the file.
    """

    where: str
    key: str
    value: object = field(repr=False)
    exposed: bool = False


def read(path: Path, sections: Collection[str] = ()) -> tuple[Entry, ...]:
    """The keys of ``path``, in its order; those of a table that is in ``sections`` one by one.

    Raises:
        UsageError: the file is none, cannot be read, others may write to it, or it is not TOML.
    """
    try:
        # Opening a pipe would wait for whoever writes to it, without a word.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            if not stat.S_ISREG(mode):
                raise UsageError(f"{path}: is no regular file", cure="write the settings to a file, and name that")
            data = stream.read(_MAX_BYTES + 1)
        if mode & stat.S_IWOTH:
            raise UsageError(f"{path}: everybody may write to it", cure=f"chmod o-w {path}")
        if len(data) > _MAX_BYTES:
            raise UsageError(f"{path}: more than {_MAX_BYTES} bytes; that is no settings file")
        # Columns count characters of the line as people see it; editors on Windows begin a file with a mark.
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_place_of_syntax_error(path, text, str(error))) from error
    except (ValueError, RecursionError) as error:  # thousands of digits, or of brackets
        raise UsageError(f"{path}: has a number or a nesting that is too large") from error
    exposed = bool(mode & (stat.S_IROTH | stat.S_IWGRP))
    return tuple(
        Entry(f"{path}{_place(text, keys)}", ".".join(keys), value, exposed)
        for keys, value in _flat(document, sections)
    )


def _flat(document: dict[str, object], sections: Collection[str]) -> Iterator[tuple[tuple[str, ...], object]]:
    for key, value in document.items():
        if key in sections and isinstance(value, dict):
            yield from (((key, inner), of_it) for inner, of_it in value.items())
        else:
            yield (key,), value


def _place(text: str, keys: tuple[str, ...]) -> str:
    """``:line:column`` of a key: the occurrence whose renaming renames that key, and no other does."""
    *section, key = keys
    other = f"{'_' * len(key)}_"
    for start in islice(_occurrences(text, key), 1 + _MOST_READ // (len(text) + 1)):
        try:
            renamed: Any = tomllib.loads(f"{text[:start]}{other}{text[start + len(key) :]}")
        except tomllib.TOMLDecodeError:
            continue
        for name in section:
            renamed = renamed.get(name, {})
        if other in renamed and key not in renamed:
            return f":{text.count(chr(10), 0, start) + 1}:{start - text.rfind(chr(10), 0, start)}"
    return ""


def _occurrences(text: str, key: str) -> Iterator[int]:
    """Where ``key`` stands as a word of its own, bare or in quotes."""
    return (match.start() for match in re.finditer(rf"(?<![\w-]){re.escape(key)}(?![\w-])", text)) if key else iter(())


def _place_of_syntax_error(path: Path, text: str, message: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return f"{path}: {message}"
    if match[2] is None:
        return f"{path}:{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}: {match[1]}"
    return f"{path}:{match[2]}:{match[3]}: {match[1]}"
