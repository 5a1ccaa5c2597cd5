"""One enforcer per host, whatever state folder each has."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest
from agent_program import environment, run, serving

from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.errors import AgentError, AlreadyRunning
from gthulhu_agent.hostlock import claimed
from gthulhu_agent.settings import load


def lock_of(folder: Path) -> Path:
    """The lock of programs that run with a home in ``folder``."""
    return Path(environment(folder)["GTHULHU_AGENT_ENFORCER_LOCK"])


@pytest.fixture
def acting() -> None:
    """Fail early where the enforcer cannot act at all."""
    sched_attr.ability()


@pytest.mark.usefixtures("acting")
def test_a_second_enforcer_with_another_state_folder_is_refused(tmp_path: Path) -> None:
    """Two agents drove weights to the limits, each scaling what the other had written."""
    second = ("--state-dir", str(tmp_path / "other"))
    with serving(tmp_path, "--enforcer", "eevdf") as first:
        for enforcer in ("eevdf", "auto"):
            done = run(tmp_path, "serve", "--enforcer", enforcer, *second, "--listen", "127.0.0.1:0")
            assert done.returncode == 1
            assert f"process {first.process.pid} enforces" in done.stderr
            assert str(lock_of(tmp_path)) in done.stderr
            assert "--enforcer none" in done.stderr
            assert "Traceback" not in done.stderr
        with serving(tmp_path / "looks"):
            assert first.call("GET", "/v1/health") == {"status": "ok"}


@pytest.mark.usefixtures("acting")
def test_revert_of_one_folder_while_another_agent_enforces_says_who(tmp_path: Path) -> None:
    with serving(tmp_path, "--enforcer", "eevdf") as first:
        (tmp_path / "other").mkdir(mode=0o700)
        (tmp_path / "other/eevdf.journal").write_text("")
        done = run(tmp_path, "revert", "--state-dir", str(tmp_path / "other"))
        assert done.returncode == 1
        assert f"process {first.process.pid} enforces" in done.stderr
        assert run(tmp_path, "revert", "--state-dir", str(tmp_path / "state")).returncode == 0


@pytest.mark.usefixtures("acting")
def test_an_enforcer_that_was_killed_leaves_no_lock(tmp_path: Path) -> None:
    for _ in range(2):
        with serving(tmp_path, "--enforcer", "eevdf") as program:
            program.stop(signal.SIGKILL)


def test_the_lock_names_its_holder_and_is_nobody_elses_to_take(tmp_path: Path) -> None:
    path = tmp_path / "run/enforcer.lock"
    former = os.umask(0)
    try:
        with claimed(path):
            assert path.read_text() == str(os.getpid())
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert stat.S_IMODE(path.parent.stat().st_mode) == 0o755
            with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} enforces") as refused, claimed(path):
                pass
    finally:
        os.umask(former)
    assert "one agent per node" in refused.value.cure
    with claimed(path), claimed(None), claimed(None):
        pass


@pytest.mark.parametrize("fault", ["open to others", "a link", "no folder"])
def test_a_lock_that_others_could_take_or_that_cannot_be_had_is_refused(tmp_path: Path, fault: str) -> None:
    folder = tmp_path / "run"
    if fault == "no folder":
        folder.write_text("")
    else:
        folder.mkdir()
        (folder / "enforcer.lock").symlink_to(tmp_path / "elsewhere")
    if fault == "open to others":
        folder.chmod(0o777)
    with pytest.raises(AgentError) as refused, claimed(folder / "enforcer.lock"):
        pass
    assert refused.value.cure
    assert not (tmp_path / "elsewhere").exists()


def test_every_agent_of_root_has_the_same_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/7"}
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert load(file=None, environ=environ, options={}).enforcer_lock == Path("/run/gthulhu/enforcer.lock")
    monkeypatch.setattr(os, "geteuid", lambda: 7)
    assert load(file=None, environ=environ, options={}).enforcer_lock == Path("/run/user/7/gthulhu/enforcer.lock")
    assert load(file=None, environ={"HOME": str(tmp_path)}, options={}).enforcer_lock is None
