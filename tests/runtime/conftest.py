"""A world of its own for each test that runs real programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from agent_harness import running
from service_world import World
from small_fleet import NODES, Fleet


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world of its own for each test."""
    world = World(tmp_path)
    try:
        yield world
    finally:
        await world.close()


@pytest.fixture
async def fleet(tmp_path: Path) -> AsyncIterator[Fleet]:
    """Two agents that answer."""
    async with AsyncExitStack() as stack:
        agents = {}
        for node in NODES:
            folder = tmp_path / node
            folder.mkdir()
            agents[node] = await stack.enter_async_context(running(folder, node=node))
        yield Fleet(tmp_path, agents)
