"""Real programs in a directory of their own: agents on Unix sockets and the service, started and stopped by pid."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import aiohttp
from outliving import ENDS_WITH_US

BIN = Path(sys.executable).parent
PATIENCE = 60.0
"""Seconds after which something is taken not to happen; far above what a loaded machine needs."""

POLICY = """\
apiVersion: policy.gthulhu.io/v1
kind: SchedulingPolicy
metadata: {{name: {name}}}
spec:
  selector: {{matchLabels: {{app: {app}}}}}
  schedule: {{priority: {priority}}}
"""


def policy(name: str = "web", *, app: str = "web", priority: int = 5, more: str = "") -> str:
    """A policy document."""
    return POLICY.format(name=name, app=app, priority=priority) + more


class Program:
    """A program under test, and what it logs."""

    def __init__(self, arguments: list[str], cwd: Path, environ: Mapping[str, str] | None = None) -> None:
        self.log = cwd / f"{Path(arguments[0]).name}-{os.urandom(4).hex()}.log"
        # Not inherited: a variable of the machine that runs the tests is not part of them.
        clean = {name: value for name, value in os.environ.items() if not name.startswith("GTHULHU_")}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*ENDS_WITH_US, str(BIN / arguments[0]), *arguments[1:]],
                cwd=cwd,
                env={**clean, **(environ or {})},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._seen = 0

    def lines(self) -> list[dict[str, Any]]:
        """Every complete line of the log so far; what is not JSON is under ``text``."""
        return [_line(line) for line in self.log.read_text(encoding="utf-8").splitlines()]

    async def logged(self, event: str, **fields: object) -> dict[str, Any]:
        """The next line about ``event`` with these fields; lines before it are not looked at again.

        Raises:
            AssertionError: it does not come.
        """
        for _ in range(int(PATIENCE / 0.02)):
            lines = self.lines()
            for number in range(self._seen, len(lines)):
                line = lines[number]
                if line.get("event") == event and fields.items() <= line.items():
                    self._seen = number + 1
                    return line
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        raise AssertionError(f"no '{event}' {fields} in:\n{self.log.read_text(encoding='utf-8')}")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; its exit status."""
        return await asyncio.to_thread(self.process.wait, PATIENCE)

    async def stop(self) -> None:
        """End it, with SIGTERM and then with SIGKILL."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                await asyncio.to_thread(self.process.wait, PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                await asyncio.to_thread(self.process.wait)


def _line(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        return {"text": text}
    return value if isinstance(value, dict) else {"text": text}


class World:
    """One node, two pods, one policy, and everything that runs over them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.policies = root / "policies"
        self.policies.mkdir()
        self.write("policies/web.yaml", policy())
        self.pods("web-1", "web-2")
        self.settings()
        self._programs: list[Program] = []

    def write(self, name: str, text: str) -> None:
        """Replace a file as an editor does."""
        path = self.root / name
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)

    def settings(
        self,
        *,
        serve: str = "",
        more: str = "",
        interval: str = "1h",
        deadlines: str = "request: 1s, node: 2s",
    ) -> None:
        """Write ``gthulhu.yaml``."""
        self.write(
            "gthulhu.yaml",
            f"owner: here\npods: pods.yaml\nagents: ['unix:{self.root}/n1.sock']\n"
            f"deadlines: {{connect: 500ms, {deadlines}}}\nretries: {{attempts: 1}}\nlogFormat: json\n{more}"
            f"serve: {{interval: {interval}, listen: '127.0.0.1:0', settle: 50ms, retryFirst: 100ms, retryMax: 400ms"
            f"{serve}}}\n",
        )

    def pods(self, *names: str, node: str = "n1") -> None:
        """Write the pods."""
        rows = [
            f"- {{name: {name}, uid: 00000000-0000-4000-8000-{number:012d}, node: {node}, labels: {{app: web}}}}\n"
            for number, name in enumerate(names)
        ]
        self.write("pods.yaml", f"pods:\n{''.join(rows)}" if rows else "pods: []\n")

    def start(self, *arguments: str, environ: Mapping[str, str] | None = None) -> Program:
        """Start a program; it is ended with the test."""
        program = Program(list(arguments), self.root, environ)
        self._programs.append(program)
        return program

    async def agent(self, node: str = "n1") -> Program:
        """An agent that answers; its state outlives it."""
        program = self.start(
            "gthulhu-agent",
            "serve",
            *("--listen", f"unix:{self.root}/{node}.sock", "--state-dir", str(self.root / f"{node}.state")),
            *("--node", node, "--enforcer", "none"),
        )
        await program.logged("serving")
        return program

    async def service(self, *arguments: str) -> Program:
        """The service, listening for probes."""
        program = self.start("gthulhu-reconcile", "serve", *arguments)
        await program.logged("serving")
        return program

    async def ask(self, path: str, node: str = "n1") -> dict[str, Any]:
        """What a node's agent answers."""
        connector = aiohttp.UnixConnector(str(self.root / f"{node}.sock"))
        async with aiohttp.ClientSession(connector=connector) as session, session.get(f"http://agent{path}") as answer:
            body: dict[str, Any] = await answer.json()
            return body

    async def held(self, node: str = "n1") -> list[tuple[str, int]]:
        """Pod and priority of each intent that the agent holds."""
        body = await self.ask("/v1/desired", node)
        return [(row["pod"]["name"], row["terms"]["schedule"]["priority"]) for row in body["intents"]]

    async def close(self) -> None:
        """End everything, the youngest first."""
        for program in reversed(self._programs):
            await program.stop()


async def probe(service: Program, path: str) -> tuple[int, str]:
    """Status and body of one of the service's probes."""
    address = next(line["address"] for line in reversed(service.lines()) if line.get("event") == "probes and metrics")
    async with aiohttp.ClientSession() as session, session.get(f"http://{address}{path}") as answer:
        return answer.status, await answer.text()
