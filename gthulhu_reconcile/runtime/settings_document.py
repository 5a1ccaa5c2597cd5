"""``schemas/settings-v1.json`` and ``docs/settings.md``, both made from the settings model.

``python -m gthulhu_reconcile.runtime.settings_document --check`` fails where a committed file is not what the model
gives; ``--write`` makes it so.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from gthulhu_reconcile.loading.schemas import schema_directory
from gthulhu_reconcile.runtime.settings_layers import CONFIG_VARIABLE
from gthulhu_reconcile.runtime.settings_schema import Key, keys, settings_schema

_HEAD = f"""\
# Settings

Everything that can be set, once. A setting is taken from the first of these that has it:

1. the option of the command line,
2. the environment variable,
3. the settings file: `--config FILE`, else `{CONFIG_VARIABLE}`, else `gthulhu.yaml` in the current directory,
4. the default.

Relative paths in a settings file start from the directory of that file, all others from the current directory.
Durations are written with a unit (`ns`, `us`, `ms`, `s`, `m`, `h`, `d`), as in `250ms` or `1h30m`. In the environment a
list is separated by commas (or is JSON), a mapping is JSON, and an empty variable counts as not set. Secrets are never
values, only names of files. Mistakes are shown like those of policies, with file, line and column
([diagnostics](diagnostics.md)).

An editor checks the file while it is written if it begins with

```yaml
# yaml-language-server: $schema=../schemas/settings-v1.json
```

and [gthulhu.example.yaml](gthulhu.example.yaml) shows all sections. This page is made from the model in
`gthulhu_reconcile/runtime/settings_model.py`.
"""


def document() -> str:
    """``docs/settings.md``."""
    parts = [_HEAD]
    for section, members in groupby(keys(), key=lambda key: key.path[:-1]):
        parts.append(_section(".".join(section), list(members)))
    return "\n".join(parts).rstrip() + "\n"


def schema_text() -> str:
    """``schemas/settings-v1.json``."""
    return json.dumps(settings_schema(), indent=2, ensure_ascii=False) + "\n"


def _section(name: str, members: Sequence[Key]) -> str:
    lines = [f"## {name or 'General'}", ""]
    for key in members:
        lines += [f"### `{key.name}`", "", str(key.schema["description"]), "", *_facts(key), ""]
        if "additionalProperties" in key.schema:
            lines += [*_entries(key.schema["additionalProperties"]), ""]
    return "\n".join(lines)


def _facts(key: Key) -> Iterator[str]:
    default = key.schema.get("default")
    yield f"- takes: {_kind(key.schema)}"
    yield f"- default: {'none' if default in (None, '') else f'`{_yaml(default)}`'}"
    yield f"- environment: `{key.variable}`"
    if key.option:
        yield f"- option: `{key.option}`"


def _entries(schema: Mapping[str, Any]) -> Iterator[str]:
    target = settings_schema()["$defs"][schema["$ref"].rpartition("/")[2]]
    yield "Each entry has:"
    yield ""
    for name, part in target["properties"].items():
        yield f"- `{name}` ({_kind(part)}): {part['description']}"


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        schema = {**settings_schema()["$defs"][schema["$ref"].rpartition("/")[2]], **schema}
    if "enum" in schema:
        return f"one of {', '.join(f'`{value}`' for value in schema['enum'])}"
    if "patternErrorMessage" in schema:
        return "a duration"
    kind = {"array": "a list", "object": "a mapping", "boolean": "`true` or `false`", "string": "text"}
    text = kind.get(str(schema["type"]), f"a{'n' if schema['type'] == 'integer' else ''} {schema['type']}")
    low, high = schema.get("minimum"), schema.get("maximum")
    return text if low is None or high is None else f"{text} from {low} to {high}"


def _yaml(value: object) -> str:
    return json.dumps(value, ensure_ascii=False) if not isinstance(value, str) else value


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files, or with ``--check`` say which of them are not what the model gives."""
    parser = argparse.ArgumentParser(description="Schema and page of the settings, from the model.")
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--check", action="store_true", help="write nothing; exit 1 where a file is out of date")
    mode.add_argument("--write", action="store_true", help="write what is out of date (the default)")
    check = parser.parse_args(arguments).check
    schemas = schema_directory()
    files = {schemas / "settings-v1.json": schema_text(), schemas.parent / "docs" / "settings.md": document()}
    stale = {path: text for path, text in files.items() if not _same(path, text)}
    for path, text in stale.items():
        if check:
            sys.stderr.write(f"{path.name} is not what the model gives\n")
        else:
            path.write_text(text, encoding="utf-8")
            sys.stderr.write(f"wrote {path.name}\n")
    return 1 if check and stale else 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
