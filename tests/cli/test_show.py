"""What became of a saved plan is said when it is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from fleet import planned

from gthulhu_reconcile.applying.planfile import load, mark_used, save
from gthulhu_reconcile.cli.main import run


def test_showing_an_applied_plan_says_that_it_was_applied(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "plan.json"
    save(planned(["n1"]), file)
    assert run(["show", str(file)]) == 0
    assert "applied before" not in capsys.readouterr().err
    mark_used(load(file))
    assert run(["show", str(file)]) == 0
    captured = capsys.readouterr()
    assert f"{file}: it was applied before" in " ".join(captured.err.split())
    assert "web" in captured.out
