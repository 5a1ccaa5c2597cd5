"""The process connector on this machine's kernel. Others' processes are told too, so each test looks for its own."""

from __future__ import annotations

import select
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requirement import missing
from traced_cgroups import DEADLINE, go, hear, lose

from gthulhu_agent.discovery.events.connector import Connector, parse
from gthulhu_agent.discovery.events.event import Event, Kind, Watch
from gthulhu_agent.errors import EventsError

SO_RCVBUFFORCE = 33
LIFE = """
import ctypes, os
ctypes.CDLL(None).prctl(15, b"renamed")
os.execv("/bin/true", ["true"])
"""
OTHERS = """
import os
os.setsid()
print(flush=True)
sys.stdin.readline()
"""
STORM = """
import ctypes
for _ in range(int(sys.argv[1])):
    ctypes.CDLL(None).prctl(15, b"renamed")
"""
FORKS = """
import os
for _ in range(50):
    os.waitpid(os.fork() or os._exit(0), 0)
os.execv("/bin/true", ["true"])
"""


@pytest.fixture(params=[True, False], ids=["masked by the kernel", "filtered on the socket"])
def connector(request: pytest.FixtureRequest) -> Iterator[Connector]:
    opened = listening(masked=request.param)
    yield opened
    opened.close()


def listening(*, masked: bool = True, at_most: int = 100_000, pause: float = 0.05) -> Connector:
    try:
        return Connector(at_most=at_most, pause=pause, masked=masked)
    except EventsError as error:
        missing(str(error))


def start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-S", "-c", f"import sys; print(flush=True); sys.stdin.readline()\n{program}", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


def finish(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()
    for stream in (child.stdin, child.stdout):
        assert stream
        stream.close()


pytestmark = pytest.mark.kernel


def test_the_life_of_a_process_is_told(connector: Connector) -> None:
    connector.watch({1: Watch.THREADS})
    child = start(LIFE)
    go(child)

    def mine(heard: list[Event]) -> list[Kind]:
        return [event.kind for event in heard if event.tid == child.pid]

    events = hear(connector, lambda heard: mine(heard).count(Kind.EXEC) == 2)
    finish(child)
    assert mine(events) == [Kind.EXEC, Kind.RENAME, Kind.EXEC]
    assert {(event.tgid, event.cgroup) for event in events if event.tid == child.pid} == {(child.pid, 0)}
    assert connector.tally().told[Kind.EXEC] >= 2


def test_a_storm_of_forks_is_not_heard_at_all(connector: Connector) -> None:
    """Every fork of the host woke the agent, which hung up in a storm: for seconds no exec was heard."""
    child = start(FORKS)
    go(child)
    events = hear(connector, lambda heard: [e.kind for e in heard if e.tid == child.pid].count(Kind.EXEC) == 2)
    finish(child)
    assert {event.kind for event in events} <= {Kind.EXEC, Kind.RENAME}


def test_what_else_the_kernel_would_tell_does_not_arrive(connector: Connector) -> None:
    child = start(OTHERS)
    assert child.stdout
    child.stdout.readline()
    assert connector._socket
    connector._socket.setblocking(False)
    drain(connector._socket)
    go(child)
    child.stdout.readline()
    arrived = drain(connector._socket)
    finish(child)
    assert all(parse(message) is not None for message in arrived)


def drain(connection: socket.socket) -> list[bytes]:
    messages = []
    while True:
        try:
            messages.append(connection.recv(512))
        except BlockingIOError:
            return messages


def test_an_overflow_is_told_as_lost_and_hearing_goes_on() -> None:
    with closing(listening()) as connector:
        assert connector._socket
        connector._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 4096)
        child = start(STORM, "50")
        go(child)
        child.wait(DEADLINE)
        finish(child)
        assert lose(connector).lost >= 1
        again = subprocess.Popen(["/bin/true"])
        again.wait()
        hear(connector, lambda heard: any(event.tid == again.pid for event in heard))
        assert connector.tally().lost >= 1


def test_more_than_a_window_allows_ends_the_subscription_for_a_while() -> None:
    with closing(listening(at_most=10)) as connector:
        child = start(STORM, "50")
        go(child)
        child.wait(DEADLINE)
        finish(child)
        told = 0
        while connector._socket is not None:
            assert select.select([connector.fileno()], [], [], DEADLINE)[0]
            told += len(connector.read().events)
        assert told <= 10 * 50
        batch = lose(connector)
        # The word comes when hearing has begun anew, so that a look after it leaves no gap.
        assert (batch.events, batch.lost) == ((), 1)
        assert connector._socket is not None


def test_a_pause_that_is_not_over_gives_nothing() -> None:
    with closing(listening(at_most=0, pause=60)) as connector:
        assert connector.read() == connector.read()
        assert connector._socket is None
        assert not select.select([connector.fileno()], [], [], 0)[0]


def test_without_the_hosts_network_namespace_nobody_answers() -> None:
    program = (
        "from gthulhu_agent.discovery.events.choose import open_events\n"
        "from gthulhu_agent.discovery.layout import find_layout\n"
        "print(open_events('connector', find_layout()))"
    )
    told = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert told.stdout.startswith("(None, ")
    assert "network, pid and user namespaces" in told.stdout


@given(st.binary(max_size=200))
def test_whatever_arrives_is_an_event_or_nothing(message: bytes) -> None:
    assert parse(message) is None or isinstance(parse(message), Event)
