"""The kernel's files of a thread's counters, as they are, and as a hostile thread would have them."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest
from usage_world import process_of, thread_of

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.usage.counts import Counts, parse_sched, parse_schedstat, parse_status
from gthulhu_agent.usage.reading import ProcReader

SCHED = b"""cat (20602, #threads: 1)
-------------------------------------------------------------------
se.exec_start                                :      11936422.774468
se.sum_exec_runtime                          :             0.000000
se.nr_migrations                             :                    4
nr_migrations_cold                           :                   99
nr_switches                                  :                    8
nr_voluntary_switches                        :                    5
nr_involuntary_switches                      :                    3
"""


def test_the_lines_that_count_are_found() -> None:
    assert parse_schedstat(b"201038074 43184598 734\n") == (201038074, 43184598, 734)
    assert parse_sched(SCHED) == (5, 3, 4)
    assert parse_status(b"Name:\tcat\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t2\n") == (7, 2)


@pytest.mark.parametrize("text", [b"", b"1 2", b"1 2 3 4", b"a b c"])
def test_what_is_no_schedstat_is_an_error(text: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_schedstat(text)


def test_what_a_kernel_does_not_tell_is_none() -> None:
    assert parse_sched(SCHED.replace(b"se.nr_migrations", b"se.something")) is None
    assert parse_sched(b"") is None
    assert parse_status(b"Name:\tcat\n") is None


def test_a_thread_cannot_name_itself_into_its_counters() -> None:
    hostile = b"x\nse.nr_migra: (20602, #threads: 1)\nnr_voluntary: 9\n" + SCHED
    assert parse_sched(hostile) == (5, 3, 4)


def test_counters_that_were_set_back_take_nothing_away() -> None:
    assert Counts(5, 5, 5, 5, 5, 5).since(Counts(9, 1, 5, 6, 0, 0)) == Counts(0, 4, 0, 0, 5, 5)


def test_a_live_thread_is_read_with_all_its_switches() -> None:
    done = threading.Event()
    tid: list[int] = []

    def work() -> None:
        tid.append(threading.get_native_id())
        for _ in range(20):
            done.wait(0.001)
        done.wait(30)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        while not tid:
            done.wait(0.001)
        thread = thread_of(tid[0], os.getpid()).id
        before = ProcReader().read(os.getpid(), thread, None)
        assert before is not None
        while before.voluntary < 20:
            done.wait(0.001)
            before = ProcReader().read(os.getpid(), thread, before) or before
        assert before.cpu > 0
        assert before.runs >= 20
    finally:
        done.set()
        worker.join()
    while ProcReader().lives(thread):
        done.wait(0.001)  # join() returns a moment before the kernel has taken the thread away
    assert ProcReader().read(os.getpid(), thread, before) is None


def test_a_thread_that_did_not_run_is_not_read_again() -> None:
    with subprocess.Popen(["sleep", "60"]) as child:
        try:
            thread = process_of(child.pid).id
            reader = ProcReader()
            before = reader.read(child.pid, thread, None)
            while (now := reader.read(child.pid, thread, before)) is not before:
                before = now  # until it sleeps
            assert now is not None
        finally:
            child.kill()


def test_a_reused_number_is_another_thread() -> None:
    pid = os.getpid()
    thread = thread_of(pid).id
    assert ProcReader().read(pid, thread, None) is not None
    earlier = TaskId(thread.tid, thread.start - 1)
    assert ProcReader().read(pid, earlier, None) is None
    assert ProcReader().lives(thread)
    assert not ProcReader().lives(earlier)
    assert not ProcReader().lives(TaskId(0, 1))


def test_kernels_without_the_sched_file_tell_all_but_migrations(tmp_path: Path) -> None:
    task = tmp_path / "5/task/5"
    task.mkdir(parents=True)
    (task / "schedstat").write_text("10 20 30\n")
    (task / "status").write_text("Name:\tx\nvoluntary_ctxt_switches:\t4\nnonvoluntary_ctxt_switches:\t2\n")
    (task / "stat").write_text("5 (x) S " + " ".join(["0"] * 18) + " 77 " + " ".join(["0"] * 30))
    assert ProcReader(tmp_path).read(5, TaskId(5, 77), None) == Counts(10, 20, 30, 4, 2, 0)
