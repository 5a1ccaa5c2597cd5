"""Who belongs to a declared pod."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from recorded_host import V2, FakeHost, group_of

from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.snapshot import DiscoveredPod, Group, GroupKind, Snapshot

SESSION = "/user.slice/user-1000.slice/session-3.scope"
POD = "/kubepods/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
REAL = f"{POD}/{'a1' * 32}"


@pytest.fixture
def host(tmp_path: Path) -> FakeHost:
    host = FakeHost(tmp_path, V2)
    host.run(1, "init")
    host.run(50, "bash", SESSION)
    host.run(100, "web", SESSION, ppid=50)
    host.run(101, "worker", SESSION, ppid=100, threads={102: ("pool", 1001)})
    return host


def write(host: FakeHost, *containers: dict[str, object], **more: object) -> None:
    pod = {"uid": "demo", "name": "web-0", "labels": {"app": "web"}, "containers": list(containers)}
    (host.folder / "pods.json").write_text(json.dumps({"pods": [pod | more]}))


def web(**keys: object) -> dict[str, object]:
    return {"name": "web", "id": "c1", **keys}


def discovery(host: FakeHost) -> Discovery:
    return host.discovery(pod_file=host.folder / "pods.json")


def pids(group: Group | None) -> list[int]:
    return [process.id.tid for process in group.processes] if group else []


def declared(snapshot: Snapshot) -> Group | None:
    found = [group for group in snapshot.groups if group.kind is GroupKind.DECLARED]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_declared_process_and_its_children_leave_the_hosts_group(host: FakeHost) -> None:
    write(host, web(pids=[100]))
    snapshot = discovery(host).scan()
    group = declared(snapshot)
    assert group is not None
    assert (pids(group), group.pod_uid, group.container_id) == ([100, 101], "demo", "c1")
    assert pids(group_of(snapshot, 50)) == [50]
    assert snapshot.pods == (DiscoveredPod("demo", "default", "web-0", (("app", "web"),), (("web", "c1"),)),)


def test_processes_that_share_their_cgroup_with_others_have_none_of_their_own(host: FakeHost) -> None:
    write(host, web(pids=[100]))
    group = declared(discovery(host).scan())
    assert group is not None
    assert group.cgroup is None


def test_processes_that_are_alone_in_their_cgroup_have_it(host: FakeHost) -> None:
    write(host, web(pids=[50]))
    group = declared(discovery(host).scan())
    assert group is not None
    assert (pids(group), group.cgroup, group.unit) == ([50, 100, 101], SESSION, "session-3.scope")


def test_the_root_is_never_a_declared_groups_cgroup(host: FakeHost) -> None:
    host.remove(1)
    host.run(60, "alone")
    write(host, web(pids=[60]))
    group = declared(discovery(host).scan())
    assert group is not None
    assert group.cgroup is None


def test_a_reused_pid_is_not_inherited(host: FakeHost) -> None:
    write(host, web(pids=[100]))
    found = discovery(host)
    assert pids(declared(found.scan())) == [100, 101]
    host.remove(101)
    host.remove(100)
    host.run(100, "stranger", SESSION, start=9000)
    assert declared(found.scan()) is None
    # Writing the same declaration again does not make the stranger the one that was meant.
    write(host, web(pids=[100]), labels={"app": "other"})
    assert declared(found.scan()) is None


def test_a_pid_that_was_never_there_is_nobodys_later(host: FakeHost) -> None:
    write(host, web(pids=[777]))
    found = discovery(host)
    found.scan()
    host.run(777, "stranger", SESSION)
    assert declared(found.scan()) is None


def test_a_declaration_that_went_away_and_came_back_is_read_anew(host: FakeHost) -> None:
    write(host, web(pids=[777]))
    found = discovery(host)
    found.scan()
    write(host)
    found.scan()
    host.run(777, "web", SESSION)
    write(host, web(pids=[777]))
    assert pids(declared(found.scan())) == [777]


def test_a_child_stays_when_its_parent_ends(host: FakeHost) -> None:
    write(host, web(pids=[100]))
    found = discovery(host)
    found.scan()
    host.remove(100)
    host.change(101, ppid=1)
    host.run(103, "grandchild", SESSION, ppid=101)
    assert pids(declared(found.scan())) == [101, 103]
    write(host, web(pids=[50]))
    assert pids(declared(found.scan())) == [50]


def test_a_childs_pid_reused_is_not_inherited(host: FakeHost) -> None:
    write(host, web(pids=[100]))
    found = discovery(host)
    found.scan()
    host.remove(101)
    host.run(101, "stranger", SESSION, ppid=50, start=9000)
    assert pids(declared(found.scan())) == [100]


def test_a_container_by_its_cgroup_takes_all_that_is_in_it_and_below(host: FakeHost) -> None:
    host.run(200, "job", "/jobs/web")
    host.run(201, "job", "/jobs/web/inner", ppid=1)
    host.run(202, "job", "/jobs/webby")
    write(host, web(cgroup="/jobs/web"))
    snapshot = discovery(host).scan()
    group = declared(snapshot)
    assert group is not None
    assert (pids(group), group.cgroup) == ([200, 201], "/jobs/web")
    assert pids(group_of(snapshot, 202)) == [202]


def test_the_inner_of_two_declared_cgroups_counts_and_the_outer_is_not_alone(host: FakeHost) -> None:
    host.run(200, "job", "/jobs/web")
    host.run(201, "job", "/jobs/web/inner", ppid=1)
    write(host, web(cgroup="/jobs/web"), {"name": "log", "id": "c2", "cgroup": "/jobs/web/inner"})
    snapshot = discovery(host).scan()
    inner, outer = group_of(snapshot, 201), group_of(snapshot, 200)
    assert inner is not None
    assert outer is not None
    assert (inner.container_id, inner.cgroup) == ("c2", "/jobs/web/inner")
    assert (outer.container_id, outer.cgroup) == ("c1", None)


def test_a_declared_cgroup_that_is_not_there_yet_is_no_fault(host: FakeHost) -> None:
    write(host, web(cgroup="/jobs/web"))
    found = discovery(host)
    assert found.scan().incomplete == ()
    host.run(200, "job", "/jobs/web")
    assert pids(declared(found.scan())) == [200]


def test_a_declared_container_of_a_real_pod_gives_it_labels_and_keeps_its_place(host: FakeHost) -> None:
    host.run(300, "nginx", REAL)
    uid = POD.partition("pod")[2].partition("pod")[2]
    write(host, web(cgroup=REAL, id="a1" * 32), uid=uid)
    snapshot = discovery(host).scan()
    group = declared(snapshot)
    assert group is not None
    assert (group.pod_uid, group.container_id, group.cgroup, group.pod_cgroup) == (uid, "a1" * 32, REAL, POD)
    assert [pod.labels for pod in snapshot.pods] == [(("app", "web"),)]


def test_a_real_pods_process_is_its_own_whoever_started_it(host: FakeHost) -> None:
    host.run(300, "nginx", REAL, ppid=100)
    write(host, web(pids=[100]))
    snapshot = discovery(host).scan()
    assert pids(declared(snapshot)) == [100, 101]
    assert pids(group_of(snapshot, 300)) == [300]


def test_kernel_threads_are_never_declared(host: FakeHost) -> None:
    host.run(300, "kworker", "/jobs/web", kernel=True)
    host.run(301, "job", "/jobs/web", ppid=1)
    write(host, web(cgroup="/jobs/web"))
    assert pids(declared(discovery(host).scan())) == [301]


@pytest.mark.parametrize("damage", ["{", '{"pods": [{"uid": 1}]}', None])
def test_a_damaged_file_is_said_and_the_last_good_one_holds(host: FakeHost, damage: str | None) -> None:
    write(host, web(pids=[100]))
    found = discovery(host)
    before = found.scan()
    file = host.folder / "pods.json"
    if damage is None:
        file.unlink()
    else:
        file.write_text(damage)
    after = found.scan()
    assert after.groups == before.groups
    assert after.pods == before.pods
    assert len(after.incomplete) == 1
    assert after.incomplete[0].startswith(str(file))
    assert after.incomplete[0].endswith("; the last good one holds")
    write(host, web(pids=[100]))
    assert found.scan().incomplete == ()


def test_a_file_that_never_was_good_is_said(host: FakeHost) -> None:
    found = discovery(host)
    assert found.scan().incomplete == (f"{host.folder}/pods.json: No such file or directory; no declared pods",)


def test_pids_are_declared_where_no_cgroup_is_mounted(tmp_path: Path) -> None:
    host = FakeHost(tmp_path)
    host.run(100, "web")
    write(host, web(pids=[100]))
    snapshot = discovery(host).scan()
    assert pids(declared(snapshot)) == [100]
    assert snapshot.incomplete == ("no cgroup hierarchy is mounted that can be read",)
