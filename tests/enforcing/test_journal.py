"""The journal: what was written is what is read, or people are told."""

from __future__ import annotations

from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, FakeKernel, wish
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.journal import Journal, JournalError, Memory
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


@pytest.mark.parametrize("damage", [b"", b"\0" * 100, b"gthulhu-journal-1 abc\n{}", b"\xff\xfe"])
def test_a_damaged_file_is_kept_aside_and_the_last_good_copy_taken(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "boot")
    journal.save(some(1))
    journal.save(some(1, 2))
    path.write_bytes(damage)
    memory, conditions = Journal(path, "boot").load()
    assert memory == some(1)
    assert (tmp_path / "journal.damaged").read_bytes() == damage
    assert "was damaged" in conditions[0]
    assert "last good copy" in conditions[1]


def test_one_flipped_bit_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    Journal(path, "boot").save(some(1))
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(data)
    memory, conditions = Journal(path, "boot").load()
    assert memory == Memory()
    assert "no good copy is left" in conditions[-1]


def test_a_crash_between_the_two_renames_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "journal"
    journal = Journal(path, "boot")
    journal.save(some(1))
    monkeypatch.setattr(Journal, "_keep_copy", lambda _self: (_ for _ in ()).throw(OSError(5, "Input/output error")))
    with pytest.raises(JournalError, match="Input/output error"):
        journal.save(some(1, 2))
    assert Journal(path, "boot").load() == (some(1), ())


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
    assert order[:4] == ["fsync", "fsync", "weight", "thread"], "the file, its folder, then the kernel"
    assert Journal(journal, "boot-1").load()[0].cgroups[POD].weight == Held(79, (241,))


def test_forks_alone_cost_no_write_to_disk(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    before = journal.stat().st_ino
    kernel.fork(parent)
    agent.apply(wish(time_slice_ns=500_000))
    assert journal.stat().st_ino == before
