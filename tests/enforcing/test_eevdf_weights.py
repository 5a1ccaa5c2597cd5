"""Which cgroup carries a priority, and whose weight is scaled, over a kernel in memory."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, Crash, FakeKernel, key, wish

from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_wire.intents import Schedule

SIDE = f"{POD}/side"


def test_a_whole_pod_gets_slice_and_weight_and_keeps_its_nice(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    state = agent.apply(wish(priority=10, time_slice_ns=5_000_000)).intents[key()]
    assert kernel.tasks[tid].slice_ns == 5_000_000
    assert kernel.tasks[tid].nice == 0
    assert kernel.tree[POD].weight == round(79 * 1.25**10)
    assert kernel.tree[APP].weight == 100
    assert state.enforced
    assert state.effective == Schedule(10, 5_000_000)
    assert (state.threads, state.processes, state.weight, state.nice) == (1, 1, 736, None)


def test_part_of_a_cgroup_is_ranked_by_nice_and_says_what_that_is_worth(kernel: FakeKernel, agent: Agent) -> None:
    upf, other = kernel.spawn(APP, "upf"), kernel.spawn(APP, "other")
    state = agent.apply(wish(priority=4, command="^upf$")).intents[key()]
    assert kernel.tasks[upf].nice == -4
    assert kernel.tasks[other].nice == 0
    assert kernel.tree[POD].weight == 79
    assert (state.nice, state.weight, state.effective) == (-4, None, Schedule(4))
    assert state.enforced
    assert [refused.what for refused in state.refused] == ["weight"]


def test_a_container_beside_an_unselected_one_carries_the_weight_itself(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    kernel.spawn(APP, "upf")
    kernel.spawn(SIDE, "envoy")
    agent.apply(wish(priority=10, containers=("app",)))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight, kernel.tree[SIDE].weight) == (79, 931, 100)


def test_a_pause_container_does_not_keep_the_weight_from_the_pod(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    kernel.spawn(APP, "upf")
    kernel.spawn(SIDE, "pause")
    agent.apply(wish(priority=10, containers=("app",)))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight) == (736, 100)


def test_the_weight_moves_down_when_a_stranger_appears_and_up_when_it_leaves(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, containers=("app",)))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight) == (736, 100)
    stranger = kernel.spawn(SIDE, "envoy")
    agent.apply(wish(priority=10, containers=("app",)))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight) == (79, 931)
    kernel.exit(stranger)
    agent.apply(wish(priority=10, containers=("app",)))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight) == (736, 100)


def test_the_kubelets_new_weight_is_scaled_and_is_what_comes_back(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10))
    kernel.tree[POD].weight = 20
    applied = agent.apply(wish(priority=10))
    assert applied.rebased == (POD,)
    assert kernel.tree[POD].weight == 186
    agent.apply()
    assert kernel.tree[POD].weight == 20


def test_the_kubelet_writing_the_same_again_is_noticed_and_scaled_again(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10))
    kernel.tree[POD].weight = 79
    assert agent.apply(wish(priority=10)).rebased == (POD,)
    assert kernel.tree[POD].weight == 736


def test_a_weight_that_somebody_else_keeps_writing_is_left_to_them_and_named(kernel: FakeKernel, agent: Agent) -> None:
    """Two writers answered each other at every scan, and no condition stood."""
    kernel.spawn(APP, "upf")
    calm = agent.apply(wish(priority=10))
    for weight in range(101, 111):
        kernel.tree[POD].weight = weight
        applied = agent.apply(wish(priority=10))
        assert (applied.rebased, applied.conditions) == ((POD,), calm.conditions)
    kernel.tree[POD].weight = 300
    kernel.writes.clear()
    for _ in range(2):
        applied = agent.apply(wish(priority=10))
        assert (kernel.writes, applied.rebased) == ([], ())
        assert POD in applied.conditions[0]
        state = applied.intents[key()]
        assert (state.enforced, state.weight) == (False, None)
        assert "keeps writing" in state.refused[0].why
        assert state.refused[0].cure
    kernel.seconds += 300
    applied = agent.apply(wish(priority=10))
    assert (applied.conditions, applied.intents[key()].enforced, kernel.tree[POD].weight) == ((), True, 2794)
    agent.enforcer.revert()
    assert kernel.tree[POD].weight == 300


def test_an_owner_who_writes_now_and_then_is_followed_every_time(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10))
    for weight in range(101, 121):
        kernel.seconds += 8
        kernel.tree[POD].weight = weight
        assert agent.apply(wish(priority=10)).conditions == ()
        assert kernel.tree[POD].weight == round(weight * 1.25**10)


def test_a_weight_left_to_somebody_else_goes_back_as_they_left_it(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    for weight in range(101, 113):
        kernel.tree[POD].weight = weight
        agent.apply(wish(priority=10))
    agent.apply()
    assert kernel.tree[POD].weight == 112


@pytest.mark.parametrize(("priority", "weight", "effective"), [(20, 10_000, 3), (-20, 58, -20)])
def test_weight_is_clamped_to_what_the_kernel_takes_and_the_state_says_so(
    kernel: FakeKernel, agent: Agent, priority: int, weight: int, effective: int
) -> None:
    kernel.spawn(APP, "upf")
    kernel.tree[POD].weight = 5000
    state = agent.apply(wish(priority=priority)).intents[key()]
    assert kernel.tree[POD].weight == weight
    assert state.effective == Schedule(effective)


def test_a_cgroup_made_anew_under_the_same_path_is_another_one_though_its_weight_is_the_same(
    kernel: FakeKernel, agent: Agent
) -> None:
    pid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10))
    kernel.exit(pid)
    kernel.make(POD, 736)
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10))
    assert kernel.tree[POD].weight == 6855
    agent.apply()
    assert kernel.tree[POD].weight == 736


def test_what_an_owner_wrote_after_us_is_not_overwritten_by_putting_back(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000))
    kernel.tasks[tid].slice_ns = 4_000_000
    kernel.tree[POD].weight = 500
    agent.apply()
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (4_000_000, 500)


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES, errno.EINVAL])
def test_a_refused_weight_is_said_and_nothing_is_remembered(kernel: FakeKernel, agent: Agent, number: int) -> None:
    kernel.spawn(APP, "upf")
    kernel.refuse = lambda what, _where, _value: number if what == "weight" else 0
    state = agent.apply(wish(priority=5)).intents[key()]
    assert not state.enforced
    assert state.weight is None
    assert state.effective == Schedule(0)
    assert [refused.what for refused in state.refused] == ["weight"]
    assert errno.errorcode[number] in state.refused[0].why
    assert state.refused[0].cure
    kernel.refuse = lambda _what, _where, _value: 0
    assert agent.enforcer.revert() == 0


def test_a_write_that_fails_in_its_reply_keeps_the_owners_weight(kernel: FakeKernel, agent: Agent) -> None:
    """PID 1 wrote while systemctl gave up: our weight was scaled again, and was what revert gave back."""
    kernel.spawn(APP, "upf")
    owner = kernel.tree[POD].weight

    def reply_is_lost(what: str, _where: object) -> None:
        if what == "weight":
            raise OSError(errno.EIO, "the reply was lost")

    kernel.after_write = reply_is_lost
    agent.apply(wish(priority=5))
    kernel.after_write = lambda _what, _where: None
    once = kernel.tree[POD].weight
    agent.apply(wish(priority=5))
    assert kernel.tree[POD].weight == once != owner
    agent.enforcer.revert()
    assert kernel.tree[POD].weight == owner


def test_a_kernel_before_6_12_gets_weight_only_and_says_so(kernel: FakeKernel, agent: Agent) -> None:
    kernel.custom_slice = False
    tid = kernel.spawn(APP, "upf")
    state = agent.apply(wish(priority=5, time_slice_ns=500_000)).intents[key()]
    assert kernel.tasks[tid].slice_ns == 0
    assert kernel.tree[POD].weight == 241
    assert state.effective == Schedule(5)
    assert state.enforced
    assert any(refused.what == "slice" and "6.12" in refused.cure for refused in state.refused)
    assert not agent.apply(wish(time_slice_ns=500_000)).intents[key()].enforced


def test_processes_that_share_their_cgroup_are_ranked_by_nice(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    kernel.make("/", None)
    kernel.tasks[tid].cgroup = "/"
    state = agent.apply(wish(priority=5, pod_uid=None, command="upf")).intents[key(pod_uid=None)]
    assert kernel.tasks[tid].nice == -5
    assert state.weight is None


def test_a_unit_is_weighted_through_systemd_and_back_to_having_no_weight_of_its_own(
    kernel: FakeKernel, agent: Agent
) -> None:
    kernel.make("/system.slice/db.service", unit="db.service")
    kernel.spawn("/system.slice/db.service", "postgres")
    agent.apply(wish(priority=10, pod_uid=None, units=("db.service",)))
    agent.apply()
    assert kernel.writes == [("unit", ("db.service", 931)), ("unit", ("db.service", None))]
    assert kernel.tree["/system.slice/db.service"].weight == 100


def test_a_protected_unit_beside_keeps_the_slice_from_carrying(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make("/system.slice/ssh.service", unit="ssh.service")
    kernel.spawn("/system.slice/ssh.service", "sshd")
    everything = wish(priority=5, pod_uid=None)
    applied = agent.apply(everything, units=("ssh.service",))
    assert applied.intents == {}
    assert kernel.writes == []


def test_declared_processes_need_no_cgroup_of_their_own(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5, preempt=True), kind=GroupKind.DECLARED)
    assert kernel.tasks[tid].slice_ns == 100_000


def test_a_crash_after_the_journal_and_before_the_kernel_is_no_rebase(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5))

    def crash(_what: str, _where: object) -> None:
        raise Crash

    kernel.before_write = crash
    with pytest.raises(Crash):
        agent.apply(wish(priority=10))
    kernel.before_write = lambda _what, _where: None
    again = Agent(kernel, journal)
    assert again.apply(wish(priority=10)).rebased == ()
    assert kernel.tree[POD].weight == 736
    again.apply()
    assert kernel.tree[POD].weight == 79


def test_where_sched_setattr_is_kept_away_the_weight_still_works(
    kernel: FakeKernel, agent: Agent, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(_self: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("enforcing.fake_kernel.FakeTasks.ability", no)
    kernel.spawn(APP, "upf")
    state = agent.apply(wish(priority=10, time_slice_ns=500_000)).intents[key()]
    assert kernel.tree[POD].weight == 736
    assert (state.threads, state.enforced, state.weight) == (1, False, 736)
    assert state.refused[0].what == "slice"
