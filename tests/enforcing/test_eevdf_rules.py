"""What the enforcer does, over a kernel in memory."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, Crash, FakeKernel, key, wish

from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.enforcing.journal import Journal
from gthulhu_agent.enforcing.matching import bind
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


def test_a_thread_that_had_a_slice_and_a_nice_of_its_own_gets_them_back(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf", nice=3, slice_ns=2_000_000)
    kernel.spawn(APP, "other")
    agent.apply(wish(priority=5, time_slice_ns=500_000, command="upf"))
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (-2, 500_000)
    agent.apply()
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (3, 2_000_000)


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


def test_two_priorities_in_one_pod_are_carried_by_its_containers(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make(SIDE)
    kernel.spawn(APP, "upf")
    kernel.spawn(SIDE, "envoy")
    agent.apply(wish(priority=10, containers=("app",)), wish("slow", rank=1, priority=-10))
    assert (kernel.tree[POD].weight, kernel.tree[APP].weight, kernel.tree[SIDE].weight) == (79, 931, 11)


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


def test_a_changed_value_of_a_thread_is_set_again_and_its_owners_word_kept(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    kernel.tasks[tid].slice_ns = 3_000_000
    applied = agent.apply(wish(time_slice_ns=500_000))
    assert [thread.tid for thread in applied.drifted] == [tid]
    assert kernel.tasks[tid].slice_ns == 500_000
    agent.apply()
    assert kernel.tasks[tid].slice_ns == 3_000_000


def test_a_new_thread_and_a_child_follow_and_get_their_parents_original_back(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf", slice_ns=2_000_000)
    agent.apply(wish(time_slice_ns=500_000))
    child, thread = kernel.fork(parent), kernel.clone(parent)
    kernel.writes.clear()
    assert agent.apply(wish(time_slice_ns=500_000)).intents[key()].threads == 3
    assert kernel.writes == []
    agent.apply()
    assert {kernel.tasks[tid].slice_ns for tid in (parent, child, thread)} == {2_000_000}


def test_a_child_that_execs_to_an_unmatched_name_loses_what_it_inherited(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5, time_slice_ns=500_000, command="^upf$"))
    kernel.spawn(APP, "other")
    agent.apply(wish(priority=5, time_slice_ns=500_000, command="^upf$"))
    child = kernel.fork(parent, comm="logger")
    assert (kernel.tasks[child].nice, kernel.tasks[child].slice_ns) == (-5, 500_000)
    agent.apply(wish(priority=5, time_slice_ns=500_000, command="^upf$"))
    assert (kernel.tasks[child].nice, kernel.tasks[child].slice_ns) == (0, 0)


def test_an_orphan_of_a_dead_parent_loses_what_it_inherited(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000, command="^upf$"))
    child = kernel.fork(parent, comm="logger")
    kernel.exit(parent)
    agent.apply(wish(time_slice_ns=500_000, command="^upf$"))
    assert kernel.tasks[child].slice_ns == 0


def test_a_grandchild_through_an_unmatched_shell_loses_what_it_inherited(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000, command="^upf$"))
    shell = kernel.fork(parent, comm="sh")
    grandchild = kernel.fork(shell, comm="sleep")
    agent.apply(wish(time_slice_ns=500_000, command="^upf$"))
    assert kernel.tasks[shell].slice_ns == kernel.tasks[grandchild].slice_ns == 0


def test_a_neighbour_with_the_same_nice_of_its_own_is_left_alone(kernel: FakeKernel, agent: Agent) -> None:
    older = kernel.spawn(APP, "batch", nice=-5)
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5, command="^upf$"))
    younger = kernel.spawn(APP, "batch", nice=-5)
    agent.apply(wish(priority=5, command="^upf$"))
    assert kernel.tasks[older].nice == kernel.tasks[younger].nice == -5


def test_after_a_restart_a_neighbour_older_than_our_first_write_is_left_alone(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    older = kernel.spawn(APP, "batch", nice=-5)
    upf = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=5, command="^upf$"))
    kernel.exit(upf)
    Agent(kernel, journal).apply(wish(priority=5, command="^upf$"))
    assert kernel.tasks[older].nice == -5


def test_a_child_forked_just_before_a_change_of_slice_is_not_taken_for_its_owner(
    kernel: FakeKernel, agent: Agent
) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    late: list[int] = []

    def fork_now(_what: str, _where: object) -> None:
        if not late:
            late.append(kernel.fork(parent))

    kernel.before_write = fork_now
    agent.apply(wish(time_slice_ns=700_000))
    assert kernel.tasks[late[0]].slice_ns == 500_000
    agent.apply(wish(time_slice_ns=700_000))
    assert kernel.tasks[late[0]].slice_ns == 700_000
    agent.apply()
    assert kernel.tasks[late[0]].slice_ns == 0


def test_a_child_forked_just_before_the_end_goes_back_with_its_parent(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    late: list[int] = []

    def fork_now(_what: str, _where: object) -> None:
        if not late:
            late.append(kernel.fork(parent))

    kernel.before_write = fork_now
    agent.apply()
    assert kernel.tasks[late[0]].slice_ns == 0


def test_a_hosts_child_in_a_cgroup_of_its_own_loses_what_it_inherited(kernel: FakeKernel, agent: Agent) -> None:
    kernel.make("/system.slice/cron.service")
    kernel.make("/user.slice/session-1.scope")
    cron = kernel.spawn("/system.slice/cron.service", "cron")
    node = wish(time_slice_ns=500_000, pod_uid=None, cgroups=("/system.slice/cron.service",))
    agent.apply(node)
    job = kernel.fork(cron, comm="job", cgroup="/user.slice/session-1.scope")
    agent.apply(node)
    assert kernel.tasks[job].slice_ns == 0
    assert kernel.tasks[cron].slice_ns == 500_000


@pytest.mark.parametrize(("policy", "name"), [(1, "SCHED_FIFO"), (2, "SCHED_RR"), (5, "SCHED_IDLE"), (6, "DEADLINE")])
def test_realtime_and_idle_threads_are_never_written_and_the_state_says_so(
    kernel: FakeKernel, agent: Agent, policy: int, name: str
) -> None:
    kernel.tasks[kernel.spawn(APP, "upf")].policy = policy
    fair = kernel.spawn(APP, "upf")
    state = agent.apply(wish(time_slice_ns=500_000)).intents[key()]
    assert kernel.writes == [("thread", fair)]
    assert state.enforced, "it is for those that can be scheduled"
    assert name in state.refused[0].why
    assert state.refused[0].cure
    assert state.threads == 2


def test_a_thread_that_becomes_realtime_is_left_alone_and_put_back_when_it_is_fair_again(
    kernel: FakeKernel, agent: Agent
) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    kernel.tasks[tid].policy = 1
    agent.apply()
    assert kernel.tasks[tid].slice_ns == 500_000
    kernel.tasks[tid].policy = 0
    agent.apply()
    assert kernel.tasks[tid].slice_ns == 0


def test_a_thread_that_becomes_realtime_between_look_and_write_is_refused(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")

    def turn(_what: str, _where: object) -> None:
        kernel.tasks[tid].policy = 1

    kernel.before_write = turn
    state = agent.apply(wish(time_slice_ns=500_000)).intents[key()]
    assert not state.enforced
    assert state.refused[0].what == "slice"


def test_orphan_leaves_the_values_and_revert_still_takes_them_back(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000, orphan=True))
    kernel.writes.clear()
    before = journal.read_bytes()
    agent.apply()
    agent.apply()
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (500_000, 736)
    assert (kernel.writes, journal.read_bytes()) == ([], before)
    assert Agent(kernel, journal).enforcer.revert() == 2
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (0, 79)


def test_an_orphan_that_comes_back_again_and_again_does_not_multiply(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    """The agent's own values were taken for the owner's: 1024, 524, 268, 137."""
    tid = kernel.spawn(APP, "upf")
    kernel.spawn(APP, "other")
    nice, weight = wish("nice", priority=5, command="^upf$", orphan=True), wish(priority=10, orphan=True)
    for _ in range(3):
        for intent in (nice, weight):
            agent.apply(intent)
            agent.apply()
            agent = Agent(kernel, journal)
    assert kernel.tree[POD].weight == 736
    agent.apply(nice)
    assert kernel.tasks[tid].nice == -5
    agent.enforcer.revert()
    assert (kernel.tasks[tid].nice, kernel.tree[POD].weight) == (0, 79)


def test_an_orphans_children_stay_as_they_were_born_and_go_back_with_it(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    parent = kernel.spawn(APP, "upf")
    selected = wish(command="^upf$", time_slice_ns=500_000, orphan=True)
    agent.apply(selected)
    agent.apply()
    child = kernel.fork(parent, "worker")
    agent.apply(wish("other", command="^nothing$", preempt=True))
    assert kernel.tasks[child].slice_ns == 500_000
    kernel.exit(parent)
    agent.apply()
    kernel.tasks[child].comm = "upf"
    agent = Agent(kernel, journal)
    agent.apply(selected)
    agent.apply()
    assert kernel.tasks[child].slice_ns == 500_000
    assert agent.enforcer.revert() == 1
    assert kernel.tasks[child].slice_ns == 0


def test_an_owners_word_to_an_orphan_is_what_is_scaled_and_comes_back(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, orphan=True))
    agent.apply()
    kernel.tree[POD].weight = 20
    agent.apply()
    assert kernel.tree[POD].weight == 20
    agent.apply(wish(priority=10, orphan=True))
    assert kernel.tree[POD].weight == 186
    agent.enforcer.revert()
    assert kernel.tree[POD].weight == 20


def test_an_orphans_cgroup_and_threads_are_forgotten_when_they_go(
    kernel: FakeKernel, agent: Agent, journal: Path
) -> None:
    pid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000, orphan=True))
    agent.apply()
    kernel.exit(pid)
    kernel.make(POD, 100)
    agent.apply()
    other = kernel.spawn(APP, "other")
    agent.apply(wish("two", time_slice_ns=700_000))
    memory, _ = Journal(journal, "boot-1").load()
    assert ([thread.tid for thread in memory.threads], memory.cgroups) == ([other], {})


def test_a_priority_that_is_dropped_from_an_orphaning_policy_is_put_back(kernel: FakeKernel, agent: Agent) -> None:
    """Orphans are what a policy that goes leaves; what a policy that stays no longer asks for goes back."""
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000, orphan=True))
    agent.apply(wish(time_slice_ns=500_000, orphan=True))
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (500_000, 79)


def test_revert_takes_back_even_what_would_be_orphaned(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(priority=10, time_slice_ns=500_000, orphan=True))
    assert agent.enforcer.revert() == 2
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (0, 79)
    assert agent.enforcer.revert() == 0


def test_the_end_of_a_window_puts_back_what_the_documents_end_would_orphan(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    windowed = wish(priority=10, time_slice_ns=500_000, orphan=True, ends_at=100)
    agent.apply(windowed, now=99)
    assert kernel.tasks[tid].slice_ns == 500_000
    agent.apply(windowed, now=100)
    assert (kernel.tasks[tid].slice_ns, kernel.tree[POD].weight) == (0, 79)


def test_when_a_window_ends_the_next_in_rank_applies(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    intents = (wish(time_slice_ns=500_000, ends_at=100), wish("rest", rank=1, time_slice_ns=9_000_000))
    agent.apply(*intents, now=99)
    agent.apply(*intents, now=100)
    assert kernel.tasks[tid].slice_ns == 9_000_000


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


def test_a_reused_number_is_another_thread(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish(time_slice_ns=500_000))
    kernel.tasks[tid].start += 50
    kernel.tasks[tid].slice_ns = 4_000_000
    agent.apply()
    assert kernel.tasks[tid].slice_ns == 4_000_000


def test_a_number_reused_before_the_write_is_not_written(kernel: FakeKernel, agent: Agent) -> None:
    first, second = kernel.spawn(APP, "upf"), kernel.spawn(APP, "upf")

    def reuse(_what: str, where: object) -> None:
        if where == first:
            kernel.tasks[second].start += 50

    kernel.before_write = reuse
    state = agent.apply(wish(time_slice_ns=500_000)).intents[key()]
    assert kernel.writes == [("thread", first)]
    assert state.threads == 1


def test_a_number_reused_during_the_write_gets_what_its_parent_has(kernel: FakeKernel, agent: Agent) -> None:
    parent = kernel.spawn("/", "init", nice=7, slice_ns=2_000_000)
    tid = kernel.spawn(APP, "upf")

    def reuse(_what: str, where: object) -> None:
        kernel.before_write = lambda _what, _where: None
        assert where == tid
        kernel.tasks[tid].start += 50
        kernel.tasks[tid].parent = parent

    kernel.before_write = reuse
    state = agent.apply(wish(time_slice_ns=500_000)).intents[key()]
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (7, 2_000_000)
    assert state.threads == 0
    assert agent.enforcer.revert() == 0


def test_a_thread_that_ends_during_a_round_is_no_fault(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf")
    stays = kernel.spawn(APP, "upf")

    def end(_what: str, where: object) -> None:
        if where == tid:
            del kernel.tasks[tid]

    kernel.before_write = end
    state = agent.apply(wish(time_slice_ns=500_000)).intents[key()]
    assert (state.threads, state.enforced) == (1, True)
    assert kernel.tasks[stays].slice_ns == 500_000


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


def test_without_the_cpu_controller_nice_is_what_remains(kernel: FakeKernel, agent: Agent) -> None:
    kernel.tree[POD].weight = None
    tid = kernel.spawn(APP, "upf")
    state = agent.apply(wish(priority=5)).intents[key()]
    assert kernel.tasks[tid].nice == -5
    assert (state.nice, state.weight) == (-5, None)


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


def test_an_intent_without_threads_is_not_enforced(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    state = agent.apply(wish(command="nothing", preempt=True)).intents[key()]
    assert (state.threads, state.enforced, state.effective) == (0, False, None)


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
