"""A flat TOML file, each key with its place. The standard library's reader tells no places, so they are looked for."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent.errors import UsageError

_MAX_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """One key; ``where`` is ``file:line:column``."""

    where: str
    key: str
    value: object


def read(path: Path) -> tuple[Entry, ...]:
    """The top-level keys of ``path``, in its order.

    Raises:
        UsageError: the file cannot be read, or is not TOML.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_BYTES + 1)
        if len(data) > _MAX_BYTES:
            raise UsageError(f"{path}: more than {_MAX_BYTES} bytes; that is no settings file")
        # As tomllib does when it reads a file; columns then count characters of the line as people see it.
        text = data.decode().replace("\r\n", "\n")
        document = tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is not UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise UsageError(_place_of_syntax_error(path, text, str(error))) from error
    return tuple(Entry(f"{path}{_place(text, key)}", key, value) for key, value in document.items())


def _place(text: str, key: str) -> str:
    """``:line:column`` of a top-level key: the occurrence whose renaming renames that key, and no other does."""
    for start in _occurrences(text, key):
        other = f"{'_' * len(key)}_"
        try:
            renamed = tomllib.loads(f"{text[:start]}{other}{text[start + len(key) :]}")
        except tomllib.TOMLDecodeError:
            continue
        if other in renamed:
            return f":{text.count(chr(10), 0, start) + 1}:{start - text.rfind(chr(10), 0, start)}"
    return ""


def _occurrences(text: str, key: str) -> Iterator[int]:
    return (match.start() for match in re.finditer(re.escape(key), text)) if key else iter(())


def _place_of_syntax_error(path: Path, text: str, message: str) -> str:
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", message, re.DOTALL)
    if match is None:
        return f"{path}: {message}"
    if match[2] is None:
        return f"{path}:{text.count(chr(10)) + 1}:{len(text) - text.rfind(chr(10))}: {match[1]}"
    return f"{path}:{match[2]}:{match[3]}: {match[1]}"
