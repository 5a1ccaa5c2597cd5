"""What a JSON Schema has against a document, as diagnostics with places: one for each mistake, about the right branch.

Works for any of our schemas. It reads their annotations ``patternErrorMessage`` (as editors do),
``deprecationMessage``, and ``x-diagnostic`` (the code under which the absence of all of ``anyOf`` is told).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import cast

from jsonschema.exceptions import ValidationError

from gthulhu_reconcile.loading.document import Places, Pointer, Value
from gthulhu_reconcile.loading.resemblance import resembling
from gthulhu_reconcile.loading.source import shown
from gthulhu_reconcile.loading.validator import Schema, errors_of, fits, resolved
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity

MAX_FINDINGS = 100
_TYPES = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {
    "minimum": "must be at least {}",
    "maximum": "must be at most {}",
    "exclusiveMinimum": "must be more than {}",
    "exclusiveMaximum": "must be less than {}",
    "minLength": "must have at least {} characters",
    "maxLength": "must have at most {} characters",
    "minItems": "must have at least {} entries",
    "maxItems": "must have at most {} entries",
    "minProperties": "must have at least {} keys",
    "maxProperties": "must have at most {} keys",
}


def check(document: Places, schema: Schema) -> tuple[Diagnostic, ...]:
    """Every mistake of ``document``, in the order of the file; deprecated fields are warnings.

    Stops after :data:`MAX_FINDINGS`, so that a hostile file costs no more than a bad one.
    """
    whole = resolved(schema)
    told = _Telling(document, whole)
    errors = islice(errors_of(document.value, whole), MAX_FINDINGS)
    findings = [finding for error in errors for finding in told.tell(error)]
    findings.sort(key=lambda finding: (finding.span.line, finding.span.column))
    return tuple(findings[:MAX_FINDINGS])


class _Telling:
    """Turns validation errors of one document into diagnostics."""

    def __init__(self, document: Places, schema: Schema) -> None:
        self._document = document
        self._schema = schema

    def tell(self, error: ValidationError) -> Iterator[Diagnostic]:
        """The diagnostics of one error: an error about unknown keys has one for each key."""
        pointer = tuple(error.absolute_path)
        keyword = str(error.validator)
        if self._document.refused(pointer):
            return
        if keyword == "additionalProperties":
            yield from self._unknown_keys(error, pointer)
        elif keyword == "required":
            yield from self._missing_keys(error, pointer)
        elif keyword == "type":
            yield self._wrong_type(error, pointer)
        elif keyword in ("enum", "const"):
            yield self._not_allowed(error, pointer)
        elif keyword == "pattern":
            yield self._bad_format(error, pointer)
        elif keyword in _BOUNDS:
            yield self._out_of_range(error, pointer, keyword)
        elif keyword == "anyOf":
            yield from self._nothing_said(error, pointer)
        elif keyword == "deprecated":
            yield self._deprecated(error, pointer)
        else:
            yield self._document.diagnose(Code.NOT_ALLOWED, pointer, f"{_called(pointer)} is not allowed here")

    def _unknown_keys(self, error: ValidationError, pointer: Pointer) -> Iterator[Diagnostic]:
        schema = cast("Schema", error.schema)
        known = list(_properties(schema))
        given = cast("Mapping[str, Value]", error.instance)
        for key in islice((key for key in given if key not in known), MAX_FINDINGS):
            suggestion = resembling(key, (name for name in known if name not in given)) or resembling(key, known)
            yield self._document.diagnose(
                Code.UNKNOWN_KEY,
                (*pointer, key),
                f"{shown(key)} is not allowed here",
                key=True,
                hint=("" if suggestion else self._elsewhere(key, pointer)) or f"allowed are {', '.join(known)}",
                suggestion=suggestion,
            )

    def _elsewhere(self, key: str, pointer: Pointer) -> str:
        """Where ``key`` would be right: in another branch, one level deeper, or beside where it is."""
        here = list(_reached(self._schema, "", pointer))
        if conditions := [condition for condition, schema in here if condition and key in _properties(schema)]:
            return f"it is for {' and '.join(dict.fromkeys(conditions))} only"
        around = [] if not pointer else list(_reached(self._schema, "", pointer[:-1]))
        for _, schema in here + around:
            for name, part in _properties(schema).items():
                if key in _properties(part):
                    return f"it belongs inside of '{name}'"
        return ""

    def _missing_keys(self, error: ValidationError, pointer: Pointer) -> Iterator[Diagnostic]:
        given = cast("Mapping[str, Value]", error.instance)
        properties = _properties(cast("Schema", error.schema))
        for key in cast("Sequence[str]", error.validator_value):
            # jsonschema has one error for each missing key, and names it in its message only.
            if key in given or not (error.message == "missing" or error.message.startswith(f"{key!r} is")):
                continue
            strange = islice((other for other in given if other not in properties), MAX_FINDINGS)
            misspelt = any(resembling(other, [key]) for other in strange)
            if self._document.whole and not misspelt:
                hint = str(properties.get(key, {}).get("description", ""))
                message = f"{shown(key)} is missing" + (f" in {_called(pointer)}" if pointer else "")
                yield self._document.diagnose(Code.MISSING_KEY, pointer, message, key=True, hint=_sentence(hint))

    def _wrong_type(self, error: ValidationError, pointer: Pointer) -> Diagnostic:
        wanted = error.validator_value
        names = [wanted] if isinstance(wanted, str) else [str(name) for name in cast("Sequence[object]", wanted)]
        expected = " or ".join(_TYPES[name] for name in names)
        given = error.instance
        hint = ""
        if given is None:
            hint = "leave the key out, or give it a value"
        elif "string" in names and not isinstance(given, list | dict):
            hint = self._quoted(pointer, cast("Schema", error.schema))
        elif "boolean" in names and isinstance(given, str) and given.lower() in ("yes", "no", "on", "off"):
            hint = "YAML 1.2 knows true and false only"
        elif "array" in names and not isinstance(given, dict):
            hint = f"write [{self._document.written(pointer)}]"
        message = f"{_called(pointer)} must be {expected}, not {_kind(given)}"
        return self._document.diagnose(Code.WRONG_TYPE, pointer, message, hint=hint)

    def _quoted(self, pointer: Pointer, schema: Schema) -> str:
        written = self._document.written(pointer)
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and not fits(pattern, written):
            return str(schema.get("patternErrorMessage", ""))
        return f'write "{written}"'

    def _not_allowed(self, error: ValidationError, pointer: Pointer) -> Diagnostic:
        single = error.validator == "const"
        allowed = [error.validator_value] if single else list(cast("Sequence[object]", error.validator_value))
        given = error.instance
        words = [str(word) for word in allowed]
        suggestion = words[0] if single else resembling(given, words) if isinstance(given, str) else ""
        code = Code.UNKNOWN_KIND if pointer[-1:] == ("kind",) else Code.NOT_ALLOWED
        message = f"{_called(pointer)} cannot be {_kind(given)}"
        hint = f"{'allowed is' if single else 'allowed are'} {', '.join(words)}"
        return self._document.diagnose(code, pointer, message, hint=hint, suggestion=suggestion)

    def _bad_format(self, error: ValidationError, pointer: Pointer) -> Diagnostic:
        message = f"{shown(error.instance)} is not in the right form"
        hint = str(cast("Schema", error.schema).get("patternErrorMessage", f"it has to match {error.validator_value}"))
        if "propertyNames" in error.absolute_schema_path:
            return self._document.diagnose(
                Code.BAD_FORMAT, (*pointer, str(error.instance)), message, key=True, hint=hint
            )
        return self._document.diagnose(Code.BAD_FORMAT, pointer, message, hint=hint)

    def _out_of_range(self, error: ValidationError, pointer: Pointer, keyword: str) -> Diagnostic:
        schema = cast("Schema", error.schema)
        limit = cast("int", error.validator_value)
        given = error.instance
        bound = _BOUNDS[keyword].format(f"{limit:,}" if abs(limit) >= 10_000 else limit)  # noqa: PLR2004 - where commas help
        if limit == 1 and keyword.startswith("min") and keyword != "minimum":
            bound = "must not be empty"
        value = f", not {shown(given)}" if isinstance(given, int | float) else ""
        low, high = schema.get("minimum"), schema.get("maximum")
        hint = f"from {low} to {high}" if low is not None and high is not None else ""
        if "propertyNames" in error.absolute_schema_path:
            message = f"{shown(given)} {bound}"
            return self._document.diagnose(Code.OUT_OF_RANGE, (*pointer, str(given)), message, key=True, hint=hint)
        return self._document.diagnose(Code.OUT_OF_RANGE, pointer, f"{_called(pointer)} {bound}{value}", hint=hint)

    def _nothing_said(self, error: ValidationError, pointer: Pointer) -> Iterator[Diagnostic]:
        schema = cast("Schema", error.schema)
        branches = cast("Sequence[Schema]", error.validator_value)
        keys = [key for branch in branches for key in cast("Sequence[str]", branch.get("required", ()))]
        given = error.instance
        if not isinstance(given, dict) or not self._document.whole:
            return
        known = _properties(schema)
        strange = islice((key for key in given if key not in known), MAX_FINDINGS)
        if any(resembling(key, keys) for key in strange):
            return
        useful = [key for key in keys if not known.get(key, {}).get("deprecated")]
        code = Code(str(schema.get("x-diagnostic", Code.MISSING_KEY.value)))
        message = f"{_called(pointer)} says nothing" if code is not Code.MISSING_KEY else f"{_called(pointer)} is empty"
        hint = f"at least one of {', '.join('all: true' if key == 'all' else key for key in useful)} is needed"
        yield self._document.diagnose(code, pointer, message, key=True, hint=hint)

    def _deprecated(self, error: ValidationError, pointer: Pointer) -> Diagnostic:
        hint = str(cast("Schema", error.schema).get("deprecationMessage", ""))
        message = f"{_called(pointer)} is deprecated"
        return self._document.diagnose(
            Code.DEPRECATED, pointer, message, key=True, severity=Severity.WARNING, hint=hint
        )


def _reached(schema: Schema, condition: str, pointer: Pointer) -> Iterator[tuple[str, Schema]]:
    """The schemas of what is at ``pointer``, each with the discriminator's value for which it holds."""
    if isinstance(discriminator := schema.get("discriminator"), Mapping):
        for value, branch in cast("Mapping[str, Schema]", discriminator["mapping"]).items():
            yield from _reached(branch, f"{discriminator['propertyName']} {value}", pointer)
    elif not pointer:
        yield condition, schema
    else:
        part = _properties(schema).get(pointer[0]) if isinstance(pointer[0], str) else schema.get("items")
        if isinstance(part, Mapping):
            yield from _reached(part, condition, pointer[1:])


def _properties(schema: Schema) -> Mapping[str, Schema]:
    return cast("Mapping[str, Schema]", schema.get("properties", {}))


def _called(pointer: Pointer) -> str:
    if not pointer:
        return "the document"
    last = pointer[-1]
    if isinstance(last, str):
        return shown(last)
    return f"entry {last + 1} of {_called(pointer[:-1])}"


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return shown(value)


def _sentence(text: str) -> str:
    return text[:1].lower() + text[1:].removesuffix(".") if text else ""
