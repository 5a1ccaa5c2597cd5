"""JSON Schemas of policy documents: generated from the models, committed, and read back as package data.

``python -m gthulhu_reconcile.loading.schemas`` writes them, with ``--check`` it fails where the committed files are
not what the models give.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Literal, cast

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from gthulhu_reconcile.model.documents import PolicyDocument

Draft = Literal["2020-12", "7"]

_DIALECT = {
    "2020-12": "https://json-schema.org/draft/2020-12/schema",
    "7": "http://json-schema.org/draft-07/schema#",
}
_FILE: Mapping[Draft, str] = {"2020-12": "policy-v1.json", "7": "policy-v1.draft-7.json"}


def schema_directory() -> Path:
    """Where the committed schemas are: inside of an installed package, beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "schemas"
    return installed if installed.is_dir() else package.parent / "schemas"


@cache
def read_schema(name: str) -> Mapping[str, object]:
    """A committed schema by its file name, as in ``policy-v1.json``.

    Raises:
        FileNotFoundError: the package was built without its schemas.
    """
    return cast("Mapping[str, object]", json.loads((schema_directory() / name).read_text(encoding="utf-8")))


def policy_schema(draft: Draft = "2020-12") -> Mapping[str, object]:
    """The committed schema of policy documents; editors want draft 7."""
    return read_schema(_FILE[draft])


def generate(models: TypeAdapter[object], *, title: str, draft: Draft = "2020-12") -> dict[str, object]:
    """A schema of what ``models`` take: closed, every property described, nothing nullable, no invented titles."""
    body = models.json_schema(by_alias=True, schema_generator=_Generator, mode="validation")
    if draft == "7":
        body = cast("dict[str, object]", _in_draft_7(body))
    return {"$schema": _DIALECT[draft], "title": title, **body}


class _Generator(GenerateJsonSchema):
    """What is optional may be left out, never null; keys of free mappings are judged by ``propertyNames``."""

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        body = super().default_schema(schema)
        if body.get("default", ...) is None:
            del body["default"]
        return body

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        body: JsonSchemaValue = {"type": "object"}
        if "keys_schema" in schema:
            body["propertyNames"] = self.generate_inner(schema["keys_schema"])
        if "values_schema" in schema:
            body["additionalProperties"] = self.generate_inner(schema["values_schema"])
        self.update_with_validations(body, schema, self.ValidationsMapping.object)
        return body

    def get_title_from_name(self, name: str) -> str:
        del name
        return ""

    def field_title_should_be_set(self, schema: object) -> bool:
        del schema
        return False

    def generate(self, schema: core_schema.CoreSchema, mode: str = "validation") -> JsonSchemaValue:
        body = super().generate(schema, mode)  # type: ignore[arg-type] # the literal type of modes is not exported
        for part in cast("dict[str, JsonSchemaValue]", body.get("$defs", {})).values():
            part.pop("title", None)
        return body


def _in_draft_7(value: object) -> object:
    # Draft 7 knows definitions, not $defs, and ignores what stands beside a $ref: descriptions would be lost.
    if isinstance(value, list):
        return [_in_draft_7(entry) for entry in value]
    if isinstance(value, str):
        return value.replace("#/$defs/", "#/definitions/") if value.startswith("#/$defs/") else value
    if not isinstance(value, dict):
        return value
    body = {("definitions" if key == "$defs" else key): _in_draft_7(entry) for key, entry in value.items()}
    if "$ref" in body and len(body) > 1:
        body["allOf"] = [{"$ref": body.pop("$ref")}]
    return body


def _policy_schemas() -> Iterable[tuple[Path, str]]:
    models: TypeAdapter[object] = TypeAdapter(PolicyDocument)
    for draft, name in _FILE.items():
        body = generate(models, title="Scheduling policies of gthulhu-reconcile", draft=draft)
        yield schema_directory() / name, json.dumps(body, indent=2, ensure_ascii=False) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the schemas, or with ``--check`` say which of them are not what the models give."""
    parser = argparse.ArgumentParser(description="Schemas of policy documents, from the models.")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    check = parser.parse_args(arguments).check
    stale = [
        (path, text)
        for path, text in _policy_schemas()
        if not path.is_file() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if check:
            sys.stderr.write(f"{path.name} is not what the models give\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path.name}\n")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
