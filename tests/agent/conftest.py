"""Who may log in and by whose certificates, for all modules that need it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from login_world import (
    admit,
    ec_key,
    login,
    rsa_key,
)
from tls_world import Authority

from gthulhu_agent.tokens import (
    Login,
    Ways,
)


@pytest.fixture
def clients(tmp_path: Path) -> Path:
    admit(tmp_path / "clients", "manager", ec_key())
    admit(tmp_path / "clients", "rsa-client", rsa_key())
    return tmp_path / "clients"


@pytest.fixture
async def manager_login(clients: Path) -> AsyncIterator[Login]:
    one = login(Ways(clients=clients))
    yield one
    one.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def own(tmp_path: Path) -> Authority:
    return Authority.make(tmp_path / "authority")
