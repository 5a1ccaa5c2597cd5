"""The client that a pass talks to agents with: deadlines from the settings, every call counted, writing on request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from gthulhu_reconcile.errors import AgentRefused, AgentUnreachable, BadAnswer, GthulhuError
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.fanout import FanOut
from gthulhu_reconcile.transport.reports import Discovered
from gthulhu_reconcile.transport.retrying import Backoff, Deadlines
from gthulhu_wire.intents import DesiredSet

_T = TypeVar("_T")

Observer = Callable[[str, str, float], None]
"""Called after each request with what was asked, how it ended, and the seconds that it took."""

OPERATIONS = ("digest", "desired", "put", "pods")
OUTCOMES = ("ok", "unreachable", "refused", "faulty")


class ReadOnlyError(GthulhuError):
    """Something wanted to write during a pass that only looks: a fault of the program."""


class PassClient(AgentClient):
    """An agent client that counts its calls and refuses to write where it must not."""

    def __init__(self, settings: Settings, *, read_only: bool, observer: Observer | None = None) -> None:
        deadlines, parallelism = settings.deadlines, settings.parallelism
        super().__init__(
            deadlines=Deadlines(
                connect=deadlines.connect.total_seconds(),
                request=deadlines.request.total_seconds(),
                node=deadlines.node.total_seconds(),
            ),
            fanout=FanOut(start=min(parallelism.start, parallelism.max), most=parallelism.max),
            secret_file=settings.secret_file,
        )
        self._read_only = read_only
        self._observer = observer

    async def digest(self, agent: Agent, *, more: bool = False) -> Holding:
        """As :meth:`AgentClient.digest`."""
        return await self._counted("digest", super().digest(agent, more=more))

    async def desired(self, agent: Agent) -> Accepted:
        """As :meth:`AgentClient.desired`."""
        return await self._counted("desired", super().desired(agent))

    async def pods(self, agent: Agent) -> Discovered:
        """As :meth:`AgentClient.pods`."""
        return await self._counted("pods", super().pods(agent))

    async def put(self, agent: Agent, desired: DesiredSet, *, adopt: bool = False) -> Holding:
        """As :meth:`AgentClient.put`.

        Raises:
            ReadOnlyError: this pass only looks.
        """
        if self._read_only:
            raise ReadOnlyError("a pass that only looks wanted to push; nothing was sent")
        return await self._counted("put", super().put(agent, desired, adopt=adopt))

    async def _counted(self, operation: str, call: Awaitable[_T]) -> _T:
        if self._observer is None:
            return await call
        loop = asyncio.get_running_loop()
        began = loop.time()
        outcome = "unreachable"
        try:
            result = await call
            outcome = "ok"
        except AgentUnreachable:
            raise
        except AgentRefused:
            outcome = "refused"
            raise
        except BadAnswer:
            outcome = "faulty"
            raise
        else:
            return result
        finally:
            self._observer(operation, outcome, loop.time() - began)


def connect(settings: Settings, *, read_only: bool = False, observer: Observer | None = None) -> PassClient:
    """A client for one or many passes; to be used as a context manager, in one event loop."""
    return PassClient(settings, read_only=read_only, observer=observer)


def backoff(settings: Settings) -> Backoff:
    """How a single agent is tried again within a pass."""
    retries = settings.retries
    return Backoff(retries.attempts, retries.first.total_seconds(), retries.max.total_seconds())
