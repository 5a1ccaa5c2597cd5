"""The desired set on disk: each step of writing it fails or is the last, each byte goes bad, and no set is lost."""

from __future__ import annotations

import errno
import io
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from store_steps import NEW, OLD, Steps, held
from wire_strategies import SETS

from gthulhu_agent import storefile
from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.state import Held
from gthulhu_agent.store import DesiredStore
from gthulhu_wire.intents import DesiredSet, Intent, digest


def steps_of_a_save(folder: Path) -> list[str]:
    folder.mkdir()
    store = DesiredStore(folder)
    for generation in (1, 2):
        store.save(held(generation))
    counting = Steps()
    store = DesiredStore(folder, counting)
    store.load()
    store.save(NEW)
    return counting.names_of_steps


STEPS = [
    "create",
    *["write", "write the rest"] * 3,  # header, intents, seal
    "sync",
    "close",
    "rename",
    "sync the folder",
    "remove",  # the set before the former one
]


def test_the_steps_of_a_save_are_these(tmp_path: Path) -> None:
    assert steps_of_a_save(tmp_path / "state") == STEPS


def _raise(code: int) -> Callable[[], None]:
    def act() -> None:
        raise OSError(code, os.strerror(code))

    return act


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO, errno.EROFS, errno.EACCES, errno.EDQUOT])
@pytest.mark.parametrize("at", range(len(STEPS)), ids=[f"{number}-{name}" for number, name in enumerate(STEPS)])
def test_a_step_that_fails_leaves_the_former_set_or_the_new_one_and_says_which(
    tmp_path: Path, at: int, code: int
) -> None:
    tmp_path.chmod(0o700)
    for former in (held(0), OLD):
        store = DesiredStore(tmp_path)
        store.load()
        store.save(former)
    store = DesiredStore(tmp_path, Steps(at, _raise(code)))
    assert store.load().held == OLD
    if STEPS[at] == "remove":
        store.save(NEW)  # what is left over is taken away next time
        wanted = NEW
    else:
        with pytest.raises(NotStored, match=os.strerror(code)):
            store.save(NEW)
        wanted = OLD
    found = DesiredStore(tmp_path).load()
    assert (found.held, found.faults) == (wanted, ())
    store.save(NEW)  # it recovers by itself
    assert DesiredStore(tmp_path).load().held == NEW


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {path!r})
from store_steps import NEW, Steps
from gthulhu_agent.store import DesiredStore
store = DesiredStore(Path({folder!r}), Steps({at}, lambda: os.kill(os.getpid(), signal.SIGKILL)))
store.load()
store.save(NEW)
print("saved", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("at", [*range(len(STEPS)), None], ids=[*map(str, range(len(STEPS))), "after"])
def test_kill_9_at_every_step_leaves_the_former_set_or_the_new_one(tmp_path: Path, at: int | None) -> None:
    for former in (held(0), OLD):
        store = DesiredStore(tmp_path)
        store.load()
        store.save(former)
    here = str(Path(__file__).parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", KILLED.format(path=here, folder=str(tmp_path), at=at)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    found = DesiredStore(tmp_path).load()
    renamed = at is None or STEPS[at] in ("sync the folder", "remove")
    assert found.held == (NEW if renamed else OLD)
    assert found.faults == ()
    if done.stdout:
        assert found.held == NEW  # what was said to be stored is stored
    store = DesiredStore(tmp_path)
    store.load()
    store.save(held(3))
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".jsonl", ".jsonl"]  # nothing is left half-written


@given(SETS, st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.integers(0, 4_000_000_000))
def test_what_is_written_is_what_is_read(intents: tuple[Intent, ...], token: int, generation: int, since: int) -> None:
    kept = Held().followed_by(DesiredSet("main", token, generation, intents), digest(intents), since)
    assert storefile.decode(io.BytesIO(b"".join(storefile.encode(kept)))) == kept


@given(SETS, st.data())
def test_any_damage_at_all_is_noticed(intents: tuple[Intent, ...], data: st.DataObject) -> None:
    good = b"".join(storefile.encode(held(7, *intents)))
    place = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from(
            [
                good[:place],
                good[:place] + bytes([good[place] ^ (1 << data.draw(st.integers(0, 7)))]) + good[place + 1 :],
                good[:place] + good[place + 1 :],
                good[:place] + b"\0" * (len(good) - place),
                good + good[place:],
            ]
        )
    )
    with pytest.raises(storefile.Damaged):
        storefile.decode(io.BytesIO(bad))


def saved(folder: Path, *sets: Held) -> list[Path]:
    store = DesiredStore(folder)
    store.load()
    for one in sets:
        store.save(one)
    return sorted(folder.glob("desired-*.jsonl"))


def test_a_damaged_newest_file_leaves_the_one_before_it_and_is_set_aside(tmp_path: Path) -> None:
    newest = saved(tmp_path, OLD, NEW)[-1]
    newest.write_bytes(newest.read_bytes()[:-10])
    found = DesiredStore(tmp_path).load()
    assert found.held.intents == OLD.intents
    assert found.whole
    assert len(found.faults) == 1
    assert "checksum" in found.faults[0]
    assert (tmp_path / newest.name.replace("desired", "damaged")).exists()


def test_a_damaged_file_still_tells_which_generation_was_accepted(tmp_path: Path) -> None:
    newest = saved(tmp_path, OLD, NEW)[-1]
    newest.write_bytes(newest.read_bytes()[:-10])
    found = DesiredStore(tmp_path).load()
    assert (found.held.owner, found.held.generation, found.held.digest) == ("main", 2, OLD.digest)


def test_the_damage_is_told_until_a_set_is_stored(tmp_path: Path) -> None:
    newest = saved(tmp_path, OLD, NEW)[-1]
    newest.write_bytes(b"")
    assert DesiredStore(tmp_path).load().faults
    again = DesiredStore(tmp_path)
    assert again.load().faults
    again.save(held(3))
    found = DesiredStore(tmp_path).load()
    assert (found.held, found.faults) == (held(3), ())


def test_with_every_copy_damaged_what_it_was_is_unknown_not_empty(tmp_path: Path) -> None:
    for path in saved(tmp_path, OLD, NEW):
        path.write_bytes(b"nothing of ours\n")
    found = DesiredStore(tmp_path).load()
    assert not found.whole
    assert len(found.faults) == 2
    assert found.held == Held()


def test_an_empty_folder_is_a_fresh_agent(tmp_path: Path) -> None:
    found = DesiredStore(tmp_path).load()
    assert (found.held, found.faults, found.whole) == (Held(), (), True)


def test_a_file_that_cannot_be_read_stays_where_it_is(tmp_path: Path) -> None:
    newest = saved(tmp_path, OLD, NEW)[-1]

    class Unreadable(Disk):
        def reading(self, path: Path):  # type: ignore[no-untyped-def] # noqa: ANN202 - fails before it gives anything
            if path == newest:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().reading(path)

    found = DesiredStore(tmp_path, Unreadable()).load()
    assert found.held == OLD
    assert "Input/output error" in found.faults[0]
    assert DesiredStore(tmp_path).load().held == NEW


def test_a_link_planted_for_the_next_file_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (folder / "desired-000000000001.unfinished").symlink_to(victim)
    (folder / "desired-000000000009.jsonl").symlink_to(victim)
    store = DesiredStore(folder)
    assert store.load().faults
    store.save(NEW)
    assert victim.read_text() == "precious"
    assert DesiredStore(folder).load().held == NEW


def test_stored_sets_are_for_the_agent_alone(tmp_path: Path) -> None:
    for path in saved(tmp_path, OLD, NEW):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_sets_are_kept_and_no_more(tmp_path: Path) -> None:
    assert len(saved(tmp_path, *(held(generation) for generation in range(1, 9)))) == 2


def test_damaged_files_do_not_pile_up(tmp_path: Path) -> None:
    for generation in range(1, 12):
        newest = saved(tmp_path, held(generation))[-1]
        newest.write_bytes(b"")
    saved(tmp_path, held(99))
    assert len(list(tmp_path.iterdir())) <= 2 + 3


def test_a_revert_is_remembered_until_it_is_taken_back(tmp_path: Path) -> None:
    store = DesiredStore(tmp_path)
    assert not store.reverted()
    store.mark_reverted(True)
    store.mark_reverted(True)
    assert DesiredStore(tmp_path).reverted()
    store.mark_reverted(False)
    assert not DesiredStore(tmp_path).reverted()


@pytest.mark.parametrize("at", range(6))
def test_a_probe_tells_and_leaves_nothing(tmp_path: Path, at: int) -> None:
    store = DesiredStore(tmp_path, Steps(at, _raise(errno.ENOSPC)))
    with pytest.raises(NotStored, match="No space left"):
        store.probe()
    store.probe()
    assert list(tmp_path.iterdir()) == []
