"""On this machine's kernel: who execs in a pod is scheduled as told, long before a whole pass would come."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_program import PATIENCE, PROGRAM, Program, serving
from requirement import missing
from traced_cgroups import Cgroups

from gthulhu_agent.bpf.object import object_file
from gthulhu_agent.discovery.layout import find_layout
from gthulhu_agent.enforcing import sched_attr
from gthulhu_wire.intents import CommandOn, DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, ordered

pytestmark = [pytest.mark.kernel, pytest.mark.slow]
# Of this run alone: the agent of another test on this machine must not take these pods for its own.
UID, LATER = str(uuid.uuid4()), str(uuid.uuid4())
SLICE_NS = 4_900_000
# Reads lines: what to run, or the name of a thread to start.
SHELL = """
import ctypes, os, threading, time
for line in sys.stdin:
    what, *words = line.split()
    if what == "exec":
        pid = os.fork()
        if not pid:
            os.execv("/bin/sleep", words)
        print(pid, flush=True)
    elif what == "thread":
        def work():
            ctypes.CDLL(None).prctl(15, words[0].encode())
            print(threading.get_native_id(), flush=True)
            time.sleep(600)
        threading.Thread(target=work, daemon=True).start()
    elif what == "storm":
        for _ in range(int(words[0])):
            pid = os.fork()
            if not pid:
                os._exit(0)
            os.waitpid(pid, 0)
        print(0, flush=True)
"""


@pytest.fixture
def cgroups() -> Iterator[Cgroups]:
    if not sched_attr.ability().custom_slice:
        missing("this kernel keeps no slice per thread; it needs Linux 6.12")
    with Cgroups(find_layout().root) as made:
        yield made


@pytest.fixture(params=["bpf", "connector"])
def way(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    if found == "bpf" and not object_file("tracer").exists():
        missing("the tracer is not built: make bpf")
    return found


def container(cgroups: Cgroups, uid: str) -> Path:
    return cgroups.make(f"kubepods/burstable/pod{uid}/{'a1' * 32}")


def agent(folder: Path, way: str) -> Any:  # noqa: ANN401 - a context manager
    # No whole pass comes by itself while a test lasts, and one that follows events comes after it.
    return serving(folder, "--enforcer", "eevdf", "--events", way, "--scan-interval", "1h")


def push(program: Program, *intents: Intent) -> None:
    program.call("PUT", "/v1/desired", DesiredSet("main", 0, 1, ordered(intents)).as_json())
    until(lambda: program.call("GET", "/v1/state")["passedGeneration"] == 1, "a pass over the set")


def intent(uid: str = UID, command: str | None = "^sleep$", command_on: CommandOn = CommandOn.COMM) -> Intent:
    terms = Terms(PolicyRef("shop", uid), Schedule(time_slice_ns=SLICE_NS), command, command_on)
    return Intent(terms, 0, PodRef("shop", f"web-{uid}", uid))


def until(holds: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.002)


def told(tid: int) -> bool:
    return sched_attr.read(tid).slice_ns == SLICE_NS


def start(shell: Any, line: str) -> int:  # noqa: ANN401 - a Popen with pipes
    shell.stdin.write(f"{line}\n".encode())
    shell.stdin.flush()
    return int(shell.stdout.readline())


def shell_in(cgroups: Cgroups, cgroup: Path) -> Any:  # noqa: ANN401 - a Popen with pipes
    shell = cgroups.run(cgroup, SHELL)
    assert shell.stdin
    shell.stdin.write(b"\n")
    shell.stdin.flush()
    return shell


def test_a_process_that_execs_in_a_pod_is_scheduled_as_told(tmp_path: Path, cgroups: Cgroups, way: str) -> None:
    shell = shell_in(cgroups, container(cgroups, UID))
    with agent(tmp_path, way) as program:
        push(program, intent())
        pid = start(shell, "exec sleep 600")
        until(lambda: told(pid), "the slice of a process that was told of")
        process: Any = program.call("GET", f"/v1/processes/{pid}")
        assert process["pod"]["uid"] == UID
        assert not told(shell.pid)


def test_a_thread_that_takes_another_name_is_scheduled_as_told(tmp_path: Path, cgroups: Cgroups, way: str) -> None:
    shell = shell_in(cgroups, container(cgroups, UID))
    with agent(tmp_path, way) as program:
        push(program, intent(command="^io-", command_on=CommandOn.THREAD))
        tid = start(shell, "thread io-7")
        until(lambda: told(tid), "the slice of a thread that was renamed")


def test_what_execs_by_another_argv0_is_scheduled_as_told(tmp_path: Path, cgroups: Cgroups, way: str) -> None:
    shell = shell_in(cgroups, container(cgroups, UID))
    with agent(tmp_path, way) as program:
        push(program, intent(command="^web:master$", command_on=CommandOn.ARGV0))
        other = start(shell, "exec web:worker 600")
        pid = start(shell, "exec web:master 600")
        until(lambda: told(pid), "the slice by the name that it was started by")
        assert not told(other)


def test_a_pod_that_comes_after_its_intents_is_scheduled_as_told(tmp_path: Path, cgroups: Cgroups, way: str) -> None:
    container(cgroups, UID)
    with agent(tmp_path, way) as program:
        push(program, intent(), intent(LATER))
        shell = shell_in(cgroups, container(cgroups, LATER))
        pid = start(shell, "exec sleep 600")
        until(lambda: told(pid), "the slice in a pod that is new")


def test_in_a_pod_whose_processes_fork_in_storms_the_one_that_counts_is_found(
    tmp_path: Path, cgroups: Cgroups, way: str
) -> None:
    """Events are then held back or lost, which is counted and never silent."""
    shell = shell_in(cgroups, container(cgroups, UID))
    with agent(tmp_path, way) as program:
        push(program, intent())
        start(shell, "storm 3000")
        pid = start(shell, "exec sleep 600")
        until(lambda: told(pid), "the slice behind a storm")


def test_an_agent_that_was_told_to_hear_nothing_does_not_complain(tmp_path: Path) -> None:
    with serving(tmp_path, "--events", "none") as program:
        assert "EventsUnavailable" not in str(program.call("GET", "/v1/state"))


def test_an_agent_without_rights_looks_for_threads_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = "-bpf,-perfmon,-sys_admin"
    without = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    monkeypatch.setattr("agent_program.PROGRAM", [*without, *PROGRAM])
    with serving(tmp_path, "--events", "bpf") as program:
        # It answers while it still tries.
        until(lambda: "EventsUnavailable" in str(conditions(program)), "why nothing is heard")
        (condition,) = [one for one in conditions(program) if one["type"] == "EventsUnavailable"]
        assert "bpf" in condition["message"]
        assert not condition["blocksReady"]


def test_an_agent_that_fell_back_to_the_connector_said_so_in_its_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dropped = "-bpf,-perfmon,-sys_admin"
    without = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]
    monkeypatch.setattr("agent_program.PROGRAM", [*without, *PROGRAM])
    with serving(tmp_path) as program:
        until(lambda: "EventsLimited" in str(conditions(program)), "why it is the connector that tells")
        (condition,) = [one for one in conditions(program) if one["type"].startswith("Events")]
        assert "bpf" in condition["message"]
        assert "connector" in condition["message"]
        assert condition["cure"]
        assert not condition["blocksReady"]


def conditions(program: Program) -> Any:  # noqa: ANN401 - JSON
    return program.call("GET", "/v1/state")["conditions"]
