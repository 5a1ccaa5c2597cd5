"""What the enforcer does by rule, what it refuses and what survives a crash, over a kernel in memory."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, FakeKernel, key, wish

from gthulhu_agent.enforcing.matching import bind
from gthulhu_wire.intents import Schedule

SIDE = f"{POD}/side"


def test_the_same_wish_again_writes_nothing(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, preempt=True))
    kernel.writes.clear()
    agent.apply(wish(priority=10, preempt=True))
    assert kernel.writes == []


def test_preempt_asks_for_the_shortest_slice_whatever_the_time_slice_says(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    state = agent.apply(wish(time_slice_ns=5_000_000, preempt=True)).intents[key()]
    assert kernel.tasks[tid].slice_ns == 100_000
    assert state.effective == Schedule(0, 100_000, preempt=True)


def test_a_policy_without_a_slice_leaves_the_applications_own(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf", slice_ns=2_000_000)
    agent.apply(wish(priority=5))
    assert kernel.tasks[tid].slice_ns == 2_000_000


def test_dropping_the_slice_from_a_policy_puts_only_the_slice_back(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5, time_slice_ns=500_000))
    agent.apply(wish(priority=5))
    assert kernel.tasks[tid].slice_ns == 0
    assert kernel.tree[POD].weight == round(79 * 1.25**5)


def test_two_priorities_in_one_pod_are_carried_by_its_containers(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    kernel.spawn(APP, "upf")
    kernel.spawn(SIDE, "envoy")
    agent.apply(wish(priority=10, containers=("app",)), wish("slow", rank=1, priority=-10))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight, kernel.tree[SIDE].weight) == (79, 931, 11)


def test_when_a_window_ends_the_next_in_rank_applies(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    intents = (wish(time_slice_ns=500_000, ends_at=100), wish("rest", rank=1, time_slice_ns=9_000_000))
    agent.apply(*intents, now=99)
    agent.apply(*intents, now=100)
    assert kernel.tasks[tid].slice_ns == 9_000_000


def test_a_refused_nice_does_not_cost_the_slice(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    kernel.spawn(APP, "other")
    kernel.refuse = lambda what, _where, _value: errno.EPERM if what == "nice" else 0
    state = agent.apply(wish(priority=5, time_slice_ns=500_000, command="upf")).intents[key()]
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (0, 500_000)
    assert not state.enforced
    refused = next(refused for refused in state.refused if refused.what == "nice")
    assert "EPERM" in refused.why
    assert "CAP_SYS_NICE" in refused.cure
    assert agent.enforcer.stats().by_refusal == {"nice": 1}


def test_without_the_cpu_controller_nice_is_what_remains(kernel: FakeKernel, agent: Agent) -> None:
    kernel.tree[POD].weight = None
    tid = kernel.spawn(APP, "upf")
    state = agent.apply(wish(priority=5)).intents[key()]
    assert kernel.tasks[tid].nice == -5
    assert (state.nice, state.weight) == (-5, None)


def test_a_nice_that_could_not_be_put_back_is_not_set(kernel: FakeKernel, agent: Agent) -> None:
    kernel.nice_back = False
    tid = kernel.spawn(APP, "upf")
    kernel.spawn(APP, "other")
    state = agent.apply(wish(priority=-5, command="upf")).intents[key()]
    assert kernel.tasks[tid].nice == 0
    assert not state.enforced
    assert any(refused.what == "nice" and "CAP_SYS_NICE" in refused.cure for refused in state.refused)


def test_a_bad_pattern_silences_its_own_intent_only(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    applied = agent.apply(wish("bad", command="(", time_slice_ns=500_000), wish("good", rank=1, preempt=True))
    assert kernel.tasks[tid].slice_ns == 100_000
    assert [refused.what for refused in applied.intents[key("bad")].refused] == ["pattern"]
    assert applied.intents[key("good")].refused == ()
    assert applied.intents[key("good")].enforced


def test_after_a_restart_with_the_same_wish_nothing_is_written_twice(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000))
    kernel.writes.clear()
    again = Agent(kernel, journal)
    assert again.apply(wish(priority=10, time_slice_ns=500_000)).intents[key()].enforced
    assert kernel.writes == []
    again.apply()
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (0, 79)


def test_what_ended_while_the_agent_was_away_is_put_back_at_its_start(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000))
    child = kernel.fork(parent)
    Agent(kernel, journal).apply()
    assert kernel.tasks[parent].slice_ns == kernel.tasks[child].slice_ns == 0
    assert kernel.tree[POD].weight == 79


def test_another_boots_journal_is_void(kernel: FakeKernel, agent: Agent, journal: Path) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    assert Agent(kernel, journal, boot="boot-2").enforcer.revert() == 0
    assert kernel.tasks[tid].slice_ns == 500_000


def test_without_room_for_the_journal_nothing_new_is_changed_and_what_holds_is_kept(
    kernel: FakeKernel, agent: Agent, journal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    kernel.tasks[tid].slice_ns = 0
    fresh = kernel.spawn(APP, "upf")
    applied = agent.apply(wish(priority=10, time_slice_ns=500_000))
    assert kernel.tasks[tid].slice_ns == 500_000, "the drift of what is remembered is still mended"
    assert kernel.tasks[fresh].slice_ns == 0
    assert kernel.tree[POD].weight == 79
    state = applied.intents[key()]
    assert not state.enforced
    assert any("cannot be remembered" in refused.why for refused in state.refused)
    assert any("No space left" in condition for condition in applied.conditions)
    monkeypatch.undo()
    assert agent.apply(wish(priority=10, time_slice_ns=500_000)).intents[key()].enforced
    assert agent.enforcer.revert() == 3
    assert journal.exists()


def test_what_an_incomplete_look_does_not_show_is_left_as_it_is(kernel: FakeKernel, agent: Agent) -> None:
    """One cgroup that could not be read for once lost its slice and weight until the next scan."""
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000))
    kernel.writes.clear()
    agent.enforcer.apply((), unsure={key()})
    assert kernel.writes == []
    agent.enforcer.apply(())
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (0, 79)


def test_what_an_incomplete_look_does_show_is_put_back(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    selected = wish(command="^upf$", time_slice_ns=500_000)
    agent.apply(selected)
    kernel.tasks[tid].comm = "other"
    bindings = bind((selected,), kernel.snapshot(), protected_units=(), self_pid=-1, now=0)
    agent.enforcer.apply(bindings, unsure={key()})
    assert kernel.tasks[tid].slice_ns == 0
