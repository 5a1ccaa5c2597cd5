"""jsonschema, taught the annotations of our schemas.

Beyond the standard keywords it reads ``discriminator`` (which branch of a ``oneOf`` is meant) and reports what is
``deprecated``. References are resolved once, beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

from gthulhu_reconcile.loading import patterns

Schema = Mapping[str, object]
_MAX_REFERENCES = 64


def errors_of(instance: object, schema: Schema) -> Iterator[ValidationError]:
    """What ``schema``, as :func:`resolved` gives it, has against ``instance``; ``deprecated`` among it."""
    return cast("_Validator", _Checker(cast("dict[str, object]", schema))).iter_errors(instance)


def resolved(schema: Schema) -> Schema:
    """``schema`` without references; remembered for as long as the very same object is asked for."""
    return _resolved(_Key(schema))


class _Key:
    """A schema as a key of a cache: by identity, which the committed schemas keep."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema

    def __hash__(self) -> int:
        return id(self.schema)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and other.schema is self.schema


@lru_cache(maxsize=64)
def _resolved(key: _Key) -> Schema:
    # Following each reference again for each document takes a third of the time.
    return cast("Schema", _inlined(key.schema, key.schema, 0))


def _inlined(value: object, root: Schema, depth: int) -> object:
    if isinstance(value, list):
        return [_inlined(entry, root, depth) for entry in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if isinstance(reference, str) and reference.startswith("#/") and depth < _MAX_REFERENCES:
        target: object = root
        for part in reference[2:].split("/"):
            target = cast("Mapping[str, object]", target)[part]
        beside = {key: entry for key, entry in value.items() if key != "$ref"}
        return {**cast("dict[str, object]", _inlined(target, root, depth + 1)), **_mapping(beside, root, depth)}
    return _mapping(value, root, depth)


def _mapping(value: Mapping[str, object], root: Schema, depth: int) -> dict[str, object]:
    body = {key: _inlined(entry, root, depth) for key, entry in value.items() if key not in ("$defs", "definitions")}
    discriminator = value.get("discriminator")
    if isinstance(discriminator, Mapping):
        mapping = cast("Mapping[str, str]", discriminator.get("mapping", {}))
        body["discriminator"] = {
            "propertyName": discriminator["propertyName"],
            "mapping": {name: _inlined({"$ref": target}, root, depth) for name, target in mapping.items()},
        }
    return body


class _Validator(Protocol):
    """What is used of jsonschema's validators."""

    def evolve(self, *, schema: Schema) -> _Validator: ...

    def is_type(self, instance: object, type: str) -> bool: ...  # noqa: A002 - jsonschema's name

    def iter_errors(self, instance: object) -> Iterator[ValidationError]: ...


class _Keyword(Protocol):
    def __call__(
        self, validator: _Validator, value: object, instance: object, schema: Schema
    ) -> Iterable[ValidationError]: ...


def _one_of(validator: _Validator, branches: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    discriminator = cast("Mapping[str, object] | None", schema.get("discriminator"))
    if discriminator is None:
        yield from cast("_Keyword", Draft202012Validator.VALIDATORS["oneOf"])(validator, branches, instance, schema)
        return
    name, mapping = cast("str", discriminator["propertyName"]), cast("Mapping[str, Schema]", discriminator["mapping"])
    if not isinstance(instance, dict):
        yield ValidationError("wrong type", validator="type", validator_value="object", instance=instance)
    elif name not in instance:
        yield ValidationError(
            "missing", validator="required", validator_value=[name], instance=instance, schema={"properties": {}}
        )
    elif not isinstance(chosen := instance[name], str) or chosen not in mapping:
        yield ValidationError(
            "unknown", validator="enum", validator_value=list(mapping), instance=instance[name], path=[name]
        )
    else:
        yield from validator.evolve(schema=mapping[chosen]).iter_errors(instance)


def _pattern(validator: _Validator, pattern: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    # Python's `$` also matches before a last line feed; editors' and pydantic's does not. RE2 agrees with them.
    if validator.is_type(instance, "string") and not patterns.search(str(pattern), str(instance)):
        yield ValidationError("pattern", validator="pattern", validator_value=pattern, instance=instance, schema=schema)


def _deprecated(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator
    if value is True:
        yield ValidationError("deprecated", validator="deprecated", instance=instance, schema=schema)


def _unless_too_many(keyword: str, bound: str) -> _Keyword:
    """``keyword``, without judging each of the members where there are more than ``bound`` allows."""
    original = cast("_Keyword", Draft202012Validator.VALIDATORS[keyword])

    def judge(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
        limit = schema.get(bound)
        if not (isinstance(limit, int) and isinstance(instance, list | dict) and len(instance) > limit):
            yield from original(validator, value, instance, schema)

    return judge


_Checker = extend(  # type: ignore[no-untyped-call] # jsonschema's annotations leave it out
    Draft202012Validator,
    {
        "oneOf": _one_of,
        "pattern": _pattern,
        "deprecated": _deprecated,
        "items": _unless_too_many("items", "maxItems"),
        "propertyNames": _unless_too_many("propertyNames", "maxProperties"),
        "additionalProperties": _unless_too_many("additionalProperties", "maxProperties"),
    },
)
