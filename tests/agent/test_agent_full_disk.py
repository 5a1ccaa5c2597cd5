"""A file system that is really full, really read-only and really comes back, under a whole agent."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_harness import desired, intent, running

pytestmark = pytest.mark.kernel


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A tmpfs of 256 KiB where the agent keeps its state."""
    folder = tmp_path / "state"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=0700", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write until there is no byte left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as stream:
        while stream.write(bytes(4096)):
            pass


def names(folder: Path) -> list[str]:
    return [path.suffix for path in folder.iterdir()]


async def test_a_full_disk_refuses_the_set_that_does_not_fit_and_takes_the_one_that_does(
    tmp_path: Path, small_disk: Path
) -> None:
    too_many = [intent(f"p{number}", pod=f"uid-{number}") for number in range(1000)]
    async with running(tmp_path) as agent:
        assert (await agent.put(desired(1, intent("web"))))[0] == 200
        status, refusal = await agent.put(desired(2, *too_many))
        assert (status, refusal["code"], refusal["holds"]["generation"]) == (507, "not-stored", 1)
        assert "No space left" in refusal["message"]
        assert (await agent.get("/v1/ready"))[0] == 503
        assert (await agent.put(desired(2, intent("web"), intent("db"))))[0] == 200
        assert (await agent.get("/v1/ready"))[0] == 200
    assert names(small_disk) == [".jsonl"] * 2
    async with running(tmp_path) as agent:
        assert (await agent.get("/v1/digest"))[1]["generation"] == 2


async def test_a_disk_without_a_byte_left_at_the_start_still_enforces(tmp_path: Path, small_disk: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
    fill(small_disk / "filler")
    async with running(tmp_path) as agent:
        await agent.next_pass()
        assert agent.kernel.enforced == {"web"}
        assert (await agent.put(desired(2)))[0] == 507
        (small_disk / "filler").unlink()
        assert (await agent.put(desired(2)))[0] == 200


async def test_a_remount_read_only_is_told_and_gone_with_the_next_remount(tmp_path: Path, small_disk: Path) -> None:
    async with running(tmp_path) as agent:
        await agent.put(desired(1, intent("web")))
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)  # noqa: ASYNC221 - takes no time
        status, refusal = await agent.put(desired(2))
        assert (status, "Read-only file system" in refusal["message"]) == (507, True)
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)  # noqa: ASYNC221 - takes no time
        assert (await agent.put(desired(2)))[0] == 200
