"""The running agent: every part made once, put together, and taken down in order."""

from __future__ import annotations

import asyncio
import os
import signal

import structlog

from gthulhu_agent import secret as secrets
from gthulhu_agent import statedir
from gthulhu_agent.agent import Agent
from gthulhu_agent.api.calls import ROUTES
from gthulhu_agent.api.handlers import Handlers
from gthulhu_agent.api.listener import Listener, listen
from gthulhu_agent.api.server import ApiServer
from gthulhu_agent.api.serving import Guards, Serving
from gthulhu_agent.choosing import find_enforcer
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.engine import Clock, Engine
from gthulhu_agent.errors import AgentError
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.secret import Secret
from gthulhu_agent.settings import Settings
from gthulhu_agent.state import ConditionKind, Conditions
from gthulhu_agent.store import DesiredStore

_log = structlog.stdlib.get_logger("gthulhu_agent")


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; what is enforced then stays.

    Raises:
        AgentError: it cannot run; with its cure.
    """
    secret = None if settings.secret_file is None else Secret(secrets.read(settings.secret_file))
    with statedir.StateDirectory.claim(settings.state_dir) as state:
        enforcer = find_enforcer(settings.enforcer, state.path)
        listener = listen(settings.listen, secret=secret is not None, socket_mode=settings.socket_mode)
        try:
            asyncio.run(_run(settings, state, enforcer, listener, secret))
        finally:
            listener.close()


async def _run(
    settings: Settings, state: statedir.StateDirectory, enforcer: Enforcer, listener: Listener, secret: Secret | None
) -> None:
    clock, conditions, metrics = Clock(), Conditions(), Metrics()
    engine = Engine(
        scanner=Discovery(pod_file=settings.pod_file),
        bind=bind,
        enforcer=enforcer,
        conditions=conditions,
        interval=settings.scan_interval,
        protected_units=settings.protected_units,
        self_pid=os.getpid(),
        clock=clock,
        observe=metrics.pass_ended,
    )
    agent = Agent(node=settings.node, store=DesiredStore(state.path), engine=engine, conditions=conditions, clock=clock)
    metrics.watch(agent)
    open_to_all = listener.loopback and secret is None
    if open_to_all:
        conditions.raise_(
            ConditionKind.OPEN_ON_LOOPBACK,
            "no secret is set: every user and program of this machine can steer it",
            cure="name a --secret-file, or listen on a Unix socket",
            now=clock.now,
        )
    handlers = Handlers(agent, metrics)
    serving = Serving(
        {route.operation: getattr(handlers, route.operation) for route in ROUTES},
        Guards(secret, open_to_all, settings.body_deadline, settings.answer_deadline),
        metrics,
    )
    server = ApiServer(
        serving, metrics, max_connections=settings.max_connections, headers_deadline=settings.headers_deadline
    )
    try:
        await agent.start()
    except OSError as error:
        raise AgentError(f"the state folder {state.path} cannot be read: {error.strerror or error}") from error
    await server.start(listener)
    state.announce(
        statedir.Running(
            os.getpid(), listener.address, None if settings.secret_file is None else str(settings.secret_file)
        )
    )
    _log.info("serving", listen=listener.address, node=settings.node, enforcer=enforcer.name, open=open_to_all)
    await _until_told_to_stop(engine, agent)
    _log.info("stopping; what is enforced stays")
    await server.stop(settings.drain_deadline)
    await agent.stop()
    await engine.stop()


async def _until_told_to_stop(engine: Engine, agent: Agent) -> None:
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    waiting = asyncio.create_task(told.wait())
    working = [asyncio.create_task(engine.run()), asyncio.create_task(agent.watch_store())]
    done, _ = await asyncio.wait([waiting, *working], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    working[1].cancel()
    for task in done:
        task.result()  # a loop that ended by itself is a fault: let the process end, and be started again
    engine_loop = working[0]
    if not engine_loop.done():
        engine.end_loop()
        await engine_loop
