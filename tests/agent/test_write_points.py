"""Kill -9 at every point where the agent writes: what was acknowledged holds after a restart, and nothing is damaged.

One unharmed run tells the points and what is held after each step. Every other run ends at one of them, in the middle
of a write too; the agent that is started then holds what it held before the step that was under way, or after it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from agent_program import PATIENCE, UnixHTTPConnection, environment
from login_world import admit, assertion, ec_key
from requirement import missing

from gthulhu_agent.enforcing import sched_attr
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms

pytestmark = [pytest.mark.kernel, pytest.mark.slow, pytest.mark.timeout(600)]
UID = "0e4f5a9c-7c39-4f60-8c9f-1d2e3f4a5b6c"
JOURNAL_POINTS = 14
LEFT_HALF_WRITTEN = (".unfinished", ".new", ".tmp")
Told = dict[str, Any]
GONE = (OSError, http.client.HTTPException)
"""How a caller sees that the agent was killed."""


@dataclass(frozen=True, eq=False)
class Step:
    """One call, after which the test waits until what it began is done."""

    method: str
    path: str
    body: Told | None = None


def a_set(generation: int, slice_ns: int) -> Told:
    """A set that gives the pod's threads a slice."""
    terms = Terms(PolicyRef("shop", "web", "web.yaml"), Schedule(time_slice_ns=slice_ns))
    return DesiredSet("main", 0, generation, (Intent(terms, 0, PodRef("shop", "web-0", UID)),)).as_json()


def from_a_manager(execution_time: int) -> Told:
    """The same as a Decision Maker's client says it."""
    intent = {"podID": UID, "podName": "web-0", "k8sNamespace": "shop", "executionTime": execution_time}
    return {"intents": [intent]}


OWN = (
    Step("PUT", "/v1/desired", a_set(1, 3_000_000)),
    Step("PUT", "/v1/desired", a_set(2, 5_000_000)),
    Step("POST", "/v1/revert"),
    Step("POST", "/v1/resume"),
)
DECISION_MAKER = (
    Step("POST", "/api/v1/intents", from_a_manager(3_000_000)),
    Step("POST", "/api/v1/node-intents", {"policies": [{"policyID": "p1", "commandRegex": "^nothing-runs-so$"}]}),
    Step("POST", "/api/v1/runtime-config", {"configVersion": "v1", "mode": "none"}),
    Step("POST", "/api/v1/runtime-config", {"configVersion": "v2", "mode": "gthulhu"}),
    Step("DELETE", "/api/v1/intents", {"all": True}),
)
WRITTEN = {
    OWN: {"desired-000000000002", "eevdf", "probe", "reverted", "running"},
    DECISION_MAKER: {"desired-000000000003", "eevdf", "probe", "running", "runtime-config"},
}
"""Files that the steps write to, without what follows the first dot: a kind that is missing here is not tried."""


class Forks:
    """The program of ``write_points``, which has everything imported."""

    def __init__(self, program: subprocess.Popen[str], folder: Path) -> None:
        self._program = program
        self._folder = folder

    def order(self, order: Told) -> int:
        """Its answer."""
        assert self._program.stdin is not None
        assert self._program.stdout is not None
        self._program.stdin.write(f"{json.dumps(order)}\n")
        self._program.stdin.flush()
        return int(self._program.stdout.readline())

    def start(self, *arguments: str, at: int | None = None) -> int:
        """The pid of ``gthulhu-agent`` with ``arguments``."""
        folder = self._folder
        return self.order(
            {
                "arguments": arguments,
                "at": at,
                "folder": str(folder / "state"),
                "log": str(folder / "points"),
                "errors": str(folder / "errors"),
                "environment": {},
            }
        )

    def end(self, pid: int) -> int:
        """The exit code of ``pid`` once it has ended."""
        return self.order({"wait": pid})


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A process that a pod file declares, and a program that forks agents."""
    if not sched_attr.ability().custom_slice:
        missing("this kernel keeps no slice per thread; it needs Linux 6.12")
    folder = tmp_path_factory.mktemp("points")
    program = [sys.executable, str(Path(__file__).parents[1] / "write_points.py")]
    with (
        subprocess.Popen(["sleep", "infinity"]) as pod,
        subprocess.Popen(
            program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment(folder)
        ) as forks,
    ):
        containers = [{"name": "main", "id": "c1", "pids": [pod.pid]}]
        row = {"uid": UID, "namespace": "shop", "name": "web-0", "labels": {"app": "web"}, "containers": containers}
        (folder / "pods.json").write_text(json.dumps({"pods": [row]}))
        try:
            yield World(folder, Forks(forks, folder), pod.pid)
        finally:
            pod.kill()
            assert forks.stdin is not None
            forks.stdin.close()


class World:
    """One node: its agents, one after the other, and a process for them to schedule."""

    def __init__(self, folder: Path, forks: Forks, pod: int) -> None:
        self.folder = folder
        self.forks = forks
        self.pod = pod
        self._path = folder / "api.sock"

    def serve(self, at: int | None = None, *more: str) -> int:
        """Start an agent that ends at point ``at``."""
        self._path.unlink(missing_ok=True)
        arguments = [
            "serve",
            "--node",
            "n1",
            "--enforcer",
            "eevdf",
            "--listen",
            f"unix:{self._path}",
            "--scan-interval",
            "100ms",
            "--events",
            "none",
        ]
        arguments += ["--pod-file", str(self.folder / "pods.json"), "--state-dir", str(self.folder / "state")]
        return self.forks.start(*arguments, *more, at=at)

    def call(self, method: str, path: str, body: Told | None = None) -> tuple[int, Told]:
        """One call."""
        connection = UnixHTTPConnection(self._path)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, path, body=data, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def until_it_answers(self, pid: int) -> bool:
        """False where it is killed before."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                self.call("GET", "/v1/health")
            except GONE:
                if not running(pid):
                    return False
                time.sleep(0.005)
            else:
                return True
        pytest.fail("it does not answer")

    def until_enforced(self) -> None:
        """Until a pass has seen what is held now."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            _, state = self.call("GET", "/v1/state")
            _, ready = self.call("GET", "/v1/ready")
            kinds = {reason["type"] for reason in ready["reasons"]}
            rows = [row for row in state["intents"] if row["threads"]]
            done = all(row["enforcedSince"] is not None for row in rows) or "Reverted" in kinds
            if done and "Starting" not in kinds and state["passedGeneration"] == state["generation"]:
                return
            time.sleep(0.01)
        pytest.fail("it is not enforced")

    def told(self) -> Told:
        """Everything that has to outlive a restart."""
        _, held = self.call("GET", "/v1/desired")
        _, ready = self.call("GET", "/v1/ready")
        _, root = self.call("GET", "/api/v1/intents/merkle")
        _, node_root = self.call("GET", "/api/v1/node-intents/merkle")
        _, runtime = self.call("GET", "/api/v1/runtime-config")
        return {
            "held": held,
            "reverted": "Reverted" in {reason["type"] for reason in ready["reasons"]},
            "roots": (root["data"], node_root["data"]),
            "runtime": {name: value for name, value in (runtime["data"] or {}).items() if name != "appliedAt"},
        }

    def conditions(self) -> set[str]:
        """What stands in its way."""
        return {condition["type"] for condition in self.call("GET", "/v1/state")[1]["conditions"]}

    def go_through(self, steps: tuple[Step, ...], pid: int) -> list[Told]:
        """Go through ``steps``, as far as it lives; what it told before the first and after each that it ended."""
        told: list[Told] = []
        try:
            if self.until_it_answers(pid):
                self.until_enforced()
                told.append(self.told())
                for step in steps:
                    status, answer = self.call(step.method, step.path, step.body)
                    assert status == 200, answer
                    self.until_enforced()
                    told.append(self.told())
                os.kill(pid, signal.SIGTERM)
        except GONE:
            pass
        return told

    def points(self) -> list[str]:
        """The write points of the last agent."""
        return (self.folder / "points").read_text().splitlines()

    def put_back(self) -> None:
        """Without a running agent."""
        pid = self.forks.start("revert", "--state-dir", str(self.folder / "state"))
        assert self.forks.end(pid) == 0, self.errors()

    def clean(self) -> None:
        """As before the first agent, where everything was put back."""
        for file in (self.folder / "state").iterdir():
            file.unlink()
        (self.folder / "state").rmdir()
        (self.folder / "errors").unlink()

    def errors(self) -> str:
        """What agents wrote to stderr."""
        return (self.folder / "errors").read_text()


def running(pid: int) -> bool:
    """Whether a process of another parent has not ended."""
    return ") Z " not in Path(f"/proc/{pid}/stat").read_text()


@pytest.mark.parametrize("steps", [OWN, DECISION_MAKER], ids=["own", "decision-maker"])
def test_kill_9_at_every_point_where_it_writes(world: World, steps: tuple[Step, ...]) -> None:
    default = sched_attr.read(world.pod).slice_ns
    pid = world.serve()
    expected = world.go_through(steps, pid)
    assert world.forks.end(pid) == 0, world.errors()
    points = world.points()
    world.put_back()
    world.clean()
    assert len(expected) == 1 + len(steps)
    assert {path.partition(" ")[2].partition(".")[0] for path in points} >= WRITTEN[steps]
    first = 0 if steps is OWN else points_of_a_start(points)
    missed = 0
    for at in range(first, len(points)):
        if not in_the_midst(points, at):
            missed += not check_a_death(world, steps, at, expected)
            assert sched_attr.read(world.pod).slice_ns == default, (at, points[at])
    assert missed <= JOURNAL_POINTS, "a pass that two steps share saves the journal once"


def test_kill_9_while_the_token_key_is_made_ends_no_token_that_was_given(world: World) -> None:
    admit(world.folder / "clients", "manager", ec_key())
    logins = ("--token-clients", str(world.folder / "clients"), "--enforcer", "none")
    pid = world.serve(None, *logins)
    assert world.until_it_answers(pid), world.errors()
    log_in(world)
    os.kill(pid, signal.SIGTERM)
    assert world.forks.end(pid) == 0, world.errors()
    points = world.points()
    world.clean()
    key_points = [at for at, point in enumerate(points) if at >= points_of_a_start(points) and "token-key" in point]
    assert len(key_points) > 3
    for at in [*key_points, key_points[-1] + 1]:
        pid = world.serve(at, *logins)
        assert world.until_it_answers(pid), world.errors()
        given = None
        with contextlib.suppress(*GONE):
            given = log_in(world)
            os.kill(pid, signal.SIGTERM)
        assert world.forks.end(pid) == -signal.SIGKILL, (at, world.errors())
        pid = world.serve(None, *logins)
        assert world.until_it_answers(pid), world.errors()
        assert given in (None, log_in(world)), (at, points[at])
        os.kill(pid, signal.SIGTERM)
        assert world.forks.end(pid) == 0, world.errors()
        left = [path.name for path in (world.folder / "state").iterdir() if path.name.endswith(LEFT_HALF_WRITTEN)]
        assert left == [], (at, points[at])
        world.clean()


def test_kill_9_while_it_is_kept_that_an_assertion_was_used_makes_none_good_again(world: World) -> None:
    """The client's clock is ahead, so that what it signs is signed after the restart too."""
    admit(world.folder / "clients", "manager", ec_key())
    logins = ("--token-clients", str(world.folder / "clients"), "--enforcer", "none")

    def proofs() -> list[str]:
        now = time.time() + 20
        return [assertion(ec_key(), number=str(uuid.uuid4()), now=now, aud="gthulhu-agent/n1") for _ in range(2)]

    pid = world.serve(None, *logins)
    assert world.until_it_answers(pid), world.errors()
    assert [take(world, proof) for proof in proofs()] == [200, 200]
    os.kill(pid, signal.SIGTERM)
    assert world.forks.end(pid) == 0, world.errors()
    points = world.points()
    world.clean()
    used_points = [at for at, point in enumerate(points) if "used-assertions" in point]
    assert len(used_points) > 8
    for at in [*used_points, used_points[-1] + 1]:
        pid, sent = world.serve(at, *logins), proofs()
        assert world.until_it_answers(pid), world.errors()
        given = []
        with contextlib.suppress(*GONE):
            for proof in sent:
                assert take(world, proof) == 200, points[at]
                given.append(proof)
            os.kill(pid, signal.SIGTERM)
        assert world.forks.end(pid) in (-signal.SIGKILL, 0), (at, world.errors())
        pid = world.serve(None, *logins)
        assert world.until_it_answers(pid), world.errors()
        assert [take(world, proof) for proof in given] == [401] * len(given), (at, points[at])
        assert take(world, proofs()[0]) == 200
        os.kill(pid, signal.SIGTERM)
        assert world.forks.end(pid) == 0, world.errors()
        left = [path.name for path in (world.folder / "state").iterdir() if path.name.endswith(LEFT_HALF_WRITTEN)]
        assert left == [], (at, points[at])
        world.clean()


def take(world: World, proof: str) -> int:
    """The status with which a login by ``proof`` is answered."""
    return world.call("POST", "/v1/token", {"client_assertion": proof})[0]


def log_in(world: World) -> str:
    """The name of the key that signed the token which a client got."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        proof = assertion(ec_key(), number=str(uuid.uuid4()), now=time.time(), aud="gthulhu-agent/n1")
        status, answer = world.call("POST", "/v1/token", {"client_assertion": proof})
        if status == 200:
            return str(jwt.get_unverified_header(answer["access_token"])["kid"])
        time.sleep(1)  # an assertion of the second in which the agent began could have been used before
    pytest.fail(f"no login: {answer}")


def points_of_a_start(points: list[str]) -> int:
    """How many there are before the first call: the same for whatever comes then."""
    return points.index("rename running.json") + 1


def in_the_midst(points: list[str], at: int) -> bool:
    """Whether it is one of many writes to one file, and neither the first two nor the last."""
    return len(set(points[max(0, at - 2) : at + 2])) == 1 and at >= 2


def check_a_death(world: World, steps: tuple[Step, ...], at: int, expected: list[Told]) -> bool:
    """Kill at one point, and look at what the next agent makes of it; False where the run had fewer points."""
    pid = world.serve(at)
    told = world.go_through(steps, pid)
    code = world.forks.end(pid)
    if code == 0 and len(world.points()) <= at:
        world.put_back()
        world.clean()
        return False
    assert code == -signal.SIGKILL, (at, world.errors())
    where = f"{at}: {world.points()[-1]}"
    assert told == expected[: len(told)], where
    pid = world.serve()
    assert world.until_it_answers(pid), (where, world.errors())
    world.until_enforced()
    found = world.told()
    assert found in expected[max(0, len(told) - 1) : len(told) + 1], where
    assert world.conditions() <= {"OpenOnLoopback", "Reverted", "SwitchedOff"}, where
    assert world.call("PUT", "/v1/desired?adopt=true", a_set(99, 7_000_000))[0] == 200
    assert world.call("POST", "/api/v1/runtime-config", {"configVersion": "v9", "mode": "gthulhu"})[0] == 200
    world.until_enforced()
    assert world.call("POST", "/v1/revert")[0] == 200
    os.kill(pid, signal.SIGTERM)
    assert world.forks.end(pid) == 0, (where, world.errors())
    left = [path.name for path in (world.folder / "state").iterdir() if path.name.endswith(LEFT_HALF_WRITTEN)]
    assert left == [], where
    world.clean()
    return True
