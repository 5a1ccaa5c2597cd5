"""A power cut at any step of a save, on a disk that keeps what it was told to sync, and of the rest what it likes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from store_steps import NEW, OLD, held

from gthulhu_agent.disk import Disk
from gthulhu_agent.state import Held
from gthulhu_agent.store import DesiredStore


class PowerCut(BaseException):
    """Nothing handles it: no code runs after a power cut."""


@dataclass
class File:
    """What a process sees, and what is on the medium for sure."""

    content: bytes = b""
    synced: bytes = b""


Names = dict[str, File]


@dataclass
class Medium(Disk):
    """A folder in memory, as fsync(2) lets a file system be: names last after a sync of the folder, bytes of the file.

    ``left`` is how many steps go well before the power is cut.
    """

    left: int = -1
    live: Names = field(default_factory=dict)
    durable: Names = field(default_factory=dict)
    pending: list[Callable[[Names], None]] = field(default_factory=list)
    open_files: dict[int, File] = field(default_factory=dict)
    steps: int = 0
    dead: bool = False

    def _step(self) -> None:
        if self.dead or self.left == 0:
            self.dead = True
            raise PowerCut
        self.left -= 1
        self.steps += 1

    def _name(self, change: Callable[[Names], None]) -> None:
        change(self.live)
        self.pending.append(change)

    def create(self, path: Path) -> int:
        """A new name for a new file."""
        self._step()
        if path.name in self.live:
            raise FileExistsError(path)
        file = File()
        self._name(lambda names: names.__setitem__(path.name, file))
        self.open_files[self.steps] = file
        return self.steps

    def write(self, fd: int, data: bytes) -> None:
        """Seen at once, on the medium some day."""
        self._step()
        self.open_files[fd].content += data

    def sync(self, fd: int) -> None:
        """The bytes are on the medium."""
        self._step()
        file = self.open_files[fd]
        file.synced = file.content

    def close(self, fd: int) -> None:
        """Syncs nothing."""
        self._step()
        del self.open_files[fd]

    def rename(self, source: Path, target: Path) -> None:
        """Both names at once, on the medium some day."""
        self._step()
        file = self.live[source.name]

        def change(names: Names) -> None:
            names.pop(source.name, None)
            names[target.name] = file

        self._name(change)

    def sync_directory(self, path: Path) -> None:  # noqa: ARG002 - there is one folder
        """The names are on the medium."""
        self._step()
        self.durable = dict(self.live)
        self.pending.clear()

    def remove(self, path: Path) -> None:
        """The name goes, on the medium some day."""
        self._step()

        def change(names: Names) -> None:
            names.pop(path.name, None)

        self._name(change)

    def names(self, path: Path) -> list[str]:  # noqa: ARG002 - there is one folder
        """As a process sees them."""
        return list(self.live)

    @contextmanager
    def reading(self, path: Path) -> Iterator[BinaryIO]:
        """As a process sees it."""
        yield BytesIO(self.live[path.name].content)

    def after_the_cut(self, data: st.DataObject, folder: Path) -> None:
        """Write to ``folder`` one of the states in which such a disk may come back."""
        names = dict(self.durable)
        for change in self.pending:
            if data.draw(st.booleans()):
                change(names)
        for name, file in names.items():
            content = file.synced
            if file.synced != file.content:
                kept = data.draw(st.integers(0, len(file.content)))
                zeros = b"\0" * data.draw(st.integers(0, len(file.content) - kept))
                content = data.draw(st.sampled_from([file.synced, file.content[:kept] + zeros]))
            (folder / name).write_bytes(content)


def medium_with(*sets: Held) -> Medium:
    medium = Medium()
    store = DesiredStore(Path("state"), medium)
    for one in sets:
        store.save(one)
    return medium


def found_after(medium: Medium, data: st.DataObject) -> tuple[Held, tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        medium.after_the_cut(data, Path(folder))
        store = DesiredStore(Path(folder))
        found = store.load()
        store.save(held(9))
        assert DesiredStore(Path(folder)).load().held == held(9)
        return found.held, found.faults


STEPS_OF_A_SAVE = medium_with(held(0), OLD, NEW).steps - medium_with(held(0), OLD).steps


@given(st.data(), st.integers(0, STEPS_OF_A_SAVE))
def test_a_power_cut_at_any_step_leaves_the_former_set_or_the_new_one_whole(data: st.DataObject, good: int) -> None:
    medium = medium_with(held(0), OLD)
    store = DesiredStore(Path("state"), medium)
    store.load()
    medium.left = good
    acknowledged = False
    try:
        store.save(NEW)
        acknowledged = True
    except PowerCut:
        pass
    found, faults = found_after(medium, data)
    assert faults == ()
    assert found in ((NEW,) if acknowledged else (OLD, NEW))


def check_a_first_set(data: st.DataObject) -> None:
    medium = Medium()
    medium.left = data.draw(st.integers(0, STEPS_OF_A_SAVE))
    acknowledged = False
    try:
        DesiredStore(Path("state"), medium).save(NEW)
        acknowledged = True
    except PowerCut:
        pass
    found, faults = found_after(medium, data)
    assert faults == ()
    assert found in ((NEW,) if acknowledged else (Held(), NEW))


@given(st.data())
def test_a_first_set_is_there_or_was_never_acknowledged(data: st.DataObject) -> None:
    check_a_first_set(data)


@pytest.mark.parametrize("forgotten", ["sync", "sync_directory"])
def test_the_model_notices_a_sync_that_was_forgotten(forgotten: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Medium, forgotten, lambda _self, _what: None)
    check = given(st.data())(check_a_first_set)
    with pytest.raises(AssertionError):
        settings(phases=[Phase.generate], database=None)(check)()
