"""A quick look finds of what it was told what a whole look finds, and nothing else."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_host import V1_CPU, V2, FakeHost, group_of, process_of

from gthulhu_agent.discovery.events.event import Watch
from gthulhu_agent.discovery.kubepods import Place
from gthulhu_agent.discovery.quick import Looked, Told, whole_of
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Snapshot, TaskId

POD = "/kubepods/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
OTHER = "/kubepods/burstable/pod30da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
WEB, LOG, FOREIGN = f"{POD}/{'a1' * 32}", f"{POD}/{'b2' * 32}", f"{OTHER}/{'c3' * 32}"
UNIT = "/system.slice/db.service"
UID = POD.rpartition("/pod")[2]


def everything(_place: Place) -> bool:
    return True


def only_the_pod(place: Place) -> bool:
    return place.pod_uid == UID


@pytest.fixture(params=[V2, V1_CPU], ids=["v2", "v1"])
def host(tmp_path: Path, request: pytest.FixtureRequest) -> FakeHost:
    host = FakeHost(tmp_path, request.param)
    host.run(1, "init")
    host.run(100, "web", WEB)
    host.run(110, "log", LOG)
    host.run(200, "other", FOREIGN)
    return host


def ready(host: FakeHost, reached: Callable[[Place], bool] = everything) -> Discovery:
    discovery = host.discovery()
    discovery.scan()
    discovery.watched(reached)
    return discovery


def number(host: FakeHost, cgroup: str) -> int:
    return (host.mounts[0].root / cgroup.lstrip("/")).stat().st_ino


def pids(groups: tuple[Group, ...]) -> set[int]:
    return {process.id.tid for group in groups for process in group.processes}


def test_what_it_is_told_of_is_in_the_snapshot_with_its_pod_around_it(host: FakeHost) -> None:
    discovery = ready(host)
    host.run(101, "worker", WEB, threads={102: ("pool", 1001)})
    looked = discovery.quick(Told((101,)), everything)
    assert looked.threads == {TaskId(101, 1000), TaskId(102, 1001)}
    assert looked.pids == {101}
    assert pids(looked.touched) == {100, 101, 110}
    assert pids(looked.snapshot.groups) == {1, 100, 101, 110, 200}
    assert not looked.unsure


def test_what_was_there_and_is_as_it_was_is_not_new(host: FakeHost) -> None:
    discovery = ready(host)
    looked = discovery.quick(Told((100, 110)), everything)
    assert (looked.threads, looked.touched) == (frozenset(), ())


@pytest.mark.parametrize("change", [{"comm": "nginx", "image": 7}, {"argv0": "nginx: worker", "image": 7}])
def test_exec_makes_all_threads_of_a_process_new(host: FakeHost, change: dict[str, object]) -> None:
    host.change(100, threads={105: ("pool", 1001)})
    discovery = ready(host)
    host.change(100, **change)
    assert discovery.quick(Told((100,)), everything).threads == {TaskId(100, 1000), TaskId(105, 1001)}


def test_of_a_known_process_only_new_and_renamed_threads_are_new(host: FakeHost) -> None:
    host.change(100, threads={105: ("pool", 1001), 106: ("pool", 1001)})
    discovery = ready(host)
    host.change(100, threads={105: ("pool", 1001), 106: ("renamed", 1001), 107: ("pool", 1009)})
    assert discovery.quick(Told((100,)), everything).threads == {TaskId(106, 1001), TaskId(107, 1009)}


def test_what_no_intent_is_for_is_left_alone(host: FakeHost) -> None:
    discovery = ready(host)
    host.run(201, "new", FOREIGN)
    host.run(2, "daemon", UNIT)
    looked = discovery.quick(Told((201, 2)), only_the_pod)
    assert looked.snapshot is discovery.quick(Told(), everything).snapshot
    assert not looked.threads


def test_processes_that_are_gone_and_kernel_threads_of_the_host_are_nobodys(host: FakeHost) -> None:
    discovery = ready(host)
    host.run(3, "kworker", kernel=True)
    host.run(101, "zombie", WEB, state="Z")
    looked = discovery.quick(Told((3, 101, 4711)), everything)
    assert not looked.threads
    assert not looked.unsure


def test_a_reused_pid_is_another_process(host: FakeHost) -> None:
    discovery = ready(host)
    host.remove(100)
    host.run(100, "web", WEB, start=9000)
    looked = discovery.quick(Told((100,)), everything)
    assert looked.threads == {TaskId(100, 9000)}
    assert process_of(looked.snapshot, 100).id == TaskId(100, 9000)


def test_a_process_that_moved_within_its_pod_is_in_one_group(host: FakeHost) -> None:
    discovery = ready(host)
    host.move(100, LOG)
    looked = discovery.quick(Told((100,)), everything)
    found = group_of(looked.snapshot, 100)
    assert found is not None
    assert found.cgroup == LOG


def test_a_new_cgroup_is_found_by_its_parents_id_with_all_that_is_in_it_and_below(host: FakeHost) -> None:
    discovery = ready(host)
    host.run(120, "sidecar", f"{POD}/{'d4' * 32}")
    host.run(121, "inner", f"{POD}/{'d4' * 32}/inner")
    cgroup = f"{POD}/{'d4' * 32}"
    looked = discovery.quick(Told(cgroups={number(host, cgroup): number(host, POD)}), everything)
    assert looked.threads == {TaskId(120, 1000), TaskId(121, 1000)}
    assert looked.made[number(host, cgroup)] == cgroup
    assert looked.made[number(host, f"{cgroup}/inner")] == f"{cgroup}/inner"
    # Below it, too, what is made next is found.
    host.run(122, "deep", f"{cgroup}/inner/deep")
    deep = Told(cgroups={number(host, f"{cgroup}/inner/deep"): number(host, f"{cgroup}/inner")})
    assert discovery.quick(deep, everything).threads == {TaskId(122, 1000)}


def test_a_crowded_cgroup_is_looked_at_whole(host: FakeHost) -> None:
    discovery = ready(host)
    for pid in range(130, 160):
        host.run(pid, "fork", WEB)
    looked = discovery.quick(Told(cgroups={number(host, WEB): 0}), everything)
    assert looked.pids == set(range(130, 160))


def test_a_cgroup_that_nobody_knows_is_left_to_a_whole_look(host: FakeHost) -> None:
    discovery = ready(host)
    assert discovery.quick(Told(cgroups={4711: 4712}), everything).unsure
    assert host.discovery().quick(Told((100,)), everything).unsure


def test_a_cgroup_that_came_and_went_is_no_reason_to_look_at_everything(host: FakeHost) -> None:
    discovery = ready(host)
    looked = discovery.quick(Told(cgroups={4711: number(host, POD)}), everything)
    assert (looked.unsure, looked.threads) == (False, frozenset())


def test_what_began_behind_a_scans_back_is_in_what_it_found_and_is_watched(host: FakeHost) -> None:
    """The scan had passed it by: what a quick look had seen to meanwhile was taken for gone, and put back."""
    discovery = ready(host)
    made = f"{POD}/{'d4' * 32}"
    parts: list[int] = []

    def at_the_last(of: int) -> None:
        parts.append(of)
        if len(parts) == of:
            host.run(101, "web", WEB)
            host.run(300, "new", made)
            discovery.quick(Told((101,), {number(host, made): number(host, POD)}), everything)

    discovery.give_way(lambda: at_the_last(0))
    discovery.scan()
    count = len(parts)
    discovery.watched(everything)
    parts.clear()
    discovery.give_way(lambda: at_the_last(count))
    assert pids(discovery.scan().groups) >= {100, 101, 300}
    assert number(host, made) in discovery.watched(everything)
    discovery.give_way(lambda: None)
    assert pids(discovery.scan().groups) >= {100, 101, 300}


def test_quick_looks_go_on_from_one_another_and_a_whole_look_takes_them_back(host: FakeHost) -> None:
    discovery = ready(host)
    host.run(101, "one", WEB)
    first = discovery.quick(Told((101,)), everything)
    host.run(102, "two", WEB)
    second = discovery.quick(Told((102,)), everything)
    assert pids(second.touched) == {100, 101, 102, 110}
    assert pids(first.touched) == {100, 101, 110}  # a snapshot that was given does not change
    host.remove(101)
    assert pids(discovery.scan().groups) == {1, 100, 102, 110, 200}
    assert pids(discovery.quick(Told(), everything).snapshot.groups) == {1, 100, 102, 110, 200}


@pytest.fixture
def declared(host: FakeHost) -> Discovery:
    host.run(300, "app", UNIT)
    pod = {"uid": "demo", "name": "demo-0", "containers": [{"name": "app", "id": "c1", "pids": [300]}]}
    (host.folder / "pods.json").write_text(json.dumps({"pods": [pod]}))
    found = host.discovery(pod_file=host.folder / "pods.json")
    found.scan()
    return found


def test_children_of_declared_processes_are_the_pods_and_their_children_too(
    host: FakeHost, declared: Discovery
) -> None:
    host.run(301, "child", UNIT, ppid=300)
    assert groups_of(declared.quick(Told((301,)), demo)) == {"demo": {300, 301}}
    host.run(302, "grandchild", UNIT, ppid=301)
    assert groups_of(declared.quick(Told((302,)), demo)) == {"demo": {300, 301, 302}}


def test_a_stranger_in_the_same_cgroup_is_not(host: FakeHost, declared: Discovery) -> None:
    host.run(303, "stranger", UNIT)
    assert not declared.quick(Told((303,)), demo).threads


def test_a_childs_parent_is_told_from_the_next_owner_of_its_pid(host: FakeHost, declared: Discovery) -> None:
    host.remove(300)
    host.run(300, "stranger", UNIT, start=9000)
    host.run(304, "child", UNIT, ppid=300)
    assert not declared.quick(Told((304,)), demo).threads


def test_its_cgroup_is_heard_of(host: FakeHost, declared: Discovery) -> None:
    watched = declared.watched(demo)
    assert watched[number(host, UNIT)] == Watch.THREADS | Watch.CGROUPS


def demo(place: Place) -> bool:
    return place.pod_uid == "demo"


def groups_of(looked: Looked) -> dict[str, set[int]]:
    return {group.pod_uid: pids((group,)) for group in looked.touched}


CGROUPS = (WEB, LOG, POD, FOREIGN, UNIT, f"{UNIT}/inner", "/", f"{OTHER}/{'e5' * 32}")
STEP = st.tuples(
    st.integers(500, 506), st.sampled_from(CGROUPS), st.sampled_from(["a", "b"]), st.booleans(), st.integers(1000, 1001)
)


@settings(max_examples=12)
@given(st.lists(STEP, max_size=8), st.lists(STEP, min_size=1, max_size=8))
def test_told_of_all_that_began_it_finds_what_a_whole_look_finds(
    before: list[tuple[int, str, str, bool, int]], after: list[tuple[int, str, str, bool, int]]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        host = FakeHost(Path(folder), V2)
        host.run(1, "init")
        for step in before:
            _take(host, step)
        discovery = ready(host)
        for step in after:
            _take(host, step)
            looked = discovery.quick(Told((step[0],)), everything)
        assert _said(looked.snapshot) == _said(host.discovery().scan())


def _take(host: FakeHost, step: tuple[int, str, str, bool, int]) -> None:
    pid, cgroup, comm, threaded, start = step
    # A process is moved by its exit and another's beginning here; where it was is told of by nobody.
    if pid in host.processes:
        cgroup = host.processes[pid].cgroups[0].partition("::")[2]
    host.run(pid, comm, cgroup, start=start, threads={pid + 1000: ("t", start)} if threaded else {})


def _said(snapshot: Snapshot) -> set[tuple[object, ...]]:
    return {
        (group.kind, group.cgroup, group.pod_uid, group.container_id, group.unit, process)
        for group in snapshot.groups
        for process in group.processes
    }


def test_a_group_is_judged_with_its_pod_its_unit_or_alone() -> None:
    groups = {
        "p": Group(GroupKind.CONTAINER, f"{POD}/x", POD, "p", "x"),
        "/system.slice/db.service": Group(GroupKind.HOST, f"{UNIT}/inner/deep", unit="db.service"),
        UNIT: Group(GroupKind.HOST, UNIT, unit="db.service"),
        "/lxc/one": Group(GroupKind.HOST, "/lxc/one"),
    }
    assert {name: whole_of(group) for name, group in groups.items()} == {name: name for name in groups}
