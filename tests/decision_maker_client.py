"""A client of a Decision Maker's API, and nodes for it to find."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from agent_harness import Harness
from cryptography.hazmat.primitives import serialization

from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId, Thread


@dataclass(frozen=True)
class Answered:
    """One answer."""

    status: int
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:  # noqa: ANN401 - JSON
        """As JSON."""
        return json.loads(self.raw)


@dataclass
class Client:
    """Speaks to the agent as Gthulhu's Manager and scheduler do."""

    agent: Harness

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> Answered:
        """One call; ``body`` is JSON, or bytes as they are."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        stream = None if data is None else io.BytesIO(data)
        url = f"{self.agent.url}{path}"
        async with self.agent.session.request(method, url, data=stream, headers=headers) as answer:
            return Answered(answer.status, dict(answer.headers), await answer.read())

    async def send(self, *intents: dict[str, object], query: str = "") -> Answered:
        """``POST /api/v1/intents``."""
        return await self.call("POST", f"/api/v1/intents{query}", {"intents": list(intents)})

    async def send_node(self, *policies: dict[str, object]) -> Answered:
        """``POST /api/v1/node-intents``."""
        return await self.call("POST", "/api/v1/node-intents", {"policies": list(policies)})

    async def drop(self, **said: object) -> Answered:
        """``DELETE /api/v1/intents``."""
        return await self.call("DELETE", "/api/v1/intents", said)

    async def listed(self) -> list[dict[str, Any]]:
        """``GET /api/v1/scheduling/strategies``."""
        answer = await self.call("GET", "/api/v1/scheduling/strategies")
        assert answer.status == 200, answer.raw
        rows = answer.body["scheduling"]
        assert isinstance(rows, list)
        return rows

    async def pids(self) -> dict[int, int]:
        """Priority by thread, as a scheduler's map would have it."""
        return {row["pid"]: row["priority"] for row in await self.listed()}

    async def root(self, path: str = "intents") -> str:
        """The Merkle root."""
        return str((await self.call("GET", f"/api/v1/{path}/merkle")).body["data"]["rootHash"])

    async def state(self) -> list[dict[str, Any]]:
        """The intents of ``GET /v1/state``."""
        rows = (await self.agent.get("/v1/state"))[1]["intents"]
        assert isinstance(rows, list)
        return rows


def intent(uid: str = "uid-1", **fields: object) -> dict[str, object]:
    """An intent as the Manager sends it."""
    return {"podName": f"pod-{uid}", "podID": uid, "nodeID": "node-1", "k8sNamespace": "shop", **fields}


def process(pid: int, comm: str, *threads: tuple[int, str], argv0: str = "") -> Process:
    """A process; its leader is among its threads."""
    leader = Thread(TaskId(pid, 7), comm)
    return Process(leader.id, comm, argv0 or f"/bin/{comm}", (leader, *(Thread(TaskId(t, 7), n) for t, n in threads)))


def pod(uid: str, *processes: Process, container: str = "c0") -> Group:
    """A container of a pod."""
    cgroup = f"/kubepods/pod{uid}"
    return Group(GroupKind.CONTAINER, f"{cgroup}/{container}", cgroup, uid, container, processes=processes)


def host(unit: str, *processes: Process) -> Group:
    """A systemd unit of the host."""
    return Group(GroupKind.HOST, f"/system.slice/{unit}", unit=unit, processes=processes)


def node(*groups: Group) -> Snapshot:
    """What runs."""
    return Snapshot(groups)


def pods_of(number: int, threads: int) -> Iterator[Group]:
    """``number`` pods of one process with ``threads`` threads each."""
    tids = count(1000)
    for at in range(number):
        pid = next(tids)
        yield pod(f"uid-{at}", process(pid, "app", *((next(tids), "worker") for _ in range(threads - 1))))


async def public_key(agent: Harness) -> str:
    """The agent's public key as PEM, which is all that a login by it shows."""
    key = serialization.load_der_public_key(await agent.service.edge.admission.login.public_key())
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()


ON = {"configVersion": "1", "mode": "gthulhu", "kernelMode": True, "builtinIdle": True, "monitoringEnabled": True}
OFF = {"configVersion": "2", "mode": "none"}


async def apply_config(client: Client, config: Mapping[str, object]) -> Answered:
    return await client.call("POST", "/api/v1/runtime-config", config)


async def config_status(client: Client) -> dict[str, Any]:
    data = (await client.call("GET", "/api/v1/runtime-config")).body["data"]
    assert isinstance(data, dict)
    return data
