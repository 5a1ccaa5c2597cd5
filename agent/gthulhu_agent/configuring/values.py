"""Values as people write them. Each reader raises ValueError or TypeError for what it does not take."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from gthulhu_agent.loopback import is_loopback
from gthulhu_agent.secrettext import SecretText

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_LEVELS = {"trace": "debug", "warn": "warning", "fatal": "error", "panic": "error"}
LEVELS = ("debug", "info", "warning", "error")


def text(value: object) -> str:
    """Text that is not blank."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError(value)
    return value


def node(value: object) -> str:
    """A host name (RFC 1123)."""
    name = text(value)
    if len(name) > 253 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):  # noqa: PLR2004 - RFC 1123
        raise ValueError(value)
    return name


def label(value: object) -> str:
    """One word for a metric's label, or nothing."""
    if not isinstance(value, str) or not re.fullmatch(r"[\x21-\x7e]{0,128}", value):
        raise ValueError(value)
    return value


def path(value: object) -> Path:
    """A path, of this folder where it is relative."""
    try:
        return Path(text(value)).expanduser().absolute()
    except RuntimeError as error:  # there is no such user
        raise ValueError(value) from error


def optional_path(value: object) -> Path | None:
    """A path, or nothing."""
    return None if value == "" else path(value)


def names(value: object) -> tuple[str, ...]:
    """A list, or text with commas."""
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    return tuple(map(text, value))


def choice(*allowed: str) -> Callable[[object], str]:
    """One of these words."""

    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError(value)
        return str(value)

    return parse


def level(value: object) -> str:
    """A level of logging, by our name or by that of Gthulhu's logger."""
    name = text(value).lower()
    return choice(*LEVELS)(_LEVELS.get(name, name))


def mode(value: object) -> int:
    """The mode of a socket."""
    return int(choice("0600", "0660")(value), 8)


def switch(value: object) -> bool:
    """True or false; as text in the spellings that Go's programs take."""
    if isinstance(value, bool):
        return value
    if value in _TRUE:
        return True
    if value in _FALSE:
        return False
    raise ValueError(value)


def count(low: int, high: int) -> Callable[[object], int]:
    """A whole number."""

    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError(value)
        number = int(value)
        if not low <= number <= high:
            raise ValueError(value)
        return number

    return parse


def seconds(low: float, high: float) -> Callable[[object], float]:
    """A time: a number of seconds, or text with its unit."""

    def parse(value: object) -> float:
        if isinstance(value, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
            if match is None:
                raise ValueError(value)
            found = float(match[1]) * _UNITS[match[2]]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            found = float(value)
        else:
            raise TypeError(value)
        if not low <= found <= high:
            raise ValueError(value)
        return found

    return parse


def url(value: object) -> str:
    """The base URL of an HTTP server, without the slash at its end, or nothing."""
    if value == "":
        return ""
    said = text(value).strip().rstrip("/")
    parts = urlsplit(said)
    # A name and a password in it would be shown wherever the URL is.
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError(value)
    _ = parts.port  # raises ValueError where it is none
    if parts.fragment or re.search(r"\s", said):
        raise ValueError(value)
    return said


def kubernetes(value: object) -> str:
    """``in-cluster``, the URL of an API server, or nothing. A token is sent there: over TLS, or on this machine."""
    if value == "in-cluster":
        return "in-cluster"
    found = url(value)
    parts = urlsplit(found)
    if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
        raise ValueError(value)
    return found


def origins(value: object) -> tuple[str, ...]:
    """Origins of web pages (RFC 6454), or ``*``."""
    found = names(value)
    for one in found:
        if one != "*" and not re.fullmatch(r"https?://([a-z0-9.-]+|\[[0-9a-f:.]+\])(:\d{1,5})?", one):
            raise ValueError(value)
    return found


def pem(name: str, *, private: bool) -> Callable[[object], SecretText | None]:
    """PEM text, the path of a file with it (absolute, or with ./ or ~ before it), or nothing."""

    def parse(value: object) -> SecretText | None:
        if not isinstance(value, str):
            raise TypeError(name)
        said = value.strip()
        said.encode()  # raises ValueError for bytes of the environment that are no UTF-8
        if not said:
            return None
        if "-----BEGIN" in said:
            return SecretText(name, text=said + "\n", private=private)
        # What begins like this is no base64: a key that lost its frame is not taken for a path, and shown as one.
        if not said.startswith(("/", "~", "./", "../")) or "\n" in said:
            raise ValueError(name)
        return SecretText(name, path=path(said), private=private)

    return parse
