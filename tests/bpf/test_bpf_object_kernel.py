"""Objects and maps on the real kernel, and what is said of those that will not do."""

from __future__ import annotations

import atexit
import ctypes
import errno
import gc
import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from requirement import missing

from gthulhu_agent.bpf import object as objects
from gthulhu_agent.bpf.libbpf import Libbpf
from gthulhu_agent.bpf.maps import PerCpuCounters, RingBuffer
from gthulhu_agent.bpf.object import BpfObject, object_file
from gthulhu_agent.discovery.events.event import Watch
from gthulhu_agent.discovery.events.tracer import WATCH, Tracer
from gthulhu_agent.discovery.layout import find_layout
from gthulhu_agent.doctor import examine
from gthulhu_agent.errors import BpfError

pytestmark = pytest.mark.kernel

WRITING = """
#include "kernel.h"
#include <bpf/bpf_helpers.h>
char LICENSE[] SEC("license") = "GPL";
SEC("tp_btf/sched_process_exit")
int writing(__u64 *context) { *(volatile int *)context[0] = 1; return 0; }
"""


@pytest.fixture
def tracer() -> Iterator[BpfObject]:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    with BpfObject(Libbpf(), "tracer") as opened:
        yield opened


def test_a_table_keeps_what_it_is_given(tracer: BpfObject) -> None:
    tracer.load()
    table = tracer.map("watched")
    keys = [number.to_bytes(8, "little") for number in range(1, 50)]
    for key in keys:
        table.set(key, WATCH.pack(3, 0, 0, 0, 0, 0, 0))
    assert sorted(table) == sorted(keys)
    assert table.get(keys[7]) == WATCH.pack(3, 0, 0, 0, 0, 0, 0)
    assert table.remove(keys[7])
    assert not table.remove(keys[7])
    assert table.get(keys[7]) is None
    assert table.max_entries == 65536


@pytest.mark.parametrize(
    ("key", "value"), [(b"short", bytes(WATCH.size)), (bytes(8), bytes(WATCH.size - 1)), (bytes(9), bytes(WATCH.size))]
)
def test_bytes_of_another_length_never_reach_the_kernel(tracer: BpfObject, key: bytes, value: bytes) -> None:
    tracer.load()
    with pytest.raises(ValueError, match="map watched"):
        tracer.map("watched").set(key, value)


def test_counters_begin_at_nothing_and_other_indices_are_refused(tracer: BpfObject) -> None:
    tracer.load()
    counters = PerCpuCounters(Libbpf(), tracer.map("counters"))
    assert counters.total(0) == 0
    with pytest.raises(OSError, match="No such file"):
        counters.total(7)


def test_what_is_closed_says_so_and_does_not_end_the_process(tracer: BpfObject) -> None:
    tracer.load()
    ring = RingBuffer(Libbpf(), tracer.map("events"), 32)
    ring.close()
    tracer.close()
    for call in (lambda: ring.read(1), ring.fileno, tracer.load, tracer.attach, lambda: tracer.map("events")):
        with pytest.raises(ValueError, match="closed"):
            call()
    with pytest.raises(ValueError, match="closed"):
        tracer.tune({"hierarchy_id": 0})


FAR = 1 << 60
"""No cgroup of this host has come so far."""
IDS = st.dictionaries(st.integers(FAR, FAR + 12), st.sampled_from([Watch.THREADS, Watch.CGROUPS, Watch(3)]), max_size=8)


@given(st.lists(IDS, max_size=6))
@settings(max_examples=30)
def test_the_kernel_watches_what_was_asked_for_last_whatever_was_before(asked: list[dict[int, Watch]]) -> None:
    tracer = shared_tracer()
    for cgroups in asked:
        tracer.watch(cgroups)
        keys = {int.from_bytes(key, "little"): key for key in tracer._map}
        values = {number: tracer._map.get(key) for number, key in keys.items()}
        assert values == {number: WATCH.pack(flags, 0, 0, 0, 0, 0, 0) for number, flags in cgroups.items()}


@cache
def shared_tracer() -> Tracer:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    tracer = Tracer(find_layout())
    atexit.register(tracer.close)
    return tracer


def test_more_than_the_table_holds_is_refused_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = shared_tracer()
    asked.watch({})

    def full(_key: bytes, _value: bytes) -> None:
        raise OSError(errno.E2BIG, os.strerror(errno.E2BIG))

    monkeypatch.setattr(asked._map, "set", full)
    with pytest.raises(BpfError, match="watching 1 cgroups: Argument list too long") as told:
        asked.watch({1: Watch.THREADS})
    assert "65,536 cgroups" in told.value.cure


def test_constants_and_maps_that_are_not_in_the_object_are_named(tracer: BpfObject) -> None:
    with pytest.raises(BpfError, match="tracer has no constant colour"):
        tracer.tune({"colour": 3})
    with pytest.raises(BpfError, match="tracer has no map colours"):
        tracer.map("colours")


def test_constants_are_what_they_were_tuned_to(tracer: BpfObject) -> None:
    values = {"hierarchy_id": 4, "window_budget": 7, "window_births": 5, "window_length_ns": 1 << 40}
    tracer.tune(values)
    tracer.load()
    section = tracer.map(".rodata")
    data = section.get(bytes(4))
    assert data
    little = [data[at : at + size] for at, size in ((0, 4), (4, 4), (8, 4), (16, 8))]
    assert sorted(int.from_bytes(part, "little") for part in little) == sorted(values.values())


def test_an_object_that_was_not_built_is_told_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "OBJECTS", tmp_path)
    with pytest.raises(BpfError, match=r"tracer\.bpf\.o is not there") as told:
        BpfObject(Libbpf(), "tracer")
    assert "make bpf" in told.value.cure


def test_a_file_that_is_no_object_is_told_with_the_words_of_libbpf(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tracer.bpf.o").write_bytes(b"\x7fELF" + bytes(100))
    monkeypatch.setattr(objects, "OBJECTS", tmp_path)
    with pytest.raises(BpfError, match=r"opening tracer\.bpf\.o: ") as told:
        BpfObject(Libbpf(), "tracer")
    assert any("tracer.bpf.o" in line for line in told.value.log)
    assert "make bpf" in told.value.cure


def test_an_object_that_was_cut_off_was_ok_for_doctor(
    tracer: BpfObject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what said that it cannot be used sent people to doctor."""
    tracer.close()
    (tmp_path / "tracer.bpf.o").write_bytes(object_file("tracer").read_bytes()[:20_000])
    monkeypatch.setattr(objects, "OBJECTS", tmp_path)
    checks = {check.name: check for check in examine()}
    for name in ("bpf-object", "events-bpf"):
        assert not checks[name].ok
        assert "failed to get section names" in checks[name].why
        assert "make bpf" in checks[name].cure
        assert "doctor" not in checks[name].cure


def test_a_program_that_the_verifier_refuses_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    clang = next((found for name in ("clang-19", "clang") if (found := shutil.which(name))), None)
    if clang is None:
        missing("clang is not here: make bpf")
    folder = Path(__file__).resolve().parents[2] / "bpf"
    command = [clang, "-target", "bpf", "-O2", "-g", "-I", str(folder), "-x", "c", "-", "-c", "-o"]
    subprocess.run([*command, tmp_path / "writing.bpf.o"], input=WRITING.encode(), check=True)
    monkeypatch.setattr(objects, "OBJECTS", tmp_path)
    with BpfObject(Libbpf(), "writing") as refused, pytest.raises(BpfError, match="loading writing: ") as told:
        refused.load()
    assert any("only read is supported" in line for line in told.value.log), told.value.log
    assert capfd.readouterr().err == ""


def test_a_library_that_is_let_go_of_leaves_nobody_listening_at_its_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.bpf.o").write_bytes(b"not an object")
    monkeypatch.setattr(objects, "OBJECTS", tmp_path)
    first = Libbpf()
    del first
    gc.collect()
    library = Libbpf()
    Libbpf()
    gc.collect()
    with pytest.raises(BpfError, match=r"opening broken\.bpf\.o: BPF object format invalid") as told:
        BpfObject(library, "broken")
    assert told.value.log


def test_what_is_pinned_outlives_the_object(tracer: BpfObject, tmp_path: Path) -> None:
    # A mount of its own, so that nothing of the machine's is touched.
    libc = ctypes.CDLL(None, use_errno=True)
    place = os.fsencode(tmp_path)
    if libc.mount(b"bpf", place, b"bpf", 0, None) != 0:
        missing(f"bpffs cannot be mounted: {os.strerror(ctypes.get_errno())}")
    try:
        tracer.load()
        tracer.attach()
        tracer.pin(tmp_path)
        tracer.map("watched").pin(str(tmp_path / "watched"))
        with pytest.raises(BpfError, match="pinning"):
            tracer.pin(tmp_path)
        tracer.close()
        names = {path.name for path in tmp_path.iterdir()}
        assert {"watched", "tracer_fork", "tracer_exec", "tracer_exit", "tracer_rename", "tracer_moved"} <= names
    finally:
        libc.umount(place)
