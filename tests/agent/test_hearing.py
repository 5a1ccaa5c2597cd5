"""What was told of is looked at in order of worth, within bounds, and what is left out leads to a whole look."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gthulhu_agent.discovery.events.event import Batch, Event, Kind
from gthulhu_agent.discovery.quick import Told
from gthulhu_agent.duty import Duty
from gthulhu_agent.engine import _DUTY_BESIDE_EVENTS
from gthulhu_agent.hearing import CROWD_SHARE, FORK_SHARE, MOST, URGENT_SHARE, Heard
from gthulhu_agent.quickpass import READ_SHARE


@dataclass
class Time:
    """Time that a test moves."""

    now: float = 100.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


def heard(*events: Event, lost: int = 0, time: Time | None = None) -> Heard:
    found = Heard(time or Time())
    found.hear(Batch(events, lost))
    return found


def taken(found: Heard) -> Told:
    took = found.take()
    assert took is not None
    return took[0]


def event(kind: Kind, pid: int = 0, *, tid: int | None = None, cgroup: int = 0, parent: int = 0) -> Event:
    return Event(kind, pid, pid if tid is None else tid, cgroup, parent)


def test_many_events_of_one_process_are_one_look() -> None:
    found = heard(*(event(kind, 7) for kind in (Kind.FORK, Kind.EXEC, Kind.RENAME, Kind.MOVED, Kind.FORK)))
    assert taken(found) == Told((7,))
    assert found.take() is None
    assert found.wait() is None


def test_what_execs_goes_before_what_forks() -> None:
    found = heard(event(Kind.FORK, 1), event(Kind.FORK, 2), event(Kind.EXEC, 3))
    assert [taken(found).pids, taken(found).pids] == [(3,), (1, 2)]


def test_what_has_ended_is_not_looked_at() -> None:
    found = heard(event(Kind.EXEC, 1), event(Kind.FORK, 2), event(Kind.EXIT, 1), event(Kind.EXIT, 2))
    assert found.take() is None


def test_a_process_outlives_its_threads() -> None:
    assert taken(heard(event(Kind.EXEC, 1), event(Kind.EXIT, 1, tid=5))).pids == (1,)


def test_a_new_cgroup_is_looked_at_with_its_parent_and_a_crowd_without() -> None:
    found = heard(event(Kind.CROWDED, cgroup=8), event(Kind.CGROUP_MADE, cgroup=9, parent=3))
    assert [taken(found).cgroups, taken(found).cgroups] == [{9: 3}, {8: 0}]


def test_lost_events_ask_for_a_whole_look_once() -> None:
    found = heard(lost=3)
    assert [found.needs_whole(), found.needs_whole()] == [True, False]
    assert not heard(event(Kind.EXEC, 1)).needs_whole()


def test_too_many_processes_ask_for_a_whole_look_and_are_counted() -> None:
    found = heard(*(event(Kind.EXEC, pid) for pid in range(1, MOST + 3)))
    assert found.needs_whole()
    assert found.left_out == 2


@pytest.mark.parametrize("kind", [Kind.CGROUP_MADE, Kind.CROWDED])
def test_no_more_cgroups_are_remembered_than_processes(kind: Kind) -> None:
    """A container that makes and removes cgroups of its own filled the agent's memory while looks had to wait."""
    found = heard(*(event(kind, cgroup=number, parent=3) for number in range(1, MOST + 3)))
    assert found.needs_whole()
    assert len(taken(found).cgroups) == MOST


def test_a_storm_of_forks_uses_up_its_own_share_and_not_that_of_execs() -> None:
    time = Time()
    found = heard(event(Kind.FORK, 1), time=time)
    took = found.take()
    assert took is not None
    took[1].charge(10.0)
    found.hear(Batch((event(Kind.FORK, 2),)))
    assert found.take() is None
    assert (found.wait() or 0) > 10.0
    found.hear(Batch((event(Kind.CROWDED, cgroup=8), event(Kind.EXEC, 3))))
    assert found.wait() == 0.0
    assert taken(found).pids == (3,)
    assert taken(found).cgroups == {8: 0}
    time.now += 10.2 / FORK_SHARE
    assert taken(found).pids == (2,)


def test_all_shares_and_whole_passes_take_less_than_a_tenth_of_one_cpu() -> None:
    assert READ_SHARE + URGENT_SHARE + CROWD_SHARE + FORK_SHARE + 1 / (1 + _DUTY_BESIDE_EVENTS) < 0.1


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0, 0.3)), max_size=40))
def test_duty_never_takes_more_than_its_share_a_burst_and_the_last_piece(work: list[tuple[float, float]]) -> None:
    time = Time()
    duty = Duty(URGENT_SHARE, 0.2, time)
    used, last, begun = 0.0, 0.0, time.now
    for rest, cost in work:
        time.now += rest
        if duty.wait() == 0:
            duty.charge(cost)
            used, last = used + cost, cost
        assert used - last <= 0.2 + URGENT_SHARE * (time.now - begun) + 1e-9


@given(st.floats(0.001, 5))
def test_duty_lets_work_go_on_after_the_time_that_it_named(cost: float) -> None:
    time = Time()
    duty = Duty(0.02, 0.2, time)
    assert duty.wait() == 0
    duty.charge(cost + 0.2)
    time.now += duty.wait() + 1e-6
    assert duty.wait() == 0
