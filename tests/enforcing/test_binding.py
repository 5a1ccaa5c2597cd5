"""Which threads an intent takes, and which it never does."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from enforcing.fake_kernel import POD_UID, key, wish
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId, Thread
from gthulhu_agent.enforcing.binding import Binding
from gthulhu_agent.enforcing.carriers import place
from gthulhu_agent.enforcing.matching import bind, match_threads, top_of, within
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.enforcing.priorities import nice_at, scaled, slice_of, steps_between
from gthulhu_wire.intents import CommandOn, Intent, Schedule

SLICE = "/kubepods.slice/kubepods-pod1.slice"
PROTECTED = ("ssh.service", "kubelet.service", "containerd.service")


def process(pid: int, comm: str = "app", *names: str, argv0: str = "") -> Process:
    """A process whose threads have ``names``, the leader first."""
    threads = tuple(Thread(TaskId(pid + n, 1), name) for n, name in enumerate(names or (comm,)))
    return Process(TaskId(pid, 1), comm, argv0 or f"/usr/bin/{comm}", threads)


def container(name: str, *processes: Process, pod: str = POD_UID) -> Group:
    """A container's group."""
    return Group(GroupKind.CONTAINER, f"{SLICE}/{name}", SLICE, pod, name, processes=processes or (process(10),))


def host(cgroup: str, *processes: Process, unit: str = "") -> Group:
    """A group of the host."""
    return Group(GroupKind.HOST, cgroup, unit=unit, processes=processes or (process(10),))


def bound(
    intents: Sequence[Intent], *groups: Group, self_pid: int = -1, now: int = 0, protected: Sequence[str] = PROTECTED
) -> dict[str | None, Binding]:
    """Bindings by cgroup."""
    found = bind(intents, Snapshot(groups), protected_units=protected, self_pid=self_pid, now=now)
    return {binding.group.cgroup: binding for binding in found}


def winners(binding: Binding) -> dict[int, str | None]:
    """Name of the policy that takes each thread."""
    taken = match_threads(binding, Patterns()).taken
    return {entry.thread.id.tid: entry.rule.intent[2] if entry.rule else None for entry in taken}


def test_an_intent_takes_its_pod_and_no_other() -> None:
    assert list(bound([wish()], container("a"), container("b", pod="another"))) == [f"{SLICE}/a"]


def test_containers_narrow_and_leave_the_pods_own_processes() -> None:
    own = Group(GroupKind.POD, SLICE, SLICE, POD_UID, processes=(process(30),))
    found = bound([wish(containers=("a",))], container("a"), container("b"), own)
    assert list(found) == [f"{SLICE}/a"]
    assert found[f"{SLICE}/a"].foreign == (SLICE, f"{SLICE}/b")


def test_rules_are_in_order_of_rank_however_they_come() -> None:
    found = bound([wish("second", rank=1), wish("first", rank=0)], container("a"))
    assert [rule.intent[2] for rule in found[f"{SLICE}/a"].rules] == ["first", "second"]
    assert winners(found[f"{SLICE}/a"]) == {10: "first"}


@pytest.mark.parametrize(
    ("command_on", "command", "taken"),
    [
        (CommandOn.COMM, "^upf$", [10, 11]),
        (CommandOn.THREAD, "^rx$", [11]),
        (CommandOn.ARGV0, "^/opt/", [10, 11]),
        (CommandOn.COMM, "rx", []),
    ],
)
def test_a_pattern_is_matched_against_what_it_says(command_on: CommandOn, command: str, taken: list[int]) -> None:
    group = container("a", process(10, "upf", "upf", "rx", argv0="/opt/upf"))
    (binding,) = bound([wish(command=command, command_on=command_on)], group).values()
    assert [tid for tid, name in winners(binding).items() if name] == taken


def test_a_name_that_is_no_utf8_can_still_be_matched() -> None:
    (binding,) = bound([wish(command="^up")], container("a", process(10, "up\udcff"))).values()
    assert winners(binding) == {10: "fast"}


def test_a_node_intent_never_takes_pods_even_where_discovery_calls_them_host() -> None:
    groups = (container("a"), host("/kubepods.slice/stray"), host("/nested/kubepods/burstable/x"), host("/a"))
    assert list(bound([wish(pod_uid=None)], *groups)) == ["/a"]


def test_a_node_intent_takes_a_protected_unit_only_where_it_is_released() -> None:
    groups = (
        host("/system.slice/ssh.service", unit="ssh.service"),
        host("/system.slice/db.service", unit="db.service"),
    )
    assert list(bound([wish(pod_uid=None)], *groups)) == ["/system.slice/db.service"]
    released = wish(pod_uid=None, units=("ssh.service",), released=("ssh.service",))
    assert list(bound([released], *groups)) == ["/system.slice/ssh.service"]


def test_protection_knows_globs_and_releases_exact_names_only() -> None:
    group = host("/system.slice/ssh.service", unit="ssh.service")
    assert bound([wish(pod_uid=None, released=("ssh*",))], group, protected=("ssh*",)) == {}


def test_without_units_processes_of_a_protected_name_are_left_out() -> None:
    (binding,) = bound([wish(pod_uid=None)], host("/", process(10, "containerd"), process(20, "app"))).values()
    assert [entry.comm for entry in binding.group.processes] == ["app"]


def test_the_agent_itself_is_taken_by_nobody_and_keeps_the_weight_off_its_cgroup() -> None:
    group = container("a", process(10), process(20))
    (binding,) = bound([wish()], group, self_pid=20).values()
    assert [entry.id.tid for entry in binding.group.processes] == [10]
    assert binding.foreign == (f"{SLICE}/a",)


@pytest.mark.parametrize(
    ("patterns", "cgroup", "taken"),
    [
        (("/batch",), "/batch", True),
        (("/batch",), "/batch/deep/er", True),
        (("/batch",), "/batches", False),
        (("/b*",), "/batch/deep", True),
        (("*/deep",), "/batch/deep", True),
        (("/",), "/anything", True),
        (("/other", "/batch/*"), "/batch", False),
    ],
)
def test_a_cgroup_glob_brings_all_that_is_below(patterns: tuple[str, ...], cgroup: str, taken: bool) -> None:
    assert bool(bound([wish(pod_uid=None, cgroups=patterns)], host(cgroup))) is taken


def test_units_and_cgroups_of_one_selector_must_both_hold() -> None:
    intent = wish(pod_uid=None, units=("db*.service",), cgroups=("/system.slice",))
    assert bound([intent], host("/system.slice/db1.service", unit="db1.service"))
    assert not bound([intent], host("/other/db1.service", unit="db1.service"), host("/system.slice/x"))


def test_an_intent_ends_at_its_instant_and_the_binding_remembers_it() -> None:
    (before,) = bound([wish(ends_at=100)], container("a"), now=99).values()
    (after,) = bound([wish(ends_at=100)], container("a"), now=100).values()
    assert (len(before.rules), before.ended) == (1, ())
    assert (after.rules, after.ended) == ((), (key(),))


@pytest.mark.parametrize(
    ("group", "top"),
    [
        (container("a"), SLICE),
        (host("/system.slice/db.service/payload", unit="db.service"), "/system.slice/db.service"),
        (host("/plain/group"), "/plain/group"),
        (host("/"), None),
        (Group(GroupKind.DECLARED, None, pod_uid=POD_UID), None),
    ],
)
def test_no_weight_goes_above_the_pod_or_the_unit(group: Group, top: str | None) -> None:
    assert top_of(group) == top


@pytest.mark.parametrize(
    ("cgroup", "top", "inside"), [("/a/b", "/a", True), ("/a", "/a", True), ("/ab", "/a", False), ("/a", "/", True)]
)
def test_a_path_is_within_by_whole_names(cgroup: str, top: str, inside: bool) -> None:
    assert within(cgroup, top) is inside


def _carriers(*groups: Group, intents: Sequence[Intent]) -> dict[str | None, str | None]:
    bindings = list(bound(intents, *groups).values())
    placed = place([(binding, match_threads(binding, Patterns())) for binding in bindings])
    return {binding.group.cgroup: one.carrier for binding, one in zip(bindings, placed, strict=True)}


def test_nested_cgroups_of_a_unit_are_carried_by_the_unit() -> None:
    unit = "/system.slice/db.service"
    groups = (host(f"{unit}/a", process(10), unit="db.service"), host(f"{unit}/b", process(20), unit="db.service"))
    intent = wish(pod_uid=None, units=("db.service",), priority=5)
    assert set(_carriers(*groups, intents=[intent]).values()) == {unit}


def test_a_cgroup_above_one_of_another_priority_carries_nothing() -> None:
    upper, lower = host("/x", process(10, "app")), host("/x/y", process(20, "other"))
    intents = [wish("one", pod_uid=None, cgroups=("/x/y",), priority=3), wish("two", rank=1, pod_uid=None, priority=5)]
    assert _carriers(upper, lower, intents=intents) == {"/x": "/x", "/x/y": "/x/y"}


def test_a_starting_pod_with_only_its_pause_container_is_carried_by_the_pod() -> None:
    assert _carriers(container("p", process(10, "pause")), intents=[wish(priority=5)]) == {f"{SLICE}/p": SLICE}


@given(st.integers(1, 10_000), st.integers(-20, 19))
def test_more_priority_is_never_less_weight(owner: int, priority: int) -> None:
    weaker, stronger = (scaled(owner, step, 1, 10_000) for step in (priority, priority + 1))
    assert 1 <= weaker <= stronger <= 10_000
    assert scaled(owner, 0, 1, 10_000) == owner


@given(st.integers(100, 115), st.integers(-12, 20))
def test_what_was_reached_is_told_in_the_scale_it_was_asked_in(owner: int, priority: int) -> None:
    assert steps_between(owner, scaled(owner, priority, 1, 10_000)) == priority


@given(st.integers(-20, 19), st.integers(-20, 20))
def test_nice_is_priority_upside_down_from_what_the_owner_chose(owner: int, priority: int) -> None:
    assert nice_at(owner, priority) == min(19, max(-20, owner - priority))


def test_slices_that_are_asked_for() -> None:
    assert slice_of(Schedule()) is None
    assert slice_of(Schedule(0, 5_000_000)) == 5_000_000
    assert slice_of(Schedule(0, 5_000_000, preempt=True)) == 100_000
