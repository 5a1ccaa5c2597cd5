"""One agent at a time has a state folder, however the one before it ended, and nobody else may write to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gthulhu_agent.errors import AgentError, AlreadyRunning
from gthulhu_agent.statedir import Running, StateDirectory, running


def test_a_second_agent_is_refused_and_told_who_has_it(tmp_path: Path) -> None:
    with StateDirectory.claim(tmp_path / "state") as first:
        first.announce(Running(4711, "127.0.0.1:1", None))
        with pytest.raises(AlreadyRunning, match=r"process 4711, listening on 127\.0\.0\.1:1"):
            StateDirectory.claim(tmp_path / "state")
    with StateDirectory.claim(tmp_path / "state"):
        assert running(tmp_path / "state") is None


def test_a_folder_is_made_for_the_agent_alone(tmp_path: Path) -> None:
    with StateDirectory.claim(tmp_path / "a/state"):
        assert (tmp_path / "a/state").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_can_write_to_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(AgentError, match="others may write") as refused:
        StateDirectory.claim(folder)
    assert f"chmod 700 {folder}" in refused.value.cure


def test_a_file_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(AgentError, match="cannot be had"):
        StateDirectory.claim(tmp_path / "state")


def test_the_folder_of_a_killed_agent_is_free(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from gthulhu_agent.statedir import StateDirectory\n"
        f"StateDirectory.claim(Path({str(tmp_path / 'state')!r})); print('mine', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with pytest.raises(AlreadyRunning):
            StateDirectory.claim(tmp_path / "state")
        other.send_signal(signal.SIGKILL)
        other.wait()
    with StateDirectory.claim(tmp_path / "state"):
        pass


@pytest.mark.parametrize("note", ["", "{}", "[]", '{"pid":"x","listen":1,"secret_file":null}', "\xff"])
def test_a_note_that_is_none_is_no_note(tmp_path: Path, note: str) -> None:
    (tmp_path / "running.json").write_bytes(note.encode("latin-1"))
    assert running(tmp_path) is None


def test_a_folder_that_cannot_be_written_to_can_be_had(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o500)
    with StateDirectory.claim(folder) as state:
        state.announce(Running(os.getpid(), "unix:/x", None))  # best effort, no error
