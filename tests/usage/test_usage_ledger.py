"""What pods have used: over all threads, never less than before, once a pod, and gone with it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from usage_world import FakeReader, myself, pods, process, read

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.usage.counts import NOTHING, Counts
from gthulhu_agent.usage.ledger import Ledger
from gthulhu_agent.usage.reading import ProcReader


def every(number: int) -> Counts:
    return Counts(*[number] * 6)


def tid(number: int, start: int = 7) -> TaskId:
    return TaskId(number, start)


def test_w17_worker_threads_count_and_not_only_their_leader() -> None:
    reader = FakeReader({tid(1): every(1), tid(2): every(10), tid(3): every(100)})
    assert read(Ledger(reader), pods(a=(process(1, 2, 3),))) == {"a": every(111)}


def test_w15_a_counter_does_not_fall_when_a_process_ends() -> None:
    reader = FakeReader({tid(1): every(5), tid(2): every(50)})
    ledger = Ledger(reader)
    assert read(ledger, pods(a=(process(1), process(2)))) == {"a": every(55)}
    del reader.counts[tid(2)]
    reader.counts[tid(1)] = every(6)
    assert read(ledger, pods(a=(process(1),))) == {"a": every(56)}
    assert read(ledger, pods(a=())) == {"a": every(56)}


def test_a_reused_pid_adds_to_what_its_former_owner_had() -> None:
    reader = FakeReader({tid(1): every(50)})
    ledger = Ledger(reader)
    read(ledger, pods(a=(process(1),)))
    reader.counts = {tid(1, 9): every(3)}
    assert read(ledger, pods(a=(process(1, start=9),))) == {"a": every(53)}


def test_what_a_pod_had_goes_with_it() -> None:
    reader = FakeReader({tid(1): every(50)})
    ledger = Ledger(reader)
    read(ledger, pods(a=(process(1),)))
    assert read(ledger, pods()) == {}
    reader.counts[tid(1)] = every(51)
    assert read(ledger, pods(a=(process(1),))) == {"a": every(51)}
    assert ledger.threads_of("gone") == ()


def test_what_could_not_be_seen_for_a_moment_is_not_counted_twice() -> None:
    reader = FakeReader({tid(1): every(50), tid(2): every(5)})
    ledger = Ledger(reader)
    read(ledger, pods(a=(process(1), process(2)), b=(process(2),)))
    assert read(ledger, pods(("unreadable",), a=(process(1),))) == {"a": every(55)}
    reader.counts[tid(2)] = every(6)
    assert read(ledger, pods(a=(process(1), process(2)), b=(process(2),))) == {"a": every(56), "b": every(6)}


def test_what_cannot_be_seen_for_ever_does_not_pile_up() -> None:
    reader, ledger = FakeReader(), Ledger(FakeReader())
    ledger = Ledger(reader)
    for number in range(50):
        reader.counts = {tid(number): every(1)}
        read(ledger, pods(("unreadable",), **{f"pod{number}": (process(number),)}))
    assert len(ledger._accounts) == 1


def test_a_thread_that_cannot_be_read_keeps_what_was_known() -> None:
    reader = FakeReader({tid(1): every(5)})
    ledger = Ledger(reader)
    read(ledger, pods(a=(process(1),)))
    reader.unreadable.add(tid(1))
    assert read(ledger, pods(a=(process(1),))) == {"a": every(5)}
    assert ledger.usage.unreadable == 1
    reader.unreadable.clear()
    reader.counts[tid(1)] = every(8)
    assert read(ledger, pods(a=(process(1),))) == {"a": every(8)}


def test_pause_containers_are_left_out() -> None:
    reader = FakeReader({tid(1): every(5)})
    ledger = Ledger(reader)
    assert read(ledger, pods(a=(process(1, comm="pause"),))) == {"a": NOTHING}
    assert [(pod.processes, pod.threads) for pod in ledger.usage.pods] == [(0, 0)]


def test_who_is_over_the_limit_is_left_out_and_counted() -> None:
    reader = FakeReader({tid(number): every(1) for number in range(1, 9)})
    ledger = Ledger(reader, most=2)
    four = pods(a=(process(1),), b=(process(2),), c=(process(3),), d=(process(4),))
    assert list(read(ledger, four, "d")) == ["a", "d"]
    assert ledger.usage.left_out == 2
    # Who is measured stays, also when another becomes more important: its counters would begin anew later.
    assert list(read(ledger, four, "b", "c")) == ["a", "d"]
    assert list(read(ledger, pods(b=(process(2),), c=(process(3),), d=(process(4),)), "c")) == ["c", "d"]


def test_this_very_process_uses_the_cpu() -> None:
    ledger = Ledger(ProcReader())
    before = read(ledger, myself())["uid-1"]
    while (now := read(ledger, myself())["uid-1"]).cpu <= before.cpu:
        sum(range(10_000))
    assert now.runs >= before.runs > 0
    assert {one.process.id.tid for one in ledger.threads_of("uid-1")} == {os.getpid()}


def test_what_a_real_thread_used_stays_when_it_has_ended() -> None:
    ledger = Ledger(ProcReader())
    ready, gone = threading.Event(), threading.Event()

    def burn() -> None:
        sum(range(3_000_000))
        ready.set()
        gone.wait(30)

    worker = threading.Thread(target=burn)
    worker.start()
    ready.wait(30)
    both = read(ledger, myself())["uid-1"]
    gone.set()
    worker.join()
    while Path(f"/proc/self/task/{worker.native_id}").exists():
        time.sleep(0.001)  # join() returns a moment before the kernel has taken the thread away
    alone = read(Ledger(ProcReader()), myself())["uid-1"]
    after = read(ledger, myself())["uid-1"]
    assert alone.cpu < after.cpu
    assert all(now >= then for now, then in zip(after, both, strict=True))


STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.integers(1, 6), st.integers(0, 50), max_size=6),  # thread: what it adds
        st.booleans(),
    ),
    max_size=12,
)


@given(STEPS)
def test_no_pod_ever_has_less_than_before_nor_more_than_its_threads_ran(
    steps: list[tuple[dict[int, int], bool]],
) -> None:
    """Two pods; odd threads are of one, even ones of the other. A thread that is missing may be hidden or dead."""
    reader = FakeReader()
    ledger = Ledger(reader)
    really = {"odd": 0, "even": 0}
    told: dict[str, Counts] = {}
    for added, hidden in steps:
        if not hidden:
            reader.counts = {thread: known for thread, known in reader.counts.items() if thread.tid in added}
        for number, more in added.items():
            reader.counts[tid(number)] = every(reader.counts.get(tid(number), NOTHING).cpu + more)
            really["odd" if number % 2 else "even"] += more
        members = {
            name: tuple(process(number) for number in sorted(added) if bool(number % 2) is (name == "odd"))
            for name in really
        }
        found = read(ledger, pods(("hidden",) if hidden else (), **members))
        assert all(now >= then for uid in told for now, then in zip(found[uid], told[uid], strict=True))
        assert all(found[uid].cpu <= really[uid] for uid in found)
        told = found
