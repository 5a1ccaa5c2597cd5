"""Nothing that an intent reaches starts unheard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.events.event import Watch
from gthulhu_agent.discovery.kubepods import Place, place_of
from gthulhu_agent.discovery.snapshot import GroupKind
from gthulhu_agent.discovery.watchlist import watch_list

ALL = Watch.THREADS | Watch.CGROUPS
POD = "/kubepods/burstable/pod20da609e-3d5c-4c1a-9d0f-aa11bcc5becc"
SYSTEMD = "/kubepods.slice/kubepods-pod20da609e_3d5c_4c1a_9d0f_aa11bcc5becc.slice"
CONTAINER = f"{POD}/{'a1' * 32}"
UID = POD.rpartition("/pod")[2]
PATHS = (
    "/kubepods",
    "/kubepods/burstable",
    POD,
    CONTAINER,
    "/kubepods/besteffort",
    "/kubepods.slice",
    SYSTEMD,
    "/system.slice",
    "/system.slice/db.service",
    "/system.slice/db.service/inner",
    "/user.slice/user-1000.slice/session-3.scope",
    "/lxc/one",
)
PLACES = {path: place_of(path) for path in PATHS}


def watched(*reached: str, declared: tuple[str, ...] = ()) -> dict[str, Watch]:
    return watch_list(PLACES, lambda place: place.cgroup in reached or place.pod_uid in reached, declared)


def test_without_intents_only_what_may_become_a_pod_is_heard_of() -> None:
    folders = ("/", "/kubepods", "/kubepods/burstable", "/kubepods/besteffort", "/kubepods.slice")
    assert watched() == dict.fromkeys(folders, Watch.CGROUPS)


def test_a_pod_is_heard_of_with_all_of_its_containers_whatever_the_driver() -> None:
    found = watched(UID)
    assert {path for path, watch in found.items() if watch == ALL} == {POD, CONTAINER, SYSTEMD}


def test_what_is_above_a_reached_unit_tells_of_new_ones() -> None:
    found = watched("/system.slice/db.service")
    assert found["/system.slice/db.service"] == ALL
    assert found["/system.slice"] == Watch.CGROUPS


def test_cgroups_of_declared_processes_are_heard_of() -> None:
    assert watched(declared=("/lxc/one",))["/lxc/one"] == ALL


@given(st.sets(st.sampled_from(PATHS)))
def test_whatever_is_reached_is_heard_of_and_nothing_elses_threads_are(reached: set[str]) -> None:
    def reaches(place: Place) -> bool:
        return place.cgroup in reached

    found = watch_list(PLACES, reaches)
    for path, place in PLACES.items():
        assert bool(found.get(path, Watch(0)) & Watch.THREADS) == reaches(place)
        if reaches(place) and place.kind is GroupKind.HOST:
            above = path.rpartition("/")[0]
            assert not above or found[above] & Watch.CGROUPS
    assert found["/"] & Watch.CGROUPS
