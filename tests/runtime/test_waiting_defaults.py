"""What is waited for an agent where nobody says so."""

from __future__ import annotations

from gthulhu_reconcile.runtime.connecting import backoff, connect
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.retrying import Backoff


async def test_defaults_of_the_settings_and_of_the_transport_had_grown_apart() -> None:
    settings = Settings(owner="main")
    assert backoff(settings) == Backoff()
    async with connect(settings) as configured, AgentClient() as plain:
        assert configured.deadlines == plain.deadlines
        assert (configured.fanout.start, configured.fanout.most) == (plain.fanout.start, plain.fanout.most)
