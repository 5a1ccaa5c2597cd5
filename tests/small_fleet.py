"""Two real agents in the test's own loop, their inventory, pods and a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent_harness import Harness
from service_world import policy

from gthulhu_reconcile.runtime.settings import Settings, load_settings

NODES = ("n1", "n2")


class Fleet:
    """Two agents, their inventory, pods on both, and one policy."""

    def __init__(self, root: Path, agents: dict[str, Harness]) -> None:
        self.root = root
        self.agents = agents
        self.policies = root / "policies"
        self.policies.mkdir()
        self.write("policies/web.yaml", policy())
        self.pods({"web-1": "n1", "web-2": "n2", "web-3": "n3"})
        hosts = "".join(
            f"    {node}: {{gthulhu_agent_url: '{agent.url}', gthulhu_node_labels: {{pool: {node}}}}}\n"
            for node, agent in agents.items()
        )
        self.write("hosts.yaml", f"all:\n  hosts:\n{hosts}")

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.root / name).write_text(text, encoding="utf-8")

    def pods(self, nodes: dict[str, str]) -> None:
        """Write the pods, by name and node."""
        rows = "".join(
            f"- {{name: {name}, uid: 00000000-0000-4000-8000-{number:012d}, node: {node}, labels: {{app: web}}}}\n"
            for number, (name, node) in enumerate(nodes.items())
        )
        self.write("pods.yaml", f"pods:\n{rows}" if rows else "pods: []\n")

    def settings(self, **overrides: Any) -> Settings:  # noqa: ANN401 - values of settings
        """Settings of this fleet."""
        chosen = {
            "policies": (str(self.policies),),
            "pods": str(self.root / "pods.yaml"),
            "agents": (str(self.root / "hosts.yaml"),),
            "owner": "here",
            "retries.attempts": 1,
            "deadlines.node": "2s",
            **{name.replace("__", "."): value for name, value in overrides.items()},
        }
        settings, diagnostics = load_settings(None, {}, chosen)
        assert diagnostics == ()
        return settings

    async def held(self, node: str) -> list[tuple[str, int]]:
        """Pod and priority of each intent that an agent holds."""
        _, body = await self.agents[node].get("/v1/desired")
        return [(row["pod"]["name"], row["terms"]["schedule"]["priority"]) for row in body["intents"]]
