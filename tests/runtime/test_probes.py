"""``/livez``, ``/readyz`` and ``/metrics``, over real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.runtime.health import Health
from gthulhu_reconcile.runtime.metrics import Metrics
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.probes import Probes
from gthulhu_reconcile.runtime.settings_types import Listen, parse_listen


class Served:
    """Probes that are served, and what they answer."""

    def __init__(self) -> None:
        self.health = Health(asyncio.get_running_loop().time, stale_after=900, pass_limit=600)
        self.metrics = Metrics()
        self.refreshed = 0
        self.probes = Probes(self.health, self.metrics.registry, self._refresh)
        self.address = Listen("127.0.0.1", 0)

    def _refresh(self) -> None:
        self.refreshed += 1

    async def get(self, path: str) -> tuple[int, str]:
        """Status and body."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.address}{path}") as answer:
            return answer.status, await answer.text()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    served.address = await served.probes.start(served.address)
    yield served
    await served.probes.stop()


async def test_readiness_is_said_with_its_reasons(served: Served) -> None:
    status, body = await served.get("/readyz")
    assert status == 503
    assert '"no pass has gone through yet"' in body
    served.health.ended(Result.NOOP)
    served.health.settings_problem = "gthulhu.yaml:1:1: nonsense"
    status, body = await served.get("/readyz")
    assert status == 200
    assert "the former settings are in force: gthulhu.yaml:1:1: nonsense" in body


async def test_liveness_does_not_depend_on_readiness(served: Served) -> None:
    assert (await served.get("/livez"))[0] == 200
    served.health.pass_limit = -1
    served.health.began()
    status, body = await served.get("/livez")
    assert status == 503
    assert "a pass has been running" in body


async def test_metrics_are_readable_by_prometheus_and_fresh(served: Served) -> None:
    status, body = await served.get("/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(body)}
    assert {"gthulhu_reconcile", "gthulhu_agents", "process_open_fds"} <= names
    assert served.refreshed == 1


async def test_an_address_that_is_taken_is_an_error_and_what_was_served_goes_on(served: Served) -> None:
    other = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    async with other:
        port = other.sockets[0].getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen on 127.0.0.1:{port}"):
            await served.probes.start(Listen("127.0.0.1", port))
    assert (await served.get("/livez"))[0] == 200


async def test_another_address_takes_the_place_of_the_former(served: Served) -> None:
    former = served.address
    served.address = await served.probes.start(Listen("127.0.0.1", 0))
    assert (await served.get("/livez"))[0] == 200
    with pytest.raises(ConnectionError):
        await asyncio.open_connection(former.host, former.port)


@pytest.mark.parametrize("text", ["0.0.0.0:80", "[::]:80", "192.0.2.1:80", "example.org:80", "127.0.0.1", ":80", "x:y"])
def test_no_address_that_other_machines_reach_is_ever_taken(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        parse_listen(text)


@pytest.mark.parametrize("text", ["127.0.0.1:80", "127.8.8.8:0", "[::1]:65535", "localhost:80"])
def test_loopback_addresses_are_taken(text: str) -> None:
    assert parse_listen(str(parse_listen(text))) == parse_listen(text)
