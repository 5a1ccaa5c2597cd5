"""What the environment and the command line set, each value with the name of what set it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path
from typing import Any

from gthulhu_reconcile.loading.yamltree import Document
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.runtime.settings_schema import ENVIRONMENT_PREFIX, Key, keys

CONFIG_VARIABLE = ENVIRONMENT_PREFIX + "CONFIG"
"""Names the settings file; read by the command line, beside ``--config``."""

_OTHER_VARIABLES = frozenset(
    {CONFIG_VARIABLE, *(ENVIRONMENT_PREFIX + name for name in ("DEBUG", "REQUIRE_ALL", "WRITE_DOCS"))}
)
_AGENT_PREFIX = ENVIRONMENT_PREFIX + "AGENT_"
_SERVICE_LINK = re.compile(
    r"(?:_SERVICE_HOST|_SERVICE_PORT(?:_[A-Z0-9_]+)?|_PORT_\d+_(?:TCP|UDP|SCTP)_[A-Z]+|(_PORT(?:_\d+_[A-Z]+)?))$"
)
"""What Kubernetes sets in every pod for a service named gthulhu; the last kind has an address as its value."""
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


@dataclass(frozen=True)
class Layer:
    """What one place sets.

    Attributes:
        values: nested as in ``gthulhu.yaml``.
        names: what a person calls the place that set a path: an option, or an environment variable.
        diagnostics: what is wrong already, before anything is merged.
        document: the file's positions.
    """

    values: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[tuple[str, ...], str] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    document: Document | None = None
    text: str = ""


def environment_layer(environ: Mapping[str, str]) -> Layer:
    """What the variables ``GTHULHU_…`` set. Lists are separated by commas, or are JSON; maps are JSON."""
    known = {key.variable: key for key in keys()}
    values: dict[str, Any] = {}
    names: dict[tuple[str, ...], str] = {}
    diagnostics = list(_unknown(environ, known))
    for variable, key in known.items():
        if not (text := environ.get(variable, "")):
            continue
        try:
            _put(values, key.path, _from_text(text, str(key.schema.get("type", "string"))))
            names[key.path] = f"environment variable {variable}"
        except ValueError as error:
            diagnostics.append(outside(f"environment variable {variable}", Code.WRONG_TYPE, str(error)))
    return Layer(values, names, tuple(diagnostics))


def overrides_layer(overrides: Mapping[str, object]) -> Layer:
    """What the command line sets, by dotted path; None and empty tuples were not given.

    Raises:
        KeyError: no setting has that name, which is a fault of the caller.
    """
    known = {key.name: key for key in keys()}
    values: dict[str, Any] = {}
    names: dict[tuple[str, ...], str] = {}
    for name, value in overrides.items():
        key = known[name]
        if value is None or value == ():
            continue
        _put(values, key.path, str(value) if isinstance(value, Path) else value)
        names[key.path] = f"option {key.option}" if key.option else f"setting {name}"
    return Layer(values, names)


def outside(origin: str, code: Code, message: str, severity: Severity = Severity.ERROR, near: str = "") -> Diagnostic:
    """A fault of something that is not a file, named by ``origin``."""
    path = "environment" if origin.startswith("environment") else "command line"
    return Diagnostic(code, severity, Span(path, 0, 0, 0), f"{origin}: {message}", suggestion=near)


def _unknown(environ: Mapping[str, str], known: Mapping[str, Key]) -> Iterable[Diagnostic]:
    for name in sorted(environ):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in known or _of_others(name, environ[name]):
            continue
        near = difflib.get_close_matches(name, known, n=1, cutoff=0.8) or [""]
        yield outside(f"environment variable {name}", Code.UNKNOWN_KEY, "is not read", Severity.WARNING, near[0])


def _of_others(name: str, value: str) -> bool:
    """Whether something else than the settings reads or sets the variable."""
    if name in _OTHER_VARIABLES or name.startswith(_AGENT_PREFIX):
        return True
    found = _SERVICE_LINK.search(name)
    return found is not None and (found[1] is None or "://" in value)


def _from_text(text: str, kind: str) -> object:
    if kind == "array" and not text.lstrip().startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    if kind in ("array", "object"):
        return _json(text, kind)
    if kind == "boolean":
        return _boolean(text)
    return text


def _json(text: str, kind: str) -> object:
    word, wanted = ("a list", list) if kind == "array" else ("an object", dict)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"must be {word} in JSON") from None
    if not isinstance(value, wanted):
        raise ValueError(f"must be {word} in JSON")  # noqa: TRY004 - a fault of the text, not of a caller's type
    return value


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError("must be true or false")


def _put(values: dict[str, Any], path: Sequence[str], value: object) -> None:
    reduce(lambda inner, part: inner.setdefault(part, {}), path[:-1], values)[path[-1]] = value
