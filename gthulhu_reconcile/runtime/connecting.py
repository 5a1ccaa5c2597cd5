"""The client that a pass talks to agents with: deadlines from the settings, writing on request."""

from __future__ import annotations

from gthulhu_reconcile.errors import GthulhuError
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import Holding
from gthulhu_reconcile.transport.client import AgentClient
from gthulhu_reconcile.transport.fanout import FanOut
from gthulhu_reconcile.transport.retrying import Backoff, Deadlines
from gthulhu_reconcile.transport.watched_calls import Observer
from gthulhu_wire.intents import DesiredSet


class ReadOnlyError(GthulhuError):
    """Something wanted to write during a pass that only looks: a fault of the program."""


class PassClient(AgentClient):
    """An agent client with the settings' deadlines, which refuses to write where it must not."""

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
            observer=observer,
        )
        self._read_only = read_only

    async def put(self, agent: Agent, desired: DesiredSet, *, adopt: bool = False) -> Holding:
        """As :meth:`AgentClient.put`.

        Raises:
            ReadOnlyError: this pass only looks.
        """
        if self._read_only:
            raise ReadOnlyError("a pass that only looks wanted to push; nothing was sent")
        return await super().put(agent, desired, adopt=adopt)


def connect(settings: Settings, *, read_only: bool = False, observer: Observer | None = None) -> PassClient:
    """A client for one or many passes; to be used as a context manager, in one event loop."""
    return PassClient(settings, read_only=read_only, observer=observer)


def backoff(settings: Settings) -> Backoff:
    """How a single agent is tried again within a pass."""
    retries = settings.retries
    return Backoff(retries.attempts, retries.first.total_seconds(), retries.max.total_seconds())
