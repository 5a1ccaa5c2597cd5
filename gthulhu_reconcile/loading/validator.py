"""jsonschema, taught the annotations of our schemas.

Beyond the standard keywords it reads ``discriminator`` (which branch of a ``oneOf`` is meant) and reports what is
``deprecated``. References are resolved once, beforehand.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import extend

Schema = Mapping[str, object]
_MAX_REFERENCES = 64


def errors_of(instance: object, schema: Schema) -> Iterator[ValidationError]:
    """What ``schema``, as :func:`resolved` gives it, has against ``instance``; ``deprecated`` among it."""
    return _validator(_Key(schema)).iter_errors(instance)


def resolved(schema: Schema) -> Schema:
    """``schema`` without references; remembered for as long as the very same object is asked for."""
    return _resolved(_Key(schema))


def fits(pattern: str, text: str) -> bool:
    """Whether a pattern of a schema matches, with the meaning that editors and pydantic give to ``$``."""
    return _compiled(pattern).search(text) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    # Python's `$` also matches before a last line feed.
    return re.compile(f"{pattern[:-1]}\\Z" if pattern.endswith("$") else pattern)


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
        yield from _within(mapping[chosen], instance)


def _pattern(validator: _Validator, pattern: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    too_long = isinstance(limit := schema.get("maxLength"), int) and isinstance(instance, str) and len(instance) > limit
    if validator.is_type(instance, "string") and not too_long and not fits(str(pattern), str(instance)):
        yield ValidationError("pattern", validator="pattern", validator_value=pattern, instance=instance, schema=schema)


def _deprecated(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator
    if value is True:
        yield ValidationError("deprecated", validator="deprecated", instance=instance, schema=schema)


def _properties(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator, schema
    if isinstance(instance, dict):
        for name, part in cast("Mapping[str, Schema]", value).items():
            if name in instance:
                yield from _within(part, instance[name], name)


def _items(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator
    if isinstance(instance, list) and not _too_many(instance, schema, "maxItems"):
        for number, item in enumerate(instance):
            yield from _within(cast("Schema", value), item, number)


def _names(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator
    if isinstance(instance, dict) and not _too_many(instance, schema, "maxProperties"):
        for name in instance:
            yield from _within(cast("Schema", value), name)


def _additional(validator: _Validator, value: object, instance: object, schema: Schema) -> Iterator[ValidationError]:
    del validator
    if not isinstance(instance, dict) or value is True or _too_many(instance, schema, "maxProperties"):
        return
    known = cast("Mapping[str, object]", schema.get("properties", {}))
    if value is not False:
        for name in instance:
            if name not in known:
                yield from _within(cast("Schema", value), instance[name], name)
    elif not instance.keys() <= known.keys():
        # One error for all of them; jsonschema's own would also name each in its message, however many there are.
        yield ValidationError("keys", validator="additionalProperties", instance=instance, schema=schema)


def _too_many(instance: list[object] | dict[str, object], schema: Schema, bound: str) -> bool:
    """Whether there are more members than ``bound`` allows, which is told; each of them is not judged then."""
    limit = schema.get(bound)
    return isinstance(limit, int) and len(instance) > limit


def _within(schema: Schema, instance: object, path: str | int | None = None) -> Iterator[ValidationError]:
    for error in _validator(_Key(schema)).iter_errors(instance):
        if path is not None:
            error.path.appendleft(path)
        yield error


@lru_cache(maxsize=4096)
def _validator(key: _Key) -> _Validator:
    # Made once for each part of a schema; jsonschema makes one for each value, which takes most of its time.
    return cast("_Validator", _Checker(cast("dict[str, object]", key.schema)))


_Checker = extend(  # type: ignore[no-untyped-call] # jsonschema's annotations leave it out
    Draft202012Validator,
    {
        "oneOf": _one_of,
        "pattern": _pattern,
        "deprecated": _deprecated,
        "properties": _properties,
        "items": _items,
        "propertyNames": _names,
        "additionalProperties": _additional,
    },
)
