"""A pod with one container in a kernel in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from enforcing.fake_kernel import APP, POD, Agent, FakeKernel


@pytest.fixture
def kernel() -> FakeKernel:
    """A pod's cgroup and its container's, without processes."""
    made = FakeKernel()
    made.make(POD, 79)
    made.make(APP)
    return made


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    """Where the enforcer remembers."""
    return tmp_path / "state" / "journal"


@pytest.fixture
def agent(kernel: FakeKernel, journal: Path) -> Agent:
    """An enforcer that has never run before."""
    return Agent(kernel, journal)
