"""What the agent is compared with: the server that one would write first. It keeps nothing on disk and checks nothing.

``agent_plain.py SOCKET FILE`` takes the intents of FILE, finds their threads by one walk over ``/proc`` with Python's
``re`` (the same facts as the agent's discovery), sets each thread's nice value, and serves two calls of a Decision
Maker over an ``aiohttp`` application.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from aiohttp import web

POD = re.compile(r"pod([0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12})")


class Node:
    """Intents by pod, and what a walk found for them."""

    def __init__(self) -> None:
        self.intents: dict[str, list[dict[str, Any]]] = {}
        self.found: list[dict[str, Any]] = []
        self.seconds = 0.0

    def take(self, intents: list[dict[str, Any]]) -> None:
        """Replace all intents."""
        self.intents = {}
        for intent in intents:
            self.intents.setdefault(intent["podID"], []).append(intent)

    def resolve(self) -> None:
        """Walk over /proc and say which intent takes which thread."""
        begun = time.perf_counter()
        self.found = []
        for name in os.listdir("/proc"):  # noqa: PTH208 - the faster of the two
            if name.isdecimal():
                with suppress(FileNotFoundError, ProcessLookupError):
                    self._process(f"/proc/{name}")
        self.seconds = time.perf_counter() - begun

    def enforce(self) -> None:
        """Set what was found."""
        for one in self.found:
            with suppress(ProcessLookupError):
                os.setpriority(os.PRIO_PROCESS, one["pid"], -one["priority"])

    def _process(self, folder: str) -> None:
        match = POD.search(_text(f"{folder}/cgroup"))
        if match is None:
            return
        _text(f"{folder}/stat").rpartition(")")[2].split()
        _text(f"{folder}/cmdline").split("\0")
        comm = _text(f"{folder}/comm").strip()
        threads = {
            int(tid): (
                _text(f"{folder}/task/{tid}/stat").rpartition(")")[2].split()[19],
                _text(f"{folder}/task/{tid}/comm").strip(),
            )
            for tid in os.listdir(f"{folder}/task")  # noqa: PTH208 - the faster of the two
        }
        for intent in self.intents.get(match[1].replace("_", "-"), ()):
            if re.search(intent.get("commandRegex", ""), comm):
                self.found += ({"pid": tid, **intent} for tid in threads)
                return


def _text(path: str) -> str:
    with open(path, errors="replace") as file:  # noqa: PTH123 - the faster of the two
        return file.read()


def main() -> None:
    """Resolve, then serve."""
    node = Node()
    node.take(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))

    async def health(_request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def ready(_request: web.Request) -> web.Response:
        if not node.found:
            node.resolve()
            node.enforce()
        return web.json_response({"seconds": node.seconds})

    async def post(request: web.Request) -> web.Response:
        node.take((await request.json())["intents"])
        return web.json_response({"success": True})

    async def strategies(_request: web.Request) -> web.Response:
        node.resolve()
        node.enforce()
        return web.json_response({"success": True, "scheduling": node.found})

    application = web.Application(client_max_size=1 << 30)
    application.add_routes(
        [
            web.get("/v1/health", health),
            web.get("/v1/ready", ready),
            web.post("/api/v1/intents", post),
            web.get("/api/v1/scheduling/strategies", strategies),
        ]
    )
    web.run_app(application, path=sys.argv[1], print=None)


if __name__ == "__main__":
    main()
