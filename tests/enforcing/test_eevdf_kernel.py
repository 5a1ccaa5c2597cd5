"""The enforcer on this host's kernel: what is read back is what the kernel says, not what was written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from enforcing.fake_kernel import wish
from enforcing.real_kernel import DEADLINE, SLEEP, SPIN, Pods, until
from requirement import missing

from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.choose import eevdf
from gthulhu_agent.enforcing.eevdf import Eevdf
from gthulhu_agent.enforcing.priorities import scaled
from gthulhu_agent.enforcing.sched_attr import Policy

pytestmark = pytest.mark.kernel

THREADS = """
import sys, threading, time
open(sys.argv[1], "w").close()
while not __import__("os").path.exists(sys.argv[2]):
    time.sleep(0.01)
threading.Thread(target=time.sleep, args=(600,)).start()
__import__("subprocess").Popen([sys.executable, "-c", "import time; time.sleep(600)"])
time.sleep(600)
"""
KILLED = """
import sys
sys.path[:0] = sys.argv[1].split(":")
from pathlib import Path
from enforcing.fake_kernel import wish
from enforcing.real_kernel import Pods
from gthulhu_agent.enforcing.choose import eevdf
pods = Pods()
pods.root = sys.argv[2]
pods._made = sys.argv[3].split(":")
pods.apply(eevdf(journal=Path(sys.argv[4])), wish(priority=10, time_slice_ns=500_000, pod_uid=pods.uid("app")))
print("applied", flush=True)
import time; time.sleep(600)
"""


@pytest.fixture
def pods() -> Iterator[Pods]:
    """An empty place for pods."""
    with Pods() as made:
        yield made


@pytest.fixture
def enforcer(tmp_path: Path) -> Eevdf:
    """The enforcer over this host."""
    return eevdf(journal=tmp_path / "journal")


@pytest.fixture
def default_slice() -> int:
    """What a thread without a slice of its own reads back; 0 before Linux 6.12."""
    ability = sched_attr.ability()
    if not ability.custom_slice:
        missing("this kernel keeps no slice per thread; it needs Linux 6.12")
    return ability.default_slice_ns


def test_slice_and_weight_stand_in_the_kernel_and_go_back(pods: Pods, enforcer: Eevdf, default_slice: int) -> None:
    pid = pods.run(pods.pod("app"), SLEEP)
    weight = pods.weight(pods.pod_cgroup("app"))
    before = int(weight.read_text())
    intent = wish(priority=10, time_slice_ns=500_000, pod_uid=pods.uid("app"))
    (state,) = pods.apply(enforcer, intent).intents.values()
    assert state.enforced
    assert sched_attr.read(pid).slice_ns == 500_000
    assert int(weight.read_text()) == scaled(before, 10, 1, 2**18)
    assert state.effective == intent.terms.schedule
    assert enforcer.revert() == 2
    assert sched_attr.read(pid).slice_ns == default_slice
    assert int(weight.read_text()) == before
    assert enforcer.revert() == 0


def test_nice_within_a_container_stands_in_the_kernel_and_goes_back(pods: Pods, enforcer: Eevdf) -> None:
    container = pods.pod("app")
    chosen, other = pods.run(container, SLEEP, comm="chosen"), pods.run(container, SLEEP)
    os.setpriority(os.PRIO_PROCESS, chosen, 3)
    intent = wish(priority=5, command="^chosen$", pod_uid=pods.uid("app"))
    (state,) = pods.apply(enforcer, intent).intents.values()
    assert sched_attr.read(chosen).nice == os.getpriority(os.PRIO_PROCESS, chosen) == state.nice == -2
    assert sched_attr.read(other).nice == 0
    pods.apply(enforcer)
    assert sched_attr.read(chosen).nice == 3


def test_new_threads_and_children_follow(pods: Pods, enforcer: Eevdf, default_slice: int, tmp_path: Path) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    pods.run(pods.pod("app"), THREADS, str(ready), str(go))
    until(ready.exists, "the process does not start")
    intent = wish(time_slice_ns=500_000, pod_uid=pods.uid("app"))
    assert pods.apply(enforcer, intent).intents[intent.key].threads == 1
    go.touch()
    until(lambda: pods.apply(enforcer, intent).intents[intent.key].threads == 3, "they do not come")
    tids = [thread.id.tid for process in pods.snapshot().processes() for thread in process.threads]
    assert {sched_attr.read(tid).slice_ns for tid in tids} == {500_000}
    pods.apply(enforcer)
    assert {sched_attr.read(tid).slice_ns for tid in tids} == {default_slice}


def test_an_unmatched_child_loses_what_it_inherited(
    pods: Pods, enforcer: Eevdf, default_slice: int, tmp_path: Path
) -> None:
    ready, go = tmp_path / "ready", tmp_path / "go"
    pid = pods.run(pods.pod("app"), THREADS, str(ready), str(go), comm="chosen")
    until(ready.exists, "the process does not start")
    intent = wish(time_slice_ns=500_000, command="^chosen$", pod_uid=pods.uid("app"))
    pods.apply(enforcer, intent)
    go.touch()
    until(lambda: len(list(pods.snapshot().processes())) == 2, "the child does not come")
    (child,) = [process.id.tid for process in pods.snapshot().processes() if process.id.tid != pid]
    until(lambda: Path(f"/proc/{child}/comm").read_text() != "chosen\n", "the child does not exec")
    assert sched_attr.read(child).slice_ns == 500_000
    pods.apply(enforcer, intent)
    assert sched_attr.read(child).slice_ns == default_slice
    assert sched_attr.read(pid).slice_ns == 500_000


def test_policy_and_reset_on_fork_stay_as_they_are(pods: Pods, enforcer: Eevdf, default_slice: int) -> None:
    assert default_slice
    pid = pods.run(pods.pod("app"), SLEEP)
    os.sched_setscheduler(pid, os.SCHED_BATCH | os.SCHED_RESET_ON_FORK, os.sched_param(0))
    pods.apply(enforcer, wish(preempt=True, pod_uid=pods.uid("app")))
    assert sched_attr.read(pid).slice_ns == 100_000
    assert os.sched_getscheduler(pid) == os.SCHED_BATCH | os.SCHED_RESET_ON_FORK


@pytest.mark.parametrize("policy", [os.SCHED_IDLE, os.SCHED_FIFO])
def test_realtime_and_idle_threads_are_left_alone(pods: Pods, enforcer: Eevdf, policy: int) -> None:
    container = pods.pod("app")
    pid = pods.run(container, SLEEP)
    # RT_GROUP_SCHED refuses realtime inside of a v1 cgroup without a budget of its own, so it is taken outside.
    (pods.layout.root / "cgroup.procs").write_text(str(pid))
    os.sched_setscheduler(pid, policy, os.sched_param(1 if policy == os.SCHED_FIFO else 0))
    before = sched_attr.read(pid)
    try:
        (pods.layout.directory(container) / "cgroup.procs").write_text(str(pid))
    except OSError:
        with pytest.raises(OSError, match="Invalid argument"):
            sched_attr.write(pid, nice=0, slice_ns=500_000)
    else:
        (state,) = pods.apply(enforcer, wish(time_slice_ns=500_000, pod_uid=pods.uid("app"))).intents.values()
        assert Policy(policy).name in state.refused[0].why
        assert state.threads == 1
    finally:
        after = sched_attr.read(pid)
        os.kill(pid, signal.SIGKILL)
    assert after == before


def test_a_weight_that_somebody_writes_is_scaled_anew_and_is_what_comes_back(pods: Pods, enforcer: Eevdf) -> None:
    pods.run(pods.pod("app"), SLEEP)
    weight = pods.weight(pods.pod_cgroup("app"))
    intent = wish(priority=10, pod_uid=pods.uid("app"))
    pods.apply(enforcer, intent)
    weight.write_text("300")
    assert pods.apply(enforcer, intent).rebased == (pods.pod_cgroup("app"),)
    assert int(weight.read_text()) == scaled(300, 10, 1, 2**18)
    pods.apply(enforcer)
    assert int(weight.read_text()) == 300


def test_an_orphan_that_comes_back_does_not_multiply_its_weight(pods: Pods, tmp_path: Path) -> None:
    pods.run(pods.pod("app"), SLEEP)
    weight = pods.weight(pods.pod_cgroup("app"))
    before = int(weight.read_text())
    intent = wish(priority=-3, orphan=True, pod_uid=pods.uid("app"))
    for _ in range(3):
        pods.apply(eevdf(journal=tmp_path / "journal"), intent)
        pods.apply(eevdf(journal=tmp_path / "journal"))
        assert int(weight.read_text()) == scaled(before, -3, 1, 2**18)
    assert eevdf(journal=tmp_path / "journal").revert() == 1
    assert int(weight.read_text()) == before


@pytest.mark.parametrize("damaged", ["journal", "journal.last"])
def test_a_damaged_journal_costs_no_original(pods: Pods, tmp_path: Path, damaged: str) -> None:
    pods.run(pods.pod("app"), SLEEP)
    weight = pods.weight(pods.pod_cgroup("app"))
    before = int(weight.read_text())
    intent = wish(priority=10, pod_uid=pods.uid("app"))
    pods.apply(eevdf(journal=tmp_path / "journal"), intent)
    (tmp_path / damaged).write_bytes(b"\0" * 64)
    again = eevdf(journal=tmp_path / "journal")
    pods.apply(again, intent)
    assert int(weight.read_text()) == scaled(before, 10, 1, 2**18)
    again.revert()
    assert int(weight.read_text()) == before


def test_a_killed_enforcers_values_are_put_back_by_the_next(pods: Pods, tmp_path: Path, default_slice: int) -> None:
    pid = pods.run(pods.pod("app"), SLEEP)
    weight = pods.weight(pods.pod_cgroup("app"))
    before = int(weight.read_text())
    journal = tmp_path / "journal"
    arguments = [":".join(sys.path), pods.root, ":".join(pods._made), str(journal)]
    with subprocess.Popen([sys.executable, "-c", KILLED, *arguments], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"applied\n"
        child.kill()
    assert (sched_attr.read(pid).slice_ns, int(weight.read_text())) == (500_000, scaled(before, 10, 1, 2**18))
    again = eevdf(journal=journal)
    intent = wish(priority=10, time_slice_ns=500_000, pod_uid=pods.uid("app"))
    assert pods.apply(again, intent).intents[intent.key].enforced
    assert (again.stats().threads_set, again.stats().weights_set) == (0, 0)
    pods.apply(again)
    assert (sched_attr.read(pid).slice_ns, int(weight.read_text())) == (default_slice, before)


def test_weight_reaches_across_cgroups(pods: Pods, enforcer: Eevdf) -> None:
    """Three hogs on one CPU, each a pod: the chosen one's share of CPU time against the others', before and after."""
    cpu = max(os.sched_getaffinity(0))
    hogs = {name: pods.run(pods.pod(name), SPIN, cpu=cpu) for name in ("app", "b", "c")}
    for pid in hogs.values():
        until(lambda pid=pid: _cpu_time(pid) > 0, "a hog does not run")  # type: ignore[misc]  # bound now
    before = _ratio(hogs)
    pods.apply(enforcer, wish(priority=10, pod_uid=pods.uid("app")))
    assert _ratio(hogs) > 2 * before
    enforcer.revert()


def _ratio(hogs: dict[str, int]) -> float:
    """CPU time of the first against the mean of the others, over a second of theirs together."""
    begin = {name: _cpu_time(pid) for name, pid in hogs.items()}
    end = time.monotonic() + DEADLINE
    while True:
        spent = {name: _cpu_time(pid) - begin[name] for name, pid in hogs.items()}
        if sum(spent.values()) > 1_000_000_000:
            return spent["app"] / ((spent["b"] + spent["c"]) / 2)
        assert time.monotonic() < end, "the hogs get no CPU"
        time.sleep(0.05)


def _cpu_time(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
