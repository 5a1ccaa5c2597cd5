"""A busy pod keeps neither calm ones waiting nor the agent from its bounds."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.duty import Duty
from gthulhu_agent.turns import CALM_SHARE, OVERDRAFT, Turns

_SHARE, _BURST = 0.04, 0.2


@dataclass
class Time:
    """Time that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def turns(time: Time | None = None) -> Turns:
    clock = time or Time()
    return Turns(Duty(_SHARE, _BURST, clock), clock)


def waiting(found: Turns, *pids: int, cgroup: int) -> None:
    for pid in pids:
        found.add(pid, cgroup)


def test_calm_cgroups_go_first() -> None:
    found = turns()
    waiting(found, 1, cgroup=1)
    turn = found.take(10)
    assert turn is not None
    turn.charge(0.01)
    waiting(found, 2, cgroup=1)
    waiting(found, 3, cgroup=2)
    turn = found.take(10)
    assert turn is not None
    assert turn.pids == (3, 2)


def test_an_exec_storm_in_one_pod_kept_execs_of_all_others_waiting() -> None:
    time = Time()
    found = turns(time)
    for pid in range(1, 1000):
        found.add(pid, 1)
        turn = found.take(10)
        if turn is None:
            break
        turn.charge(0.001)
    else:
        raise AssertionError("the storm was never held back")
    assert found.wait() > 0
    found.add(5000, 2)
    assert found.wait() == 0
    turn = found.take(10)
    assert turn is not None
    assert turn.pids == (5000,)


def test_one_cgroup_has_a_part_of_each_turn_alone() -> None:
    found = turns()
    waiting(found, *range(1, 100), cgroup=1)
    waiting(found, 500, cgroup=2)
    turn = found.take(64)
    assert turn is not None
    assert 500 in turn.pids


def test_a_process_that_moves_waits_once_where_it_is() -> None:
    found = turns()
    found.add(7, 1)
    found.add(7, 2)
    assert len(found) == 1
    turn = found.take(10)
    assert turn is not None
    assert turn.pids == (7,)
    assert found.take(10) is None


def test_what_ended_waits_no_longer() -> None:
    found = turns()
    found.add(7, 1)
    found.discard(7)
    found.discard(8)
    assert 7 not in found
    assert found.take(10) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(1, 30), st.floats(0, 0.05), st.floats(0.0001, 0.01)), max_size=200
    )
)
def test_looks_take_no_more_than_their_share_and_the_overdraft(
    steps: list[tuple[int, int, float, float]],
) -> None:
    time = Time()
    found = turns(time)
    used, begun, pid = 0.0, time.now, 0
    for cgroup, count, rest, cost in steps:
        time.now += rest
        for _ in range(count):
            pid += 1
            found.add(pid, cgroup)
        while (turn := found.take(8)) is not None:
            turn.charge(cost)
            used += cost
            assert used - cost <= _BURST + OVERDRAFT + _SHARE * (time.now - begun) + 1e-9


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 0.02)), min_size=1, max_size=100))
def test_who_waits_as_long_as_it_is_told_gets_a_turn(steps: list[tuple[int, float]]) -> None:
    time = Time()
    found = turns(time)
    for pid, (cgroup, cost) in enumerate(steps, start=1):
        found.add(pid, cgroup)
        time.now += found.wait() + 1e-9
        turn = found.take(8)
        assert turn is not None
        turn.charge(cost)


def test_meters_of_cgroups_that_are_calm_again_are_forgotten() -> None:
    time = Time()
    found = turns(time)
    for cgroup in range(5000):
        found.add(cgroup + 1, cgroup)
        time.now += 1 / CALM_SHARE
        turn = found.take(8)
        assert turn is not None
        turn.charge(0.001)
    assert len(found._meters) <= 4097
