"""The journal: what was written is what is read, or people are told."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, Crash, FakeKernel, wish
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.journal import Journal, JournalError, Memory, exists
from gthulhu_agent.enforcing.records import CgroupRecord, Held, ThreadRecord

_numbers = st.integers(0, 2**40)
_held = st.builds(Held, _numbers, st.lists(_numbers, min_size=1, max_size=3).map(tuple))
_keys = st.tuples(st.text(max_size=5), st.text(max_size=5), st.text(max_size=5))
_threads = st.builds(
    ThreadRecord,
    st.builds(TaskId, _numbers, _numbers),
    _numbers,
    st.text(st.characters(codec="utf-8"), max_size=9) | st.just("/odd\udcff"),
    _numbers,
    _keys,
    st.booleans(),
    st.none() | _held,
    st.none() | _held,
)
_cgroups = st.builds(
    CgroupRecord,
    st.text(max_size=9),
    _numbers,
    st.lists(_keys, max_size=2).map(tuple),
    _held,
    st.booleans(),
    st.text(max_size=9),
    st.booleans(),
)
_memories = st.builds(
    Memory,
    st.lists(_threads, max_size=4).map(lambda found: {record.id: record for record in found}),
    st.lists(_cgroups, max_size=4).map(lambda found: {record.path: record for record in found}),
)


def some(*tids: int) -> Memory:
    """A memory of threads."""
    records = (ThreadRecord(TaskId(tid, 7), tid, "/a", 5, ("u", "n", "p"), slice=Held(0, (1,))) for tid in tids)
    return Memory({record.id: record for record in records})


@given(_memories)
def test_what_is_saved_is_what_is_loaded(tmp_path_factory: pytest.TempPathFactory, memory: Memory) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    Journal(path, "boot").save(memory)
    assert Journal(path, "boot").load() == (memory, ())


def test_nothing_yet_is_nothing_and_no_news(tmp_path: Path) -> None:
    assert Journal(tmp_path / "journal", "boot").load() == (Memory(), ())


def test_an_unchanged_memory_is_not_written_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, "boot").save(some(1))
    journal = Journal(path, "boot")
    journal.load()
    before = path.stat().st_ino
    journal.save(some(1))
    assert path.stat().st_ino == before
    journal.save(some(1, 2))
    assert path.stat().st_ino != before


@pytest.mark.parametrize("damaged", ["journal", "journal.last"])
@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"gthulhu-journal-1 abc\n{}", b"\xff\xfe"])
def test_a_damaged_file_is_kept_aside_and_the_other_taken(tmp_path: Path, damaged: str, damage: bytes) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "boot")
    journal.save(some(1))
    journal.save(some(1, 2))
    (tmp_path / damaged).write_bytes(damage)
    again = Journal(path, "boot")
    memory, conditions = again.load()
    assert memory == some(1, 2)
    assert (tmp_path / f"{damaged}.damaged").read_bytes() == damage
    assert "was damaged" in conditions[0]
    assert "which is whole" in conditions[1]
    again.save(memory)
    assert path.read_bytes() == (tmp_path / "journal.last").read_bytes(), "both are whole again"


@pytest.mark.parametrize("damaged", ["journal", "journal.last"])
def test_a_damaged_file_is_no_reason_to_take_our_values_for_the_owners(
    kernel: FakeKernel, agent: Agent, journal: Path, damaged: str
) -> None:
    """The copy was one change behind: the newest priorities were applied twice and the originals lost."""
    tid = kernel.spawn(APP, "upf", nice=3, slice_ns=2_000_001)
    kernel.spawn(APP, "other")
    wishes = (wish("part", command="^upf$", priority=5, time_slice_ns=500_000), wish("rest", rank=1, priority=5))
    agent.apply(wishes[0])
    agent.apply(*wishes)

    def crash(_what: str, _where: object) -> None:
        raise Crash

    kernel.after_write = crash
    with pytest.raises(Crash):
        agent.apply(wish(priority=10, time_slice_ns=700_000))
    kernel.after_write = lambda _what, _where: None
    journal.with_name(damaged).write_bytes(b"\0" * 100)
    again = Agent(kernel, journal)
    again.apply(wish(priority=10, time_slice_ns=700_000))
    assert (kernel.tree[POD].weight, kernel.tasks[tid].slice_ns) == (736, 700_000)
    again.enforcer.revert()
    assert kernel.tree[POD].weight == 79
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (3, 2_000_001)


def test_a_journal_of_which_only_the_copy_is_left_is_there(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    """`revert` without a running agent looked for the newest file alone, and put nothing back."""
    kernel.spawn(APP, "upf")
    assert not exists(journal)
    agent.apply(wish(priority=10))
    journal.unlink()
    assert exists(journal)
    assert Agent(kernel, journal).enforcer.revert() == 1
    assert kernel.tree[POD].weight == 79


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, "boot").save(some(1))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    path.with_name("journal.last").write_bytes(data)
    memory, conditions = Journal(path, "boot").load()
    assert memory == Memory()
    assert "no good copy is left" in conditions[-1]


@pytest.mark.parametrize("at", range(3))
def test_a_disk_that_fails_at_any_step_loses_nothing_and_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "boot")
    journal.save(some(1))
    left = [at]
    sync = os.fsync

    def failing(descriptor: int) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(5, "Input/output error")
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", failing)
        with pytest.raises(JournalError, match="Input/output error"):
            journal.save(some(1, 2))
    assert Journal(path, "boot").load() == (some(1) if at < 2 else some(1, 2), ())
    journal.save(some(1))
    assert Journal(path, "boot").load() == (some(1), ())
    assert path.read_bytes() == path.with_name("journal.last").read_bytes()


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match="journal cannot be written"):
        Journal(tmp_path / "file" / "journal", "boot").save(some(1))


def test_the_file_is_for_its_owner_alone(tmp_path: Path) -> None:
    Journal(tmp_path / "journal", "boot").save(some(1))
    assert (tmp_path / "journal").stat().st_mode & 0o777 == 0o600


def test_it_is_on_disk_before_the_kernel_is_written(
    kernel: FakeKernel, agent: Agent, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.spawn(APP, "upf")
    order: list[str] = []
    monkeypatch.setattr("os.fsync", lambda _descriptor: order.append("fsync"))
    kernel.before_write = lambda what, _where: order.append(what)
    agent.apply(wish(priority=5, time_slice_ns=500_000))
    assert order[:5] == ["fsync", "fsync", "fsync", "weight", "thread"], "both files, their folder, then the kernel"
    assert Journal(journal, "boot-1").load()[0].cgroups[POD].weight == Held(79, (241,))


def test_forks_alone_cost_no_write_to_disk(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    before = journal.stat().st_ino
    kernel.fork(parent)
    agent.apply(wish(time_slice_ns=500_000))
    assert journal.stat().st_ino == before
