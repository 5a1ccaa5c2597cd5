"""Folders that cannot be looked at: a stale mount, one that may not be entered, a name that no file can have."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gthulhu_reconcile.model.diagnostics import Code
from gthulhu_reconcile.observing.inventory import agents
from gthulhu_reconcile.runtime.fingerprints import take

Break = Callable[[Path, int], None]
HOSTS = "all: {hosts: {n1: {}}}\n"


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> Break:
    """Let looking at a path and at everything below it fail."""
    real = os.stat

    def breaking(top: Path, number: int) -> None:
        def stat(path: int | str | Path, *arguments: object, **options: object) -> os.stat_result:
            if not isinstance(path, int) and Path(path).is_relative_to(top):
                raise OSError(number, os.strerror(number), str(path))
            return real(path, *arguments, **options)  # type: ignore[arg-type] # as they came

        monkeypatch.setattr(os, "stat", stat)

    return breaking


@pytest.mark.parametrize("number", [errno.EACCES, errno.ESTALE, errno.EIO])
def test_a_folder_that_cannot_be_looked_at_ended_the_service(tmp_path: Path, broken: Break, number: int) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "pods.yaml").write_text("pods: []\n")
    broken(tmp_path / "policies", number)
    seen = take({"policies": [tmp_path / "policies" / "web.yaml"], "pods": [tmp_path / "pods.yaml"]})
    assert seen.directories == (str(tmp_path),)
    assert not seen.marks["policies"]
    assert seen.marks["pods"]


@pytest.mark.parametrize("name", ["a\0b/web.yaml", f"{'x' * 300}/web.yaml"], ids=["nul", "long"])
def test_a_name_that_no_file_can_have_ended_the_service(tmp_path: Path, name: str) -> None:
    seen = take({"policies": [tmp_path / name]})
    assert seen.directories == ()
    assert not seen.marks["policies"]


@pytest.mark.parametrize("folder", ["", "group_vars", "host_vars", "host_vars/n1"])
def test_an_inventory_folder_that_cannot_be_looked_at_ended_the_pass(
    tmp_path: Path, broken: Break, folder: str
) -> None:
    (tmp_path / "host_vars" / "n1").mkdir(parents=True)
    (tmp_path / "hosts.yml").write_text(HOSTS)
    broken(tmp_path / folder, errno.EACCES)
    named, found = agents([str(tmp_path)])
    assert named == ()
    assert {one.code for one in found} == {Code.UNREADABLE}


@pytest.mark.parametrize("name", ["a\\0b", "x" * 300], ids=["nul", "long"])
def test_a_group_whose_name_no_file_can_have_ended_the_pass(tmp_path: Path, name: str) -> None:
    (tmp_path / "hosts.yml").write_text(f'all: {{children: {{? "{name}" : {{hosts: {{n1: {{}}}}}}}}}}\n')
    named, found = agents([str(tmp_path)])
    assert [agent.node for agent in named] == ["n1"], found
    assert found == ()


@pytest.mark.parametrize("name", ["a\0b", "x" * 300], ids=["nul", "long"])
def test_an_inventory_whose_name_no_file_can_have_is_unreadable(name: str) -> None:
    named, (told,) = agents([name])
    assert named == ()
    assert told.code is Code.UNREADABLE
