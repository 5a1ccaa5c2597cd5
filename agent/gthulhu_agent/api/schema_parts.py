"""Pieces that JSON Schemas are made of."""

from __future__ import annotations

from gthulhu_wire.documents import MAX_LIST, MAX_TEXT

Schema = dict[str, object]


def ref(name: str) -> Schema:
    """A reference to one of the API's schemas."""
    return {"$ref": f"#/components/schemas/{name}"}


def an_object(
    text: str, properties: dict[str, Schema], *, optional: tuple[str, ...] = (), closed: bool = True
) -> Schema:
    """An object; every property that is not ``optional`` has to be there, and others may not where it is ``closed``."""
    return {
        "type": "object",
        "description": text,
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": not closed,
    }


def text(text: str, *, limit: int = MAX_TEXT, least: int = 0) -> Schema:
    """Text of ``least`` to ``limit`` characters."""
    return {"type": "string", "description": text, "maxLength": limit, "minLength": least}


def number(text: str, low: int, high: int | None = None) -> Schema:
    """A whole number."""
    schema: Schema = {"type": "integer", "description": text, "minimum": low}
    return schema if high is None else {**schema, "maximum": high}


def flag(text: str) -> Schema:
    """True or false."""
    return {"type": "boolean", "description": text}


def a_list(items: Schema, text: str, *, most: int | None = None) -> Schema:
    """A list."""
    schema: Schema = {"type": "array", "description": text, "items": items}
    return schema if most is None else {**schema, "maxItems": most}


def names(text: str) -> Schema:
    """A list of names."""
    return a_list({"type": "string", "minLength": 1, "maxLength": MAX_TEXT}, text, most=MAX_LIST)


def or_null(schema: Schema) -> Schema:
    """``schema``, or nothing."""
    return {"anyOf": [schema, {"type": "null"}]}


def instant(text: str) -> Schema:
    """A moment, RFC 3339."""
    return {"type": "string", "format": "date-time", "description": text}
