"""10,000 virtual agents in one process, on loopback: one address of 127.0.0.0/8 each, one port for all of them.

They answer ``GET /v1/digest`` and ``PUT /v1/desired`` as an agent does and keep what they acknowledge. Every twentieth
accepts connections and never says a word.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys

from gthulhu_wire.intents import EMPTY_DIGEST

SILENT_EVERY = 20


def address(number: int) -> str:
    """Where virtual agent ``number`` (0 to 65,535) listens."""
    return f"127.1.{number >> 8}.{number & 0xFF}"


def node(number: int) -> str:
    """What its node is called."""
    return f"n{number:05}"


def silent(number: int) -> bool:
    """Whether it never answers."""
    return number % SILENT_EVERY == SILENT_EVERY // 2


def allow_files() -> None:
    """As many open files as the machine allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Connection(asyncio.Protocol):
    """One connection to one virtual agent; knows just enough of HTTP."""

    def __init__(self, held: dict[int, dict[str, object]]) -> None:
        self._held = held
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out which agent is meant."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what asyncio gives for TCP
        self._transport = transport
        third, fourth = transport.get_extra_info("sockname")[0].split(".")[2:]
        self._number = int(third) << 8 | int(fourth)

    def data_received(self, data: bytes) -> None:
        """Answer once a request is whole."""
        if silent(self._number) or self._transport is None:
            return
        self._received += data
        head, separator, body = self._received.partition(b"\r\n\r\n")
        if not separator:
            return
        lower = head.lower()
        at = lower.find(b"content-length:")
        if at >= 0 and len(body) < int(lower[at + 15 :].split(b"\r\n", 1)[0]):
            return
        self._received = b""
        close = b"connection: close" in lower
        self._transport.write(self._answer(head.startswith(b"PUT"), body, close=close))
        if close:
            self._transport.close()

    def _answer(self, put: bool, body: bytes, *, close: bool) -> bytes:
        held = self._held.get(self._number)
        if held is None:
            held = {"node": node(self._number), "owner": "", "token": 0, "generation": 0, "digest": EMPTY_DIGEST}
            held["count"] = 0
        if put:
            told = json.loads(body[: body.index(b',"intents":')] + b"}")
            held = self._held[self._number] = {**held, **told}
        content = json.dumps(held).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n"
        return f"{head}Connection: {'close' if close else 'keep-alive'}\r\n\r\n".encode() + content


async def serve() -> None:
    """Print the port, and serve until standard input ends."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # All of 127.0.0.0/8, and nothing that does not come over the loopback device.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
    listener.bind(("0.0.0.0", 0))  # noqa: S104 - bound to the loopback device above
    held: dict[int, dict[str, object]] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(held), sock=listener, backlog=4096)
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    allow_files()
    asyncio.run(serve())
