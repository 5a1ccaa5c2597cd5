"""The schema, the page and the example are what the model says."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import yaml

from gthulhu_reconcile.cli.options import OVERRIDES
from gthulhu_reconcile.runtime.settings import load_settings
from gthulhu_reconcile.runtime.settings_document import document, main, schema_text
from gthulhu_reconcile.runtime.settings_schema import keys, settings_schema

ROOT = Path(__file__).parents[2]


def test_the_committed_files_are_what_the_model_gives() -> None:
    assert main(["--check"]) == 0


def test_the_schema_is_valid_and_describes_every_property() -> None:
    schema = settings_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    definitions = [schema, *schema["$defs"].values()]
    for part in definitions:
        for name, value in part.get("properties", {}).items():
            target = schema["$defs"][value["$ref"].rpartition("/")[2]] if "$ref" in value else value
            assert value.get("description") or target.get("description"), name


def test_every_setting_has_a_heading_with_its_default_and_variable() -> None:
    page = document()
    for key in keys():
        assert f"### `{key.name}`" in page
        assert f"- environment: `{key.variable}`" in page
    assert "PT" not in schema_text()


def test_the_example_is_valid_and_shows_every_section() -> None:
    path = ROOT / "docs" / "gthulhu.example.yaml"
    settings, diagnostics = load_settings(path, {}, {}, host_name=lambda: "h")
    assert diagnostics == ()
    assert settings.limits
    shown = yaml.safe_load(path.read_text(encoding="utf-8"))
    sections = {key.path[0] for key in keys() if len(key.path) > 1}
    assert sections <= shown.keys()


def test_the_option_of_a_setting_is_one_that_the_command_line_has() -> None:
    named = {key.name: key.option.removeprefix("--").replace("-", "_") for key in keys() if key.option}
    assert named == {setting: option for option, setting in OVERRIDES.items()}


def test_what_the_schema_takes_the_model_takes_and_the_other_way_round() -> None:
    validator = jsonschema.Draft202012Validator(json.loads(schema_text()))
    for key in keys():
        default = key.schema.get("default")
        if default is None:
            continue
        nested: object = default
        for part in reversed(key.path):
            nested = {part: nested}
        assert list(validator.iter_errors(nested)) == [], key.name
