"""``schema`` prints what is shipped."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gthulhu_reconcile.cli.commands.schema import FILES
from gthulhu_reconcile.cli.main import run
from gthulhu_reconcile.loading.schemas import schema_directory


@pytest.mark.parametrize("path", sorted(schema_directory().glob("*.json")), ids=lambda path: str(path.name))
def test_a_schema_was_shipped_that_nobody_could_print(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kind, draft = next(key for key, name in FILES.items() if name == path.name)
    assert run(["schema", kind, "--draft", draft]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(path.read_text(encoding="utf-8"))
