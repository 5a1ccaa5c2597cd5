"""A whole agent in the test's own loop: real server, store and engine; only what the host would give is passed in."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import aiohttp

from gthulhu_agent.api.edge import Edge
from gthulhu_agent.clock import Clock
from gthulhu_agent.configuring.listens import listens
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId, Thread
from gthulhu_agent.disk import Disk
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.protocol import Applied, EnforcerStats, IntentState
from gthulhu_agent.secret import Secret
from gthulhu_agent.service import Service
from gthulhu_agent.settings import Settings, load
from gthulhu_agent.store import DesiredStore
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, ordered

SECRET = b"a-secret-of-enough-bytes"


def intent(name: str = "web", *, pod: str = "uid-1", priority: int = 5, ends_at: int | None = None) -> Intent:
    """One intent of policy ``name`` for pod ``pod``."""
    terms = Terms(PolicyRef("default", name, "policies/web.yaml"), Schedule(priority=priority), ends_at=ends_at)
    return Intent(terms=terms, rank=0, pod=PodRef("default", f"pod-{pod}", pod))


def desired(generation: int = 1, *intents: Intent, owner: str = "main", token: int = 0) -> DesiredSet:
    """A set of ``owner``."""
    return DesiredSet(owner, token, generation, ordered(intents))


@dataclass
class FakeScanner:
    """Gives ``snapshot``; raises ``error`` instead while there is one."""

    snapshot: Snapshot = field(default_factory=lambda: Snapshot(()))
    error: Exception | None = None
    scans: int = 0

    def scan(self) -> Snapshot:
        """The snapshot."""
        self.scans += 1
        if self.error is not None:
            raise self.error
        return self.snapshot


@dataclass
class FakeKernel:
    """An enforcer that remembers what it was told, and enforces all of it."""

    name: str = "fake"
    capabilities: tuple[str, ...] = ()
    wishes: list[tuple[Binding, ...]] = field(default_factory=list)
    unsure: frozenset[IntentKey] = frozenset()
    hastened: list[tuple[tuple[Binding, ...], frozenset[TaskId]]] = field(default_factory=list)
    reverts: int = 0
    error: Exception | None = None
    _state: Mapping[IntentKey, IntentState] = field(default_factory=dict)

    def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
        """Remember it."""
        if self.error is not None:
            raise self.error
        self.unsure = frozenset(unsure)
        self.wishes.append(tuple(bindings))
        self._state = {
            rule.intent: IntentState(threads=1, processes=1, enforced=True, effective=rule.schedule)
            for binding in bindings
            for rule in binding.rules
        }
        return Applied(self._state)

    def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
        """Remember it."""
        self.hastened.append((tuple(bindings), frozenset(threads)))
        return len(threads)

    def revert(self) -> int:
        """Count it."""
        self.reverts += 1
        count, self._state = len(self._state), {}
        return count

    def state(self) -> Mapping[IntentKey, IntentState]:
        """Of the last wish."""
        return self._state

    def stats(self) -> EnforcerStats:
        """How often it was told."""
        return EnforcerStats(applies=len(self.wishes))

    @property
    def enforced(self) -> set[str]:
        """Names of the policies in the last wish."""
        last = self.wishes[-1] if self.wishes else ()
        return {rule.intent[2] for binding in last for rule in binding.rules}


def snapshot(*uids: str) -> Snapshot:
    """One container with one process for each pod uid."""
    return Snapshot(
        tuple(
            Group(
                kind=GroupKind.CONTAINER,
                cgroup=f"/kubepods/pod{uid}/c{number}",
                pod_cgroup=f"/kubepods/pod{uid}",
                pod_uid=uid,
                container_id=f"c{number}",
                processes=(
                    Process(TaskId(1000 + number, 7), "app", "/app", (Thread(TaskId(1000 + number, 7), "app"),)),
                ),
            )
            for number, uid in enumerate(uids)
        )
    )


def settings(folder: Path, **overrides: Any) -> Settings:  # noqa: ANN401 - fields of Settings
    """Settings for a test: short intervals, generous deadlines."""
    base = load(
        file=None,
        environ={"HOME": str(folder)},
        options={"state_dir": str(folder / "state"), "node": "node-1", "listen": "127.0.0.1:0", "scan_interval": 0.1},
    )
    if isinstance(overrides.get("listen"), str):
        overrides["listen"] = listens(overrides["listen"])
    return replace(base, **overrides)


@dataclass
class Harness:
    """A running agent and a session that talks to it."""

    service: Service
    session: aiohttp.ClientSession
    url: str
    port: int
    scanner: FakeScanner
    kernel: FakeKernel

    async def put(
        self, body: DesiredSet | bytes, *, query: str = "", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """``PUT /v1/desired``."""
        data = body if isinstance(body, bytes) else json.dumps(body.as_json()).encode()
        async with self.session.put(f"{self.url}/v1/desired{query}", data=io.BytesIO(data), headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """``GET path``."""
        async with self.session.get(f"{self.url}{path}", headers=headers) as answer:
            return answer.status, await answer.json()

    async def post(self, path: str) -> tuple[int, dict[str, Any]]:
        """``POST path``."""
        async with self.session.post(f"{self.url}{path}") as answer:
            return answer.status, await answer.json()

    async def until(self, path: str, wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - a predicate on JSON
        """``GET path`` until ``wanted`` holds of it; the test's own deadline ends it otherwise."""
        while True:
            _, value = await self.get(path)
            if wanted(value):
                return value
            await asyncio.sleep(0.01)

    async def next_pass(self) -> None:
        """Wait until a pass that began after this call has ended."""
        await self.service.engine.pass_once()


@asynccontextmanager
async def running(
    folder: Path,
    *,
    scanner: FakeScanner | None = None,
    kernel: FakeKernel | None = None,
    disk: Disk | None = None,
    secret: bytes | None = None,
    clock: Clock | None = None,
    **overrides: Any,  # noqa: ANN401 - fields of Settings
) -> AsyncIterator[Harness]:
    """An agent that serves on loopback, or where ``listen`` says, until the block ends."""
    chosen = settings(folder, **overrides)
    chosen.state_dir.mkdir(mode=0o700, exist_ok=True)
    edge = Edge.open(chosen, clock=clock, secret=None if secret is None else Secret(secret))
    listener = edge.listeners[0].listener
    scanner, kernel = scanner or FakeScanner(snapshot("uid-1")), kernel or FakeKernel()
    service = Service(
        chosen,
        edge=edge,
        store=DesiredStore(chosen.state_dir, disk),
        scanner=scanner,
        enforcer=kernel,
        clock=clock,
    )
    told = asyncio.Event()
    await service.start()
    working = asyncio.create_task(service.run(told))
    if listener.path is None:
        connector: aiohttp.BaseConnector = aiohttp.TCPConnector()
        port = int(listener.address.rpartition(":")[2])
        url = f"http://127.0.0.1:{port}"
    else:
        connector, port, url = aiohttp.UnixConnector(str(listener.path)), 0, "http://localhost"
    headers = {} if secret is None else {"Authorization": f"Bearer {secret.decode()}"}
    try:
        async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
            yield Harness(service, session, url, port, scanner, kernel)
    finally:
        told.set()
        await working
        await service.stop()
        edge.close()
