"""A world of its own for each test that runs real programs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from service_world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A world of its own for each test."""
    world = World(tmp_path)
    try:
        yield world
    finally:
        await world.close()
