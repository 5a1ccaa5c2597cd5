"""The running agent: every part made once, put together, and taken down in order."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack
from pathlib import Path

import structlog

from gthulhu_agent import secret as secrets
from gthulhu_agent import statedir
from gthulhu_agent.agent import Agent
from gthulhu_agent.api import v1
from gthulhu_agent.api.callers import Callers
from gthulhu_agent.api.handlers import Handlers
from gthulhu_agent.api.listener import Listener, listen
from gthulhu_agent.api.server import ApiServer
from gthulhu_agent.api.serving import Guards, Serving
from gthulhu_agent.callers import How
from gthulhu_agent.choosing import find_enforcer, put_back
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.engine import Clock, Engine, Scanner
from gthulhu_agent.errors import AgentError
from gthulhu_agent.hostlock import claimed
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.secret import Secret
from gthulhu_agent.settings import Settings
from gthulhu_agent.state import ConditionKind, Conditions
from gthulhu_agent.store import DesiredStore
from gthulhu_agent.usage.ledger import Ledger
from gthulhu_agent.usage.meter import Meter
from gthulhu_agent.usage.reading import ProcReader

_log = structlog.stdlib.get_logger("gthulhu_agent")


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; what is enforced then stays.

    Raises:
        AgentError: it cannot run; with its cure.
    """
    secret = None if settings.secret_file is None else Secret(secrets.read(settings.secret_file))
    with ExitStack() as held:
        state = held.enter_context(statedir.StateDirectory.claim(settings.state_dir))
        enforcer = find_enforcer(settings.enforcer, state.path)
        if enforcer.name == "none":
            _put_back_former(state, settings.enforcer_lock)
        else:
            held.enter_context(claimed(settings.enforcer_lock))
        listener = listen(settings.listen[0].address, secret=secret is not None, socket_mode=settings.socket_mode)
        try:
            asyncio.run(_run(settings, state, enforcer, listener, secret))
        finally:
            listener.close()


def _put_back_former(state: statedir.StateDirectory, lock: Path | None) -> None:
    """An agent that only measures now leaves nothing of the time when it did more."""
    try:
        count = put_back(state.path, lock)
    except AgentError as error:
        _log.error("what the former enforcer had set stays", error=str(error), cure=error.cure)
    else:
        if count:
            _log.info("put back what the former enforcer had set", things=count)


class Service:
    """All parts of one agent. What differs in a test is passed in; everything else is made here."""

    def __init__(
        self,
        settings: Settings,
        *,
        listener: Listener,
        store: DesiredStore,
        scanner: Scanner,
        enforcer: Enforcer,
        secret: Secret | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or Clock()
        self._settings = settings
        self._listener = listener
        metrics, conditions = Metrics(), Conditions()
        self.engine = Engine(
            scanner=scanner,
            bind=bind,
            enforcer=enforcer,
            conditions=conditions,
            interval=settings.scan_interval,
            protected_units=settings.protected_units,
            self_pid=os.getpid(),
            clock=clock,
            observe=metrics.pass_ended,
        )
        self.agent = Agent(node=settings.node, store=store, engine=self.engine, conditions=conditions, clock=clock)
        metrics.watch(self.agent)
        self._meter = Meter(
            Ledger(ProcReader()),
            in_thread=self.engine.between,
            snapshot=lambda: None if self.engine.last is None else self.engine.last.snapshot,
            managed=lambda: {intent.pod.uid for intent in self.agent.held.intents if intent.pod is not None},
            monotonic=clock.monotonic,
            wall=clock.wall,
        )
        metrics.watch_usage(self.agent, self._meter)
        self.open = listener.loopback and secret is None
        if self.open:
            conditions.raise_(
                ConditionKind.OPEN_ON_LOOPBACK,
                "no secret is set: every user and program of this machine can steer it",
                cure="name a --secret-file, or listen on a Unix socket",
                now=clock.now,
            )
        handlers = Handlers(self.agent, metrics, self._meter)
        callers = Callers(open_as=_open_as(listener, secret), secret=secret)
        guards = Guards(callers, self.open, settings.body_deadline, settings.answer_deadline)
        self._handlers = handlers
        self._server = ApiServer(
            Serving((v1.family(handlers),), guards, metrics),
            metrics,
            max_connections=settings.max_connections,
            headers_deadline=settings.headers_deadline,
        )

    async def start(self) -> None:
        """Take up what is stored, and answer.

        Raises:
            OSError: the state folder cannot be listed.
        """
        await self.agent.start()
        await self._server.start(self._listener)

    async def run(self, told: asyncio.Event) -> None:
        """Enforce until ``told``.

        Raises:
            Exception: a loop ended by itself. That is a fault: let the process end, and be started again.
        """
        stopping = asyncio.create_task(told.wait())
        engine = asyncio.create_task(self.engine.run())
        watch = asyncio.create_task(self.agent.watch_store())
        meter = asyncio.create_task(self._meter.run())
        done, _ = await asyncio.wait([stopping, engine, watch, meter], return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        watch.cancel()
        meter.cancel()
        self.engine.end_loop()
        await engine
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Accept no more, let requests and pushes that run end, and leave what is enforced."""
        await self._server.stop(self._settings.drain_deadline)
        await self._meter.stop()
        await self.agent.stop()
        await self.engine.stop()
        self._handlers.close()


def _open_as(listener: Listener, secret: Secret | None) -> How | None:
    if secret is not None:
        return None
    return "loopback" if listener.path is None else "socket"


async def _run(
    settings: Settings, state: statedir.StateDirectory, enforcer: Enforcer, listener: Listener, secret: Secret | None
) -> None:
    service = Service(
        settings,
        listener=listener,
        store=DesiredStore(state.path),
        scanner=Discovery(pod_file=settings.pod_file),
        enforcer=enforcer,
        secret=secret,
    )
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        await service.start()
    except OSError as error:
        raise AgentError(f"the state folder {state.path} cannot be read: {error.strerror or error}") from error
    secret_file = None if settings.secret_file is None else str(settings.secret_file)
    state.announce(statedir.Running(os.getpid(), listener.address, secret_file))
    _log.info("serving", listen=listener.address, node=settings.node, enforcer=enforcer.name, open=service.open)
    try:
        await service.run(told)
    finally:
        _log.info("stopping; what is enforced stays")
        await service.stop()
