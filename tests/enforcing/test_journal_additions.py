"""The journal's third file: records that were added to a saved state."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, FakeKernel, wish

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.additions import MAX_BYTES, Additions
from gthulhu_agent.enforcing.journal import Journal, Memory
from gthulhu_agent.enforcing.records import Held, ThreadRecord

SLICE = 500_000


def record(number: int) -> ThreadRecord:
    return ThreadRecord(TaskId(number, 7), number, "/a", 5, ("u", "n", "p"), slice=Held(0, (SLICE,)))


def test_they_are_read_back_on_top_of_the_saved_state(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """Threads and weights."""
    agent.apply(wish(priority=5))
    kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE))
    new = kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(new), wish(time_slice_ns=SLICE, priority=5))
    memory, conditions = Journal(journal, "boot-1").load()
    assert conditions == ()
    assert memory == agent.enforcer._memory
    assert memory.cgroups[POD].weight == Held(79, (241,))


def test_those_of_another_boot_are_nobodys(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """The kernel forgot those values itself."""
    added(kernel, agent)
    assert Journal(journal, "boot-2").load() == (Memory(), ())


def test_a_later_state_leaves_them_behind(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """Even where the file was kept from going away."""
    added(kernel, agent)
    more = journal.with_name(journal.name + ".more")
    kept = more.read_bytes()
    agent.apply()
    assert not more.exists()
    more.write_bytes(kept)
    assert Journal(journal, "boot-1").load() == (Memory(), ())


def test_a_line_that_was_cut_short_was_never_acted_on(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """The kernel is written after the whole line."""
    added(kernel, agent)
    more = journal.with_name(journal.name + ".more")
    whole = agent.enforcer._memory.threads
    more.write_bytes(more.read_bytes() + b'1234abcd ["thread",')
    memory, conditions = Journal(journal, "boot-1").load()
    assert (memory.threads, conditions) == (whole, ())


def test_a_damaged_line_is_told(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """What followed it is not known."""
    added(kernel, agent)
    more = journal.with_name(journal.name + ".more")
    data = bytearray(more.read_bytes())
    data[-5] ^= 1
    more.write_bytes(data)
    memory, conditions = Journal(journal, "boot-1").load()
    assert len(memory.threads) == 1
    assert "damaged" in conditions[0]


def test_after_a_failed_write_the_whole_state_is_saved(
    kernel: FakeKernel, agent: Agent, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line may have been cut short, and what is added behind it would be damaged too."""
    kernel.spawn(APP, "upf")
    intent = wish(time_slice_ns=SLICE)
    agent.apply(intent)
    with monkeypatch.context() as patched:
        patched.setattr("os.write", lambda _descriptor, data: len(data) - 3)
        agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), intent)
    agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), intent)
    memory, conditions = Journal(journal, "boot-1").load()
    assert conditions == ()
    assert memory == agent.enforcer._memory
    assert len(memory.threads) == 3


def test_a_new_agent_adds_to_what_the_one_before_had_added(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """It began the file anew, and killed before its next save it left slices that nobody knew to be ours."""
    added(kernel, agent)
    intent = wish(time_slice_ns=SLICE)
    after = Agent(kernel, journal)
    after.hasten(after.tasks(kernel.spawn(APP, "upf")), intent)
    memory, conditions = Journal(journal, "boot-1").load()
    assert conditions == ()
    assert memory == after.enforcer._memory
    assert len(memory.threads) == 3


def test_a_disk_that_was_full_for_a_moment_costs_no_record_of_before(
    kernel: FakeKernel, agent: Agent, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first that was added afterwards began the file anew."""

    def full(_descriptor: int, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    added(kernel, agent)
    intent = wish(time_slice_ns=SLICE)
    with monkeypatch.context() as patched:
        patched.setattr("os.write", full)
        agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), intent)
    agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), intent)
    memory, conditions = Journal(journal, "boot-1").load()
    assert conditions == ()
    assert memory == agent.enforcer._memory
    assert len(memory.threads) == 3


def test_they_do_not_grow_for_ever(tmp_path: Path) -> None:
    """A whole state is saved instead."""
    additions = Additions(tmp_path / "more", "boot")
    records = [record(number) for number in range(20_000)]
    assert not additions.take("base", records, ())
    assert additions.take("base", records[:10], ())
    sizes = 0
    while additions.take("base", records[:1000], ()):
        sizes = (tmp_path / "more").stat().st_size
    assert sizes <= MAX_BYTES


def added(kernel: FakeKernel, agent: Agent) -> None:
    """A saved thread, and one that was added."""
    kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE))
    agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), wish(time_slice_ns=SLICE))
