"""Threads, their children and their reused numbers, over a kernel in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, FakeKernel, key, wish

from gthulhu_agent.enforcing.journal import Journal


def test_a_thread_that_had_a_slice_and_a_nice_of_its_own_gets_them_back(kernel: FakeKernel, agent: Agent) -> None:
    tid = kernel.spawn(APP, "upf", nice=3, slice_ns=2_000_000)
    kernel.spawn(APP, "other")
    agent.apply(wish(priority=5, time_slice_ns=500_000, command="upf"))
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (-2, 500_000)
    agent.apply()
    assert (kernel.tasks[tid].nice, kernel.tasks[tid].slice_ns) == (3, 2_000_000)


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


def test_an_intent_without_threads_is_not_enforced(kernel: FakeKernel, agent: Agent) -> None:
    kernel.spawn(APP, "upf")
    state = agent.apply(wish(command="nothing", preempt=True)).intents[key()]
    assert (state.threads, state.enforced, state.effective) == (0, False, None)


def test_a_child_of_an_orphan_loses_what_it_inherited_when_another_policy_takes_its_parent(
    kernel: FakeKernel, agent: Agent
) -> None:
    """It kept the orphan's slice: nobody remembered it, and revert could not put it back."""
    tid = kernel.spawn(APP, "upf")
    agent.apply(wish("two", time_slice_ns=500_000, orphan=True))
    child = kernel.fork(tid, "sh")
    agent.apply()
    assert kernel.tasks[child].slice_ns == 500_000
    agent.apply(wish("one", command="^upf$"))
    assert (kernel.tasks[tid].slice_ns, kernel.tasks[child].slice_ns) == (0, 0)
