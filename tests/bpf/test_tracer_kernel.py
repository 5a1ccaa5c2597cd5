"""The tracer on this machine's kernel: what it tells of watched cgroups, what not, and what when it is too much."""

from __future__ import annotations

import errno
import gc
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import ModuleType
from unittest.mock import Mock

import pytest
from requirement import missing
from traced_cgroups import DEADLINE, Cgroups, go, hear, lose, number, silent

from gthulhu_agent.bpf.object import object_file
from gthulhu_agent.discovery.events import connector
from gthulhu_agent.discovery.events import tracer as tracing
from gthulhu_agent.discovery.events.choose import open_way
from gthulhu_agent.discovery.events.event import Event, Kind, Watch
from gthulhu_agent.discovery.events.tracer import Budget, Tracer, hierarchy_id
from gthulhu_agent.discovery.layout import Layout, LayoutKind, find_layout
from gthulhu_agent.errors import AgentError, BpfError

pytestmark = pytest.mark.kernel

ALL = Watch.THREADS | Watch.CGROUPS
UNIFIED = Path("/sys/fs/cgroup/unified")
FORK = "import os; os.waitpid(os.fork() or os._exit(0), 0); print(flush=True); sys.stdin.readline()"
STORM = """
import os
for _ in range(int(sys.argv[1])):
    pid = os.fork()
    if not pid: os._exit(0)
    os.waitpid(pid, 0)
print(flush=True)
sys.stdin.readline()
"""
RENAMES = """
import ctypes
for _ in range(int(sys.argv[1])):
    ctypes.CDLL(None).prctl(15, b"renamed")
print(flush=True)
sys.stdin.readline()
ctypes.CDLL(None).prctl(15, b"again")
sys.stdin.readline()
"""
THREAD = """
import ctypes, threading
def work():
    ctypes.CDLL(None).prctl(15, b"worker")
thread = threading.Thread(target=work); thread.start()
print(thread.native_id, flush=True); thread.join()
"""
EXEC_IN_THREAD = """
import os, threading, time
print(flush=True)
def work():
    print(threading.get_native_id(), flush=True)
    os.execv("/bin/sleep", ["sleep", "600"])
threading.Thread(target=work).start()
time.sleep(600)
"""
FORK_IN_SILENCE = FORK.replace("print(flush=True)", "print('done', flush=True)")


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    with Cgroups(find_layout().root) as made:
        yield made


@pytest.fixture
def tracer() -> Iterator[Tracer]:
    with_budget = opened(Budget(events=1000, births=1000))
    yield with_budget
    with_budget.close()


def opened(budget: Budget, layout: Layout | None = None) -> Tracer:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    return Tracer(layout or find_layout(), budget=budget)


def kinds(events: list[Event], tid: int) -> list[Kind]:
    return [event.kind for event in events if event.tid == tid]


def descriptors() -> set[str]:
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def line(child: subprocess.Popen[bytes]) -> bytes:
    assert child.stdout
    return child.stdout.readline()


def test_the_life_of_a_process_is_told_with_its_cgroup(tracer: Tracer, cgroups: Cgroups) -> None:
    tracer.watch({number(cgroups.top): Watch.THREADS})
    child = cgroups.run(cgroups.top, "import os; os.execv('/bin/true', ['true'])")
    go(child)
    events = hear(tracer, lambda heard: Kind.EXIT in kinds(heard, child.pid))
    # A rename is the new program's name, which comes before the program.
    assert kinds(events, child.pid) == [Kind.RENAME, Kind.EXEC, Kind.EXIT]
    assert events[0] == Event(Kind.MOVED, tgid=child.pid, tid=0, cgroup=number(cgroups.top))
    assert all(event.tgid == child.pid and event.cgroup == number(cgroups.top) for event in events)


def test_threads_are_told_under_their_own_number(tracer: Tracer, cgroups: Cgroups) -> None:
    tracer.watch({number(cgroups.top): Watch.THREADS})
    child = cgroups.run(cgroups.top, THREAD)
    go(child)
    tid = int(line(child))
    events = hear(tracer, lambda heard: Kind.EXIT in kinds(heard, tid))
    assert kinds(events, tid) == [Kind.FORK, Kind.RENAME, Kind.EXIT]
    assert {event.tgid for event in events if event.tid == tid} == {child.pid}


def test_a_thread_that_executes_ends_under_its_former_number(tracer: Tracer, cgroups: Cgroups) -> None:
    tracer.watch({number(cgroups.top): Watch.THREADS})
    child = cgroups.run(cgroups.top, EXEC_IN_THREAD)
    go(child)
    line(child)
    tid = int(line(child))
    events = hear(tracer, lambda heard: Kind.EXEC in kinds(heard, child.pid))
    assert kinds(events, tid)[-1] is Kind.EXIT


def test_what_is_made_below_is_told_from_its_first_moment(tracer: Tracer, cgroups: Cgroups) -> None:
    tracer.watch({number(cgroups.top): ALL})
    container = cgroups.make("container")
    child = cgroups.run(container, FORK)
    go(child)
    events = hear(tracer, lambda heard: Kind.FORK in [event.kind for event in heard])
    assert events[0] == Event(Kind.CGROUP_MADE, cgroup=number(container), parent=number(cgroups.top))
    assert events[1] == Event(Kind.MOVED, tgid=child.pid, cgroup=number(container))


def test_what_was_below_before_is_told_too(tracer: Tracer, cgroups: Cgroups) -> None:
    deep = cgroups.make("a/b/c/d/e/f/g")
    tracer.watch({number(cgroups.top): ALL})
    cgroups.run(deep, FORK)
    events = hear(tracer, bool)
    assert events[0].cgroup == number(deep)


def test_the_nearest_watched_ancestor_counts(tracer: Tracer, cgroups: Cgroups) -> None:
    chosen, other = cgroups.make("chosen"), cgroups.make("other")
    tracer.watch({number(cgroups.top): Watch.CGROUPS, number(chosen): ALL})
    unheard = cgroups.run(other, FORK_IN_SILENCE)
    go(unheard)
    line(unheard)
    heard = cgroups.run(chosen, "")
    made = cgroups.make("other/new")
    events = hear(tracer, lambda heard: Kind.CGROUP_MADE in [event.kind for event in heard])
    assert events == [
        Event(Kind.MOVED, tgid=heard.pid, cgroup=number(chosen)),
        Event(Kind.CGROUP_MADE, cgroup=number(made), parent=number(other)),
    ]


def test_a_removed_cgroup_is_told_with_its_parent(tracer: Tracer, cgroups: Cgroups) -> None:
    gone = cgroups.make("gone")
    tracer.watch({number(gone): Watch.CGROUPS})
    expected = Event(Kind.CGROUP_GONE, cgroup=number(gone), parent=number(cgroups.top))
    gone.rmdir()
    assert hear(tracer, bool) == [expected]


def test_a_single_thread_that_moves_is_told_under_its_number(tracer: Tracer, cgroups: Cgroups) -> None:
    if find_layout().version != 1:
        missing("threads alone move freely in cgroup v1")
    to = cgroups.make("to")
    tracer.watch({number(to): Watch.THREADS})
    child = cgroups.run(cgroups.top, "")
    (to / "tasks").write_text(str(child.pid))
    assert hear(tracer, bool) == [Event(Kind.MOVED, tgid=child.pid, tid=child.pid, cgroup=number(to))]


def test_nobody_else_is_told_of_and_what_is_no_longer_watched_neither(tracer: Tracer, cgroups: Cgroups) -> None:
    other = cgroups.make("other")
    tracer.watch({number(cgroups.make("quiet")): ALL, number(other): ALL})
    tracer.watch({number(cgroups.top / "quiet"): ALL})
    child = cgroups.run(other, FORK_IN_SILENCE)
    go(child)
    assert line(child) == b"done\n"
    assert silent(tracer)
    assert tracer.read().events == ()


def test_a_number_of_another_hierarchy_is_not_taken_for_one_of_this(tracer: Tracer) -> None:
    if find_layout().root == UNIFIED or not UNIFIED.exists():
        missing("one hierarchy only")
    with Cgroups(UNIFIED) as elsewhere:
        tracer.watch({number(elsewhere.top): ALL})
        child = elsewhere.run(elsewhere.top, FORK_IN_SILENCE)
        elsewhere.make("below")
        go(child)
        assert line(child) == b"done\n"
    assert tracer.read().events == ()


def test_cgroup_v2_is_told_where_discovery_reads_that() -> None:
    if not UNIFIED.exists():
        missing("no cgroup v2 beside v1; where v2 is alone, the other tests are about it")
    layout = Layout(LayoutKind.V2, 2, UNIFIED)
    with closing(opened(Budget(), layout)) as tracer, Cgroups(UNIFIED) as cgroups:
        tracer.watch({number(cgroups.top): ALL})
        child = cgroups.run(cgroups.top, FORK)
        made = cgroups.make("below")
        go(child)
        events = hear(tracer, lambda heard: Kind.EXIT in [event.kind for event in heard])
        assert events[:2] == [
            Event(Kind.MOVED, tgid=child.pid, cgroup=number(cgroups.top)),
            Event(Kind.CGROUP_MADE, cgroup=number(made), parent=number(cgroups.top)),
        ]
        assert events[2].kind is Kind.FORK


@pytest.mark.parametrize(
    ("program", "kind", "told", "held_back"),
    [(RENAMES, Kind.CROWDED, 10, 1 + 50 - 10), (STORM, Kind.BUSY, 1 + 10, 50 * 2 - 10)],
    ids=["crowded", "busy"],
)
def test_a_crowded_cgroup_is_told_once_a_window_and_once_more_when_that_is_over(
    cgroups: Cgroups, program: str, kind: Kind, told: int, held_back: int
) -> None:
    with closing(opened(Budget(events=10, births=10, window=60))) as tracer:
        now = 1000.0
        tracer._clock = lambda: now
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, program, "50")
        go(child)
        line(child)
        crowded = Event(kind, cgroup=number(cgroups.top))
        events = tracer.read().events
        assert [event.kind for event in events].count(kind) == 1
        assert events[told] == crowded
        assert len(events) == told + 1
        assert tracer.tally().held_back == held_back
        # What happened after the word that it is crowded was told nobody, and the cgroup has fallen silent since.
        assert tracer.read().events == ()
        now += 60 * 1.2
        assert tracer.read().events == (crowded,)
        assert tracer.read().events == ()


def test_the_end_of_a_crowded_window_can_be_waited_for(cgroups: Cgroups) -> None:
    with closing(opened(Budget(events=1, window=0.05))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, RENAMES, "5")
        go(child)
        line(child)
        crowded = lambda heard: sum(event.kind is Kind.CROWDED for event in heard) >= 2  # noqa: E731 - one use
        hear(tracer, crowded)
        while select.select([tracer.fileno()], [], [], 0.5)[0]:
            tracer.read()
        assert silent(tracer)


def test_a_crowded_cgroup_takes_nothing_from_its_neighbour(cgroups: Cgroups) -> None:
    with closing(opened(Budget(events=10, window=60))) as tracer:
        crowd, calm = cgroups.make("crowd"), cgroups.make("calm")
        tracer.watch({number(crowd): Watch.THREADS, number(calm): Watch.THREADS})
        storm, fork = cgroups.run(crowd, STORM, "50"), cgroups.run(calm, FORK)
        for child in (storm, fork):
            go(child)
            line(child)
        told = [event.kind for event in tracer.read().events if event.cgroup == number(calm)]
        assert told == [Kind.MOVED, Kind.FORK, Kind.EXIT]


def test_an_exec_is_told_among_however_many_forks(cgroups: Cgroups) -> None:
    """Forks took the budget of their cgroup, so that an exec among them waited for a look at the crowd."""
    with closing(opened(Budget(events=10, births=10, window=60))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        storm = cgroups.run(cgroups.top, STORM, "50")
        go(storm)
        line(storm)
        child = cgroups.run(cgroups.top, "import os; os.execv('/bin/true', ['true'])")
        go(child)
        hear(tracer, lambda heard: Kind.EXEC in kinds(heard, child.pid))


def test_a_storm_of_forks_wakes_the_reader_once_a_window_and_leaves_nothing_unread(cgroups: Cgroups) -> None:
    """Each fork and exit woke the agent's loop: a third of its CPU time in a storm went into waking."""
    with closing(opened(Budget(events=10, births=100, window=0.4))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, STORM, "20")
        hear(tracer, bool)
        go(child)
        events: list[Event] = []
        reads = 0
        while sum(event.kind is Kind.EXIT for event in events) < 20:
            assert select.select([tracer.fileno()], [], [], DEADLINE)[0]
            events += tracer.read().events
            reads += 1
        assert [event.kind for event in events].count(Kind.FORK) == 20
        # One for the first of each window, one for the rest of the last; a slow machine begins a window more.
        assert reads <= 20


def test_what_finds_the_buffer_full_is_counted_and_told(cgroups: Cgroups) -> None:
    with closing(opened(Budget(events=1_000_000))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, RENAMES, "7000")
        go(child)
        line(child)
        room = 256 * 1024 // 40
        lost = lose(tracer).lost
        assert room - 1 <= 1 + 7000 - lost <= room + 1
        assert tracer.tally().lost == lost
        # It is told once, and hearing goes on.
        while not silent(tracer):
            assert tracer.read().lost == 0
        cgroups.run(cgroups.top, "")
        assert [event.kind for event in hear(tracer, bool)] == [Kind.MOVED]


def test_that_a_cgroup_is_crowded_is_told_when_there_is_room_again(cgroups: Cgroups) -> None:
    """The word found the buffer full and counted as said: what the cgroup did in the rest of the window was missed."""
    with closing(opened(Budget(events=7000, window=60))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, RENAMES, "7100")
        go(child)
        line(child)
        assert tracer.tally().held_back == 1 + 7100 - 7000
        while not silent(tracer):
            assert Kind.CROWDED not in [event.kind for event in tracer.read().events]
        go(child)
        assert hear(tracer, bool) == [Event(Kind.CROWDED, cgroup=number(cgroups.top))]


def test_one_read_is_bounded_and_the_rest_stays_readable(cgroups: Cgroups, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gthulhu_agent.discovery.events.tracer._MOST", 7)
    with closing(opened(Budget(events=1000, births=1000, window=60))) as tracer:
        tracer.watch({number(cgroups.top): Watch.THREADS})
        child = cgroups.run(cgroups.top, STORM, "10")
        go(child)
        line(child)
        sizes = []
        while not silent(tracer):
            sizes.append(len(tracer.read().events))
        assert sizes == [7, 7, 7]


def test_two_capabilities_are_enough() -> None:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    program = (
        "from gthulhu_agent.discovery.events.tracer import Tracer\n"
        "from gthulhu_agent.discovery.layout import find_layout\n"
        "Tracer(find_layout()).close()\n"
        "print('loaded')"
    )
    only = "-all,+bpf,+perfmon"
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    caps = [f"--inh-caps={only}", f"--ambient-caps={only}", f"--bounding-set={only}"]
    told = subprocess.run([*command, *caps, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (told.stdout, told.stderr) == ("loaded\n", "")


def test_without_capabilities_the_refusal_names_them() -> None:
    if not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    program = (
        "from gthulhu_agent.discovery.events.choose import open_events\n"
        "from gthulhu_agent.discovery.layout import find_layout\n"
        "print(open_events('bpf', find_layout()))"
    )
    command = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all"]
    told = subprocess.run([*command, sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.stdout.startswith("(None, ")
    assert "CAP_BPF and CAP_PERFMON" in told.stdout


def test_in_a_pid_namespace_the_numbers_would_be_others() -> None:
    program = (
        "from gthulhu_agent.discovery.events.choose import open_events\n"
        "from gthulhu_agent.discovery.layout import find_layout\n"
        "print(open_events('auto', find_layout()))"
    )
    told = subprocess.run(
        ["unshare", "--pid", "--fork", sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert "pid namespace of its own" in told.stdout
    assert "connector does not answer" in told.stdout


def test_closing_gives_everything_back() -> None:
    opened(Budget()).close()  # what is opened once and kept: the library's own
    before = descriptors()
    tracer = opened(Budget())
    tracer.close()
    tracer.close()
    assert descriptors() == before


@pytest.mark.parametrize(("way", "module"), [("bpf", tracing), ("connector", connector)])
def test_a_way_of_hearing_that_breaks_off_half_open_leaves_no_descriptor(
    way: str, module: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened(Budget()).close()
    monkeypatch.setattr(module, "Alarm", Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
    gc.collect()
    before = descriptors()
    with pytest.raises(AgentError, match="Too many open files") as broken:
        open_way(way, find_layout())
    assert descriptors() == before, broken  # what the error holds has let go already


def test_hierarchies_have_the_number_of_the_cpu_controller(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text("7:cpuset:/\n4:cpu,cpuacct:/a\n0::/\n")
    v1 = Layout(LayoutKind.V1, 1, Path("/sys/fs/cgroup/cpu"))
    assert hierarchy_id(v1, tmp_path) == 4
    assert hierarchy_id(Layout(LayoutKind.V2, 2, Path("/sys/fs/cgroup")), tmp_path) == 0
    (tmp_path / "self/cgroup").write_text("1:name=systemd:/\n")
    with pytest.raises(BpfError, match="not mounted"):
        hierarchy_id(v1, tmp_path)
