"""From what the model finds to diagnostics: which place set the value, and where in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gthulhu_reconcile.loading.yamltree import Document, snippet
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity
from gthulhu_reconcile.runtime.settings_layers import Layer, outside

_CODES = {
    "extra_forbidden": Code.UNKNOWN_KEY,
    "missing": Code.MISSING_KEY,
    "enum": Code.NOT_ALLOWED,
    "greater_than_equal": Code.OUT_OF_RANGE,
    "less_than_equal": Code.OUT_OF_RANGE,
    "too_short": Code.OUT_OF_RANGE,
    "string_too_short": Code.OUT_OF_RANGE,
    "string_too_long": Code.OUT_OF_RANGE,
    "out_of_range": Code.OUT_OF_RANGE,
    "glob": Code.NOT_ALLOWED,
    "bad_cron": Code.BAD_CRON,
    "bad_time_zone": Code.BAD_TIME_ZONE,
    "value_error": Code.BAD_FORMAT,
}


def faults(error: ValidationError, *, options: Layer, environment: Layer, file: Layer) -> tuple[Diagnostic, ...]:
    """What the model found, each with the place that set the value."""
    reported = {diagnostic.pointer for diagnostic in file.diagnostics if diagnostic.severity is Severity.ERROR}
    found: list[Diagnostic] = []
    for details in error.errors(include_url=False, include_context=False, include_input=False):
        path = tuple(details["loc"])
        origin = _origin(path, options) or _origin(path, environment)
        if origin is not None:
            found.append(outside(origin, _code(details), _message(details)))
        elif file.document is not None and not _covered(path, reported):
            found.append(_inside(file.document, file.text, path, details))
    return tuple(found)


def _origin(path: Sequence[str | int], layer: Layer) -> str | None:
    for taken, name in layer.names.items():
        shared = min(len(taken), len(path))
        if tuple(path[:shared]) == taken[:shared]:
            return name
    return None


def _covered(path: Sequence[str | int], pointers: Iterable[str]) -> bool:
    pointer = _pointer(path)
    return any(
        pointer == known or pointer.startswith(f"{known}/") or known.startswith(f"{pointer}/") for known in pointers
    )


def _pointer(path: Sequence[str | int]) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in path)


def _inside(document: Document, text: str, path: Sequence[str | int], details: ErrorDetails) -> Diagnostic:
    span = document.locate(path)
    name = f"'{path[-1]}' " if path else ""
    return Diagnostic(
        code=_code(details),
        severity=Severity.ERROR,
        span=span,
        message=f"{name}{_message(details)}",
        pointer=_pointer(path),
        snippet=snippet(text, span),
    )


def _code(details: ErrorDetails) -> Code:
    return _CODES.get(details["type"], Code.WRONG_TYPE)


def _message(details: ErrorDetails) -> str:
    text = details["msg"].removeprefix("Value error, ")
    return text.replace("Input should", "should", 1)
