"""Changes of files are noticed whatever the kernel says, once they rest, and by resource."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gthulhu_reconcile.runtime.fingerprints import take
from gthulhu_reconcile.runtime.watching import Notices, Watch, inotify

NEVER = 3600.0


class Tree:
    """A directory of policies, a pod file and settings, and what a watch says of them."""

    def __init__(self, root: Path) -> None:
        self.policies = root / "policies"
        self.pods = root / "pods.yaml"
        self.settings = root / "settings" / "gthulhu.yaml"
        self.policies.mkdir()
        self.settings.parent.mkdir()
        (self.policies / "a.yaml").write_text("a")
        self.pods.write_text("pods")
        self.changes: asyncio.Queue[tuple[str, ...]] = asyncio.Queue()
        self.restarts: asyncio.Queue[str] = asyncio.Queue()

    def resources(self) -> Mapping[str, tuple[Path, ...]]:
        """What is watched."""
        return {"policies": (self.policies,), "pods": (self.pods,), "settings": (self.settings,)}

    @asynccontextmanager
    async def watched(
        self, *, settle: float = 0.05, scan: float = NEVER, notices: Notices = inotify
    ) -> AsyncIterator[Watch]:
        """A running watch, which listens already."""
        watch = Watch(
            self.resources,
            lambda names, _: self.changes.put_nowait(names),
            self.restarts.put_nowait,
            settle=lambda: settle,
            scan=lambda: scan,
            notices=notices,
        )
        task = asyncio.create_task(watch.run())
        await asyncio.sleep(0.2)
        try:
            yield watch
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


async def no_notices(directories: tuple[str, ...]) -> AsyncIterator[object]:
    assert directories
    raise OSError(24, "OS file watch limit reached")
    yield


def _replace_directory(tree: Tree) -> None:
    other = tree.policies.with_name("checkout")
    shutil.copytree(tree.policies, other)
    (other / "a.yaml").write_text("another")
    shutil.rmtree(tree.policies)
    other.rename(tree.policies)


def _save_like_an_editor(tree: Tree) -> None:
    fresh = tree.policies / ".a.yaml.swp"
    fresh.write_text("saved")
    fresh.replace(tree.policies / "a.yaml")


def _same_size_and_time(tree: Tree) -> None:
    path = tree.policies / "a.yaml"
    before = path.stat()
    path.write_text("b")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


EDITS: dict[str, tuple[Callable[[Tree], object], str]] = {
    "a file is written": (lambda tree: (tree.policies / "a.yaml").write_text("b"), "policies"),
    "a file is added": (lambda tree: (tree.policies / "b.yaml").write_text("b"), "policies"),
    "a file is deleted": (lambda tree: (tree.policies / "a.yaml").unlink(), "policies"),
    "an editor replaces a file": (_save_like_an_editor, "policies"),
    "git replaces the directory": (_replace_directory, "policies"),
    "the directory goes away": (lambda tree: shutil.rmtree(tree.policies), "policies"),
    "only the content differs": (_same_size_and_time, "policies"),
    "the pods are listed anew": (lambda tree: tree.pods.write_text("other pods"), "pods"),
    "a settings file appears": (lambda tree: tree.settings.write_text("owner: a"), "settings"),
}


@pytest.mark.parametrize("edit", EDITS)
async def test_every_kind_of_edit_is_noticed_by_the_kernels_notices_alone(tree: Tree, edit: str) -> None:
    act, resource = EDITS[edit]
    async with tree.watched():
        act(tree)
        assert await tree.changes.get() == (resource,)


@pytest.mark.parametrize("edit", EDITS)
async def test_every_kind_of_edit_is_noticed_without_any_notice(tree: Tree, edit: str) -> None:
    act, resource = EDITS[edit]
    async with tree.watched(scan=0.05, notices=no_notices):
        assert await tree.restarts.get() == "no-notices"
        act(tree)
        assert await tree.changes.get() == (resource,)


async def test_a_replaced_directory_is_listened_to_anew(tree: Tree) -> None:
    async with tree.watched():
        _replace_directory(tree)
        assert await tree.changes.get() == ("policies",)
        assert await tree.restarts.get() == "directories-changed"
        await asyncio.sleep(0.2)
        (tree.policies / "a.yaml").write_text("after the checkout")
        assert await tree.changes.get() == ("policies",)


async def test_a_new_subdirectory_is_listened_to(tree: Tree) -> None:
    async with tree.watched():
        (tree.policies / "team").mkdir()
        assert await tree.changes.get() == ("policies",)
        assert await tree.restarts.get() == "directories-changed"
        await asyncio.sleep(0.2)
        (tree.policies / "team" / "t.yaml").write_text("t")
        assert await tree.changes.get() == ("policies",)


async def test_a_file_written_piece_by_piece_is_one_change_at_its_end(tree: Tree) -> None:
    path = tree.policies / "slow.yaml"
    async with tree.watched(settle=0.25) as watch:
        with path.open("w") as file:
            for _ in range(10):
                file.write("piece\n")
                file.flush()
                await asyncio.sleep(0.02)
        assert await tree.changes.get() == ("policies",)
        rested = watch._seen.marks["policies"][str(path)]
        assert rested.size == path.stat().st_size
        await asyncio.sleep(0.3)
        assert tree.changes.empty()


async def test_nothing_is_told_where_nothing_changed(tree: Tree) -> None:
    async with tree.watched(scan=0.02):
        (tree.policies / "a.yaml").read_text()
        (tree.pods.parent / "unrelated.txt").write_text("next to the pod file")
        await asyncio.sleep(0.3)
        assert tree.changes.empty()


async def test_rest_waits_for_fresh_files_but_not_for_old_ones_nor_for_a_clock_that_was_set(tree: Tree) -> None:
    now = (tree.policies / "a.yaml").stat().st_ctime_ns
    looks: list[int] = []

    def at(age: float) -> Callable[[], int]:
        def wall() -> int:
            looks.append(1)
            return now + int((age + 10 * (len(looks) - 1)) * 1e9)

        return wall

    for age, expected in ((20.0, 1), (1.0, 2), (-100.0, 1)):
        looks.clear()
        ages = at(age)
        watch = Watch(
            lambda: {"policies": (tree.policies / "a.yaml",)},
            lambda _names, _when: None,
            lambda _reason: None,
            settle=lambda: 1.001,
            scan=lambda: NEVER,
            wall_ns=ages,
        )
        await watch.rest()
        assert len(looks) == expected


def test_a_fingerprint_of_what_is_not_there_is_empty_and_appears_with_it(tmp_path: Path) -> None:
    path = tmp_path / "later"
    before = take({"policies": (path,)})
    assert before.marks == {"policies": {}}
    assert str(tmp_path) in before.directories
    path.mkdir()
    assert take({"policies": (path,)}).changed(before) == ("policies",)


def test_links_are_followed_since_what_they_lead_to_is_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.yaml").write_text("a")
    link = tmp_path / "policies"
    link.symlink_to(tmp_path / "real")
    before = take({"policies": (link,)})
    (tmp_path / "real" / "a.yaml").write_text("longer")
    assert take({"policies": (link,)}).changed(before) == ("policies",)


def test_a_link_to_its_own_directory_does_not_run_for_ever(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path)
    assert len(take({"policies": (tmp_path,)}).marks["policies"]) < 100
