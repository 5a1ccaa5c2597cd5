"""The settings model as a JSON Schema, and the list of everything that can be set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from typing import Any, cast

from pydantic.json_schema import GenerateJsonSchema

from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.runtime.settings_types import format_duration

ENVIRONMENT_PREFIX = "GTHULHU_"
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_REFERENCE = "#/$defs/"


class _Generator(GenerateJsonSchema):
    def encode_default(self, dft: object) -> object:
        return format_duration(dft) if isinstance(dft, timedelta) else super().encode_default(dft)


@dataclass(frozen=True, slots=True)
class Key:
    """One thing that can be set.

    Attributes:
        path: keys from the top of ``gthulhu.yaml``.
        schema: the part of the JSON Schema that says what it takes.
        option: the command-line option that sets it; empty where there is none.
    """

    path: tuple[str, ...]
    schema: Mapping[str, Any]
    option: str = ""

    @property
    def name(self) -> str:
        """As it is written in messages and in overrides: ``serve.retryFirst``."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The environment variable: ``GTHULHU_SERVE_RETRY_FIRST``."""
        return ENVIRONMENT_PREFIX + "_".join(_upper_snake(part) for part in self.path)


@cache
def settings_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of ``gthulhu.yaml``. The result is shared: do not change it."""
    raw = Settings.model_json_schema(schema_generator=_Generator)
    return {"$schema": _DIALECT, **cast("dict[str, Any]", _tidy(raw))}


@cache
def keys() -> tuple[Key, ...]:
    """Everything that can be set, in the order of the model."""
    schema = settings_schema()
    return tuple(_leaves(schema, schema["$defs"], ()))


def _leaves(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Key]:
    for name, value in schema["properties"].items():
        target = definitions[value["$ref"].removeprefix(_REFERENCE)] if "$ref" in value else value
        if "properties" in target:
            yield from _leaves(target, definitions, (*path, name))
        else:
            yield Key((*path, name), {**target, **value}, str(value.get("x-option", "")))


def _tidy(node: object) -> object:
    if isinstance(node, list):
        return [_tidy(entry) for entry in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidy(value) for key, value in node.items() if not (key == "title" and isinstance(value, str))}
    if isinstance(description := tidy.get("description"), str):
        tidy["description"] = " ".join(description.split())
    if "$ref" in tidy and isinstance(tidy.get("default"), dict):
        # A section's default is what its keys say.
        del tidy["default"]
    return _without_null(tidy)


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    # An absent key is the only way to say "none", so that errors name one expected type and not two.
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if not options:
        return node
    kept = {key: value for key, value in node.items() if key != "anyOf" and not (key == "default" and value is None)}
    return {**kept, **options[0]} if len(options) == 1 else {**kept, "anyOf": options}


def _upper_snake(name: str) -> str:
    return "".join(f"_{letter}" if letter.isupper() else letter.upper() for letter in name)
