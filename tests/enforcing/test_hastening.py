"""Between two applies new threads run as told, and nothing else changes."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, Crash, FakeKernel, wish

from gthulhu_agent.enforcing.journal import JournalError

SIDE = f"{POD}/side"
SLICE = 500_000


def test_a_new_thread_runs_as_told_and_the_next_apply_finds_nothing_to_do(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE, priority=5))
    new = kernel.spawn(APP, "upf")
    kernel.writes.clear()
    assert agent.hasten(agent.tasks(new), wish(time_slice_ns=SLICE, priority=5)) == 1
    assert kernel.tasks[new].slice_ns == SLICE
    assert kernel.writes == [("thread", new)]
    kernel.writes.clear()
    agent.apply(wish(time_slice_ns=SLICE, priority=5))
    assert kernel.writes == []
    assert agent.enforcer.stats().hastened == 1


def test_only_the_named_threads_are_set(kernel: FakeKernel, agent: Agent) -> None:
    agent.apply(wish(time_slice_ns=SLICE))
    one, other = kernel.spawn(APP, "upf"), kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(one), wish(time_slice_ns=SLICE))
    assert [kernel.tasks[tid].slice_ns for tid in (one, other)] == [SLICE, 0]


def test_what_is_held_no_more_stays_until_the_next_apply(kernel: FakeKernel, agent: Agent) -> None:
    former, new = kernel.spawn(APP, "upf"), kernel.spawn(APP, "amf")
    agent.apply(wish(time_slice_ns=SLICE, command="^upf$"))
    kernel.tasks[former].comm = "sh"
    agent.hasten(agent.tasks(former, new), wish(time_slice_ns=SLICE, command="^(upf|amf)$"))
    assert [kernel.tasks[tid].slice_ns for tid in (former, new)] == [SLICE, SLICE]
    agent.apply(wish(time_slice_ns=SLICE, command="^(upf|amf)$"))
    assert [kernel.tasks[tid].slice_ns for tid in (former, new)] == [0, SLICE]


def test_a_pod_that_carries_nothing_yet_gets_its_weight(kernel: FakeKernel, agent: Agent) -> None:
    agent.apply(wish(priority=5))
    new = kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(new), wish(priority=5))
    assert kernel.tree[POD].weight == 241
    agent.enforcer.revert()
    assert kernel.tree[POD].weight == 79


def test_a_weight_that_its_owner_wrote_again_is_the_next_applys(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5))
    kernel.tree[POD].weight = 500
    new = kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(new), wish(priority=5))
    assert kernel.tree[POD].weight == 500
    assert kernel.tasks[new].nice == 0  # its pod's cgroup carries the priority all the same


def test_a_cgroup_that_was_made_anew_is_another(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5))
    kernel.make(POD, 200)
    new = kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(new), wish(priority=5))
    assert kernel.tree[POD].weight != 200
    agent.enforcer.revert()
    assert kernel.tree[POD].weight == 200


def test_what_a_child_inherited_is_not_taken_for_its_owners(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf")
    intent = wish(time_slice_ns=SLICE)
    agent.apply(intent)
    child = kernel.fork(parent)
    assert agent.hasten(agent.tasks(child), intent) == 0
    agent.enforcer.revert()
    assert [kernel.tasks[tid].slice_ns for tid in (parent, child)] == [0, 0]


def test_what_a_child_inherited_across_cgroups_is_not_taken_for_its_owners(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE))
    child = kernel.fork(kernel.fork(parent, "sh"), "sh", SIDE)
    agent.hasten(agent.tasks(child), wish(time_slice_ns=SLICE))
    agent.enforcer.revert()
    assert kernel.tasks[child].slice_ns == 0


def test_hastened_threads_are_put_back_by_an_agent_that_starts_after_a_kill(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    kernel.spawn(APP, "upf")
    intent = wish(time_slice_ns=SLICE, priority=5)
    agent.apply(intent)
    new = kernel.spawn(APP, "upf", slice_ns=2_000_001)
    agent.hasten(agent.tasks(new), intent)
    after = Agent(kernel, journal)
    after.enforcer.revert()
    assert kernel.tasks[new].slice_ns == 2_000_001


def test_a_kill_right_before_the_kernel_is_written_loses_nothing(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    kernel.spawn(APP, "upf")
    intent = wish(time_slice_ns=SLICE)
    agent.apply(intent)
    new = kernel.spawn(APP, "upf", slice_ns=2_000_001)

    def killed(_what: str, _where: object) -> None:
        raise Crash

    kernel.after_write = killed
    with pytest.raises(Crash):
        agent.hasten(agent.tasks(new), intent)
    kernel.after_write = lambda _what, _where: None
    Agent(kernel, journal).enforcer.revert()
    assert kernel.tasks[new].slice_ns == 2_000_001


def test_one_new_thread_does_not_wait_for_the_whole_journal(
    kernel: FakeKernel, agent: Agent, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 10,000 threads that took 100 ms, and as long as the disk needed."""
    kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE))
    before = journal.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _descriptor: pytest.fail("synced"))
    new = kernel.spawn(APP, "upf")
    agent.hasten(agent.tasks(new), wish(time_slice_ns=SLICE))
    assert journal.read_bytes() == before
    assert kernel.tasks[new].slice_ns == SLICE


def test_what_cannot_be_remembered_is_not_set(
    kernel: FakeKernel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=SLICE))

    def full(*_arguments: object) -> None:
        raise JournalError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(agent.journal, "add", full)
    new = kernel.spawn(APP, "upf")
    assert agent.hasten(agent.tasks(new), wish(time_slice_ns=SLICE)) == 0
    assert kernel.tasks[new].slice_ns == 0


def test_bystanders_are_judged_once_also_when_others_are_hastened_between(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    bystander = kernel.spawn(APP, "sh")
    intent = wish(time_slice_ns=SLICE, command="^upf$")
    agent.apply(intent)
    agent.hasten(agent.tasks(kernel.spawn(APP, "upf")), intent)
    assert agent.enforcer._threads._judged == agent.tasks(bystander)
