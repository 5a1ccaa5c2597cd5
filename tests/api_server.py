"""A small API server of Kubernetes: lists pods in pages, and tells a watch what the test says."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Metadata = dict[str, Any]
PAGE = 2


def pod(name: str, labels: dict[str, str] | None = None, *, uid: str = "", mirror: str = "") -> Metadata:
    """Metadata of a pod, as PartialObjectMetadata has it."""
    head: Metadata = {"name": name, "namespace": "default", "uid": uid or f"uid-{name}", "resourceVersion": "5"}
    if labels is not None:
        head["labels"] = labels
    if mirror:
        head["annotations"] = {"kubernetes.io/config.mirror": mirror}
    return {"kind": "PartialObjectMetadata", "metadata": head}


@dataclass
class ApiServer:
    """What it has, what it was asked, and how it misbehaves."""

    pods: list[Metadata] = field(default_factory=list)
    status: int = 200
    token: str = "token-1"  # noqa: S105 - of a server that lives for one test
    asked: list[tuple[dict[str, str], dict[str, str]]] = field(default_factory=list)
    events: asyncio.Queue[dict[str, Any] | bytes | None] = field(default_factory=asyncio.Queue)
    """What a watch is told next; None ends it."""
    body: bytes | None = None
    url: str = ""

    @property
    def lists(self) -> list[dict[str, str]]:
        """Queries of the lists that were asked for, without those of the following pages."""
        return [query for query, _ in self.asked if "watch" not in query and "continue" not in query]

    @property
    def watches(self) -> list[dict[str, str]]:
        """Queries of the watches."""
        return [query for query, _ in self.asked if "watch" in query]

    def tell(self, kind: str, thing: Metadata) -> None:
        """An event."""
        self.events.put_nowait({"type": kind, "object": thing})

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """``GET /api/v1/pods``."""
        self.asked.append((dict(request.query), dict(request.headers)))
        if self.status != 200:
            return web.Response(status=self.status, headers={"Location": "/elsewhere"})
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            return web.Response(status=401)
        if "watch" in request.query:
            return await self._watch(request)
        if self.body is not None:
            return web.Response(body=self.body)
        start = int(request.query.get("continue", "0"))
        head = {"resourceVersion": "5"}
        if start + PAGE < len(self.pods):
            head["continue"] = str(start + PAGE)
        return web.json_response({"metadata": head, "items": self.pods[start : start + PAGE]})

    async def _watch(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while (event := await self.events.get()) is not None:
            await response.write(event if isinstance(event, bytes) else json.dumps(event).encode() + b"\n")
        return response


@asynccontextmanager
async def serving(server: ApiServer, tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
    """``server`` on loopback until the block ends."""
    app = web.Application()
    app.router.add_get("/api/v1/pods", server.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    server.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        server.events.put_nowait(None)
        await runner.cleanup()
