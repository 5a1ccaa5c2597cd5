"""A push that arrives and is not heard of again is still ours."""

from __future__ import annotations

from random import Random

import pytest
import structlog
from agent_harness import desired, intent
from service_world import policy
from small_fleet import Fleet
from structlog.testing import LogCapture

from gthulhu_reconcile.errors import AgentUnreachable
from gthulhu_reconcile.runtime.connecting import PassClient
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.service import Service
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_wire.intents import DesiredSet

DRIFT = "agent was changed by somebody else"


class Served:
    """A service whose passes are run one by one, and what it logs."""

    def __init__(self, fleet: Fleet) -> None:
        settings = fleet.settings(serve__settle="1ms")
        self.capture = LogCapture()
        log = structlog.wrap_logger(None, processors=[self.capture])
        self.service = Service(lambda: (settings, ()), settings, fleet.root / "gthulhu.yaml", log, Random(1))

    async def passes(self) -> Result:
        """One pass."""
        return (await self.service.once()).result

    def drifted(self) -> list[str]:
        """Nodes that somebody else is said to have changed."""
        return [entry["node"] for entry in self.capture.entries if entry["event"] == DRIFT]


@pytest.mark.parametrize(
    "fault", [AgentUnreachable("n1", "the connection was closed without an answer"), TimeoutError("cut")], ids=str
)
@pytest.mark.filterwarnings("ignore:Remove `format_exc_info`")
async def test_our_own_push_was_taken_for_somebody_elses_when_its_answer_was_lost(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, fault: Exception
) -> None:
    served = Served(fleet)
    assert await served.passes() is Result.SUCCESS
    fleet.write("policies/web.yaml", policy(priority=6))
    real = PassClient.put

    async def deaf(self: PassClient, agent: Agent, desired: DesiredSet, *, adopt: bool = False) -> Holding:
        await real(self, agent, desired, adopt=adopt)
        raise fault

    with monkeypatch.context() as patched:
        patched.setattr(PassClient, "put", deaf)
        assert await served.passes() is Result.ERROR
    assert await served.passes() in (Result.NOOP, Result.SUCCESS)
    assert await fleet.held("n1") == [("web-1", 6)]
    assert served.drifted() == []

    await fleet.agents["n1"].put(desired(9, intent("theirs"), owner="here"))
    assert await served.passes() is Result.SUCCESS
    assert served.drifted() == ["n1"]
