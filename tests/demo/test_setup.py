"""scripts/setup in a checkout that is set up already, after a pull."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INPUTS = ("requirements/dev.txt", "pyproject.toml", "agent/pyproject.toml", "scripts/setup")
PACKAGES = ("agent/gthulhu_agent", "agent/gthulhu_wire", "gthulhu_reconcile")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as the script reads, its .venv made."""
    for name in INPUTS:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    for package in PACKAGES:
        (tmp_path / package).mkdir()
        (tmp_path / package / "module.py").write_text("VALUE = 1\n")
    programs = tmp_path / ".venv/bin"
    programs.mkdir(parents=True)
    (programs / "python").symlink_to(sys.executable)
    (programs / "gthulhu-agent").symlink_to("/bin/true")
    read = hashlib.sha256(b"".join((ROOT / name).read_bytes() for name in INPUTS)).hexdigest()
    (tmp_path / ".venv/.made-from").write_text(f"{read}  -\n{sys.version}\n")
    return tmp_path


def set_up(checkout: Path) -> None:
    environment = {**os.environ, "PYTHON": sys.executable, "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(["sh", "scripts/setup"], cwd=checkout, env=environment, check=True)


def compiled(checkout: Path) -> dict[str, bytes]:
    return {
        package: found.read_bytes()
        for package in PACKAGES
        for found in (checkout / package).glob("__pycache__/module.*.pyc")
    }


def test_sources_that_a_pull_changed_were_compiled_anew_by_every_start(checkout: Path) -> None:
    set_up(checkout)
    first = compiled(checkout)
    assert set(first) == set(PACKAGES)
    changed = checkout / PACKAGES[0] / "module.py"
    changed.write_text("VALUE = 2 + 3\n")
    stamp = (checkout / ".venv/.compiled").stat()
    os.utime(changed, ns=(stamp.st_mtime_ns + 1_000_000_000,) * 2)
    set_up(checkout)
    second = compiled(checkout)
    assert [package for package in PACKAGES if first[package] != second[package]] == [PACKAGES[0]]


def test_a_source_that_is_half_written_does_not_keep_others_from_being_set_up(checkout: Path) -> None:
    (checkout / PACKAGES[1] / "module.py").write_text("def")
    set_up(checkout)
    assert set(compiled(checkout)) == {PACKAGES[0], PACKAGES[2]}
