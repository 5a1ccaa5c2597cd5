"""Agents that misbehave on purpose: each connection is handed to a script that writes what it likes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

from gthulhu_reconcile.transport.agents import Agent
from gthulhu_wire.intents import EMPTY_DIGEST

Script = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]
"""Gets the head of a request (the body has been read) and writes the answer."""

NODE = "node-1"


@asynccontextmanager
async def misbehaving(script: Script, *, node: str = NODE) -> AsyncIterator[Agent]:
    """An agent that answers every request by ``script``, until the block ends."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            tasks.add(task)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                await script(head, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield Agent(node, f"http://127.0.0.1:{port}")
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()


def answer(body: bytes | object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> bytes:
    """A whole answer; what is no bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", "Content-Type: application/json", f"Content-Length: {len(content)}"]
    lines += [f"{key}: {value}" for key, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def always(content: bytes) -> Script:
    """A script that sends ``content`` to every request."""

    async def script(_head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(content)

    return script


def holding(**changed: object) -> dict[str, object]:
    """What a fresh agent says of what it holds, with ``changed`` keys."""
    fresh: dict[str, object] = {
        "node": NODE,
        "owner": "",
        "token": 0,
        "generation": 0,
        "digest": EMPTY_DIGEST,
        "count": 0,
    }
    return {**fresh, **changed}
