"""The running agent: every part made once, put together, and taken down in order."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gthulhu_agent import lean, statedir
from gthulhu_agent.agent import Agent
from gthulhu_agent.api import v1
from gthulhu_agent.api.calls import Family
from gthulhu_agent.api.edge import Edge, Opened
from gthulhu_agent.api.handlers import Handlers
from gthulhu_agent.api.server import ApiServer
from gthulhu_agent.api.serving import Guards, Serving
from gthulhu_agent.choosing import find_enforcer, put_back
from gthulhu_agent.clock import Clock
from gthulhu_agent.discovery.events.choose import open_events
from gthulhu_agent.discovery.events.event import Events
from gthulhu_agent.discovery.layout import LayoutError, find_layout
from gthulhu_agent.discovery.parents import parent_of
from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.enforcing.matching import bind
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.engine import Engine, GivingWay, Scanner
from gthulhu_agent.errors import AgentError
from gthulhu_agent.hostlock import claimed
from gthulhu_agent.legacy.decision_maker import DecisionMaker
from gthulhu_agent.legacy.reaching import Strategies
from gthulhu_agent.legacy.runtime import Runtime, daemon_at
from gthulhu_agent.legacy.runtime_file import RuntimeFile
from gthulhu_agent.metrics.exposition import Metrics
from gthulhu_agent.settings import Settings
from gthulhu_agent.state import ConditionKind, Conditions
from gthulhu_agent.store import DesiredStore
from gthulhu_agent.usage.ledger import Ledger
from gthulhu_agent.usage.meter import Meter
from gthulhu_agent.usage.reading import ProcReader

if TYPE_CHECKING:
    from gthulhu_agent.legacy.kubernetes import PodWatch

_log = structlog.stdlib.get_logger("gthulhu_agent")


def serve(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT; what is enforced then stays.

    Raises:
        AgentError: it cannot run; with its cure.
    """
    with ExitStack() as held:
        state = held.enter_context(statedir.StateDirectory.claim(settings.state_dir))
        enforcer = find_enforcer(settings.enforcer, state.path)
        if enforcer.name == "none":
            _put_back_former(state, settings.enforcer_lock)
        else:
            held.enter_context(claimed(settings.enforcer_lock))
        with closing(Edge.open(settings)) as edge:
            asyncio.run(_run(settings, state, enforcer, edge))


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
        edge: Edge,
        store: DesiredStore,
        scanner: Scanner,
        enforcer: Enforcer,
        clock: Clock | None = None,
        events: Events | None = None,
        looker: GivingWay | None = None,
    ) -> None:
        clock = clock or Clock()
        self._settings = settings
        self.edge = edge
        self._clock = clock
        metrics, conditions = Metrics(), Conditions()
        self._metrics = metrics
        self._conditions = conditions
        self.engine = Engine(
            scanner=scanner,
            bind=bind,
            enforcer=enforcer,
            conditions=conditions,
            interval=settings.scan_interval,
            protected_units=settings.protected_units,
            self_pid=os.getpid(),
            clock=clock,
            observe=self._pass_ended,
            events=events,
            looker=looker,
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
        metrics.watch_logins(edge.admission.login.tally, edge.tls)
        self.decisions = DecisionMaker(
            self.agent, protected_namespaces=settings.protected_namespaces, ppid_of=parent_of
        )
        metrics.watch_reports(self.decisions.metric_sets, settings.machine_id)
        self.strategies = Strategies(self.decisions)
        self._pod_watch = self._watch_pods()
        self.open = edge.open_to_all
        self._say_who_comes_in()
        self._handlers = Handlers(self.agent, metrics, self._meter, edge.admission.login)
        self.runtime = Runtime(
            self.agent,
            RuntimeFile(settings.state_dir, store.disk),
            daemon_at(settings.daemon_endpoint, settings.daemon_timeout_sec),
        )
        self._servers = [(opened, self._server(opened, metrics)) for opened in edge.listeners]

    def _server(self, opened: Opened, metrics: Metrics) -> ApiServer:
        settings, callers = self._settings, self.edge.callers(opened)
        guards = Guards(callers, callers.open_as == "loopback", settings.body_deadline, settings.answer_deadline)
        return ApiServer(
            Serving(self._families(opened), guards, metrics),
            metrics,
            max_connections=settings.max_connections,
            headers_deadline=settings.headers_deadline,
            tls=self.edge.tls_of(opened),
        )

    def _families(self, opened: Opened) -> tuple[Family, ...]:
        own = v1.family(self._handlers, open_metrics=self._settings.compat_open_metrics)
        if opened.said.api == "bss":
            from gthulhu_agent.api import bss  # noqa: PLC0415 - few nodes have clients that are so old

            login = self.edge.admission.login
            return (bss.family(self.decisions, login, cors=self._settings.bss_cors_origins), own)
        if opened.said.api == "dm":
            from gthulhu_agent.api import decision_maker  # noqa: PLC0415 - nodes without such clients do without it

            login = self.edge.admission.login
            return (*decision_maker.families(self.decisions, login, self.runtime, opened.said.dialect), own)
        return (own,)

    def _watch_pods(self) -> PodWatch | None:
        said = self._settings
        if not said.bss_kubernetes:
            return None
        from gthulhu_agent.legacy.kubernetes import PodWatch, api_server  # noqa: PLC0415 - few nodes ask an API server

        server = api_server(
            said.bss_kubernetes, said.bss_kubernetes_token_file, said.bss_kubernetes_ca_file, os.environ
        )
        self.strategies.watch = watch = PodWatch(server, said.node, changed=self.strategies.changed)
        return watch

    def _pass_ended(self, seconds: float) -> None:
        self._metrics.pass_ended(seconds)
        self.strategies.pass_ended()

    def _say_who_comes_in(self) -> None:
        if self.open:
            self._conditions.raise_(
                ConditionKind.OPEN_ON_LOOPBACK,
                "no login is set up: every user and program of this machine can steer it",
                cure="name a --secret-file, or listen on a Unix socket",
                now=self._clock.now,
            )
        ways = self.edge.admission.login.ways
        if ways.enabled and ways.public_key:
            self._conditions.raise_(
                ConditionKind.LOGIN_PROVES_NOTHING,
                "compat.public_key_login is on: whoever knows the public key, which is no secret, gets a token",
                cure="let clients sign assertions (token.clients) or show certificates (mtls.clients): docs/login.md",
                now=self._clock.now,
            )
            _log.warning("the public key is taken as a login, which proves nothing", cure="docs/login.md")

    async def start(self) -> None:
        """Take up what is stored, and answer.

        Raises:
            OSError: the state folder cannot be listed.
        """
        await self.agent.start()
        await self.decisions.start()
        await self.runtime.start()
        for opened, server in self._servers:
            await server.start(opened.listener)

    async def run(self, told: asyncio.Event) -> None:
        """Enforce until ``told``.

        Raises:
            Exception: a loop ended by itself. That is a fault: let the process end, and be started again.
        """
        stopping = asyncio.create_task(told.wait())
        engine = asyncio.create_task(self.engine.run())
        watch = asyncio.create_task(self.agent.watch_store())
        meter = asyncio.create_task(self._meter.run())
        loops = [stopping, engine, watch, meter, asyncio.create_task(self.strategies.run())]
        if self._pod_watch is not None:
            loops.append(asyncio.create_task(self._pod_watch.run()))
        if self.edge.tls is not None:
            loops.append(asyncio.create_task(self.edge.tls.watch(self._conditions, self._clock, self._renew)))
        done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
        for loop in loops:
            if loop is not engine:
                loop.cancel()
        self.engine.end_loop()
        await engine
        for task in done:
            task.result()

    async def stop(self) -> None:
        """Accept no more, let requests and pushes that run end, and leave what is enforced."""
        await asyncio.gather(*(server.stop(self._settings.drain_deadline) for _, server in self._servers))
        await self._meter.stop()
        await self.agent.stop()
        await self.engine.stop()
        self._handlers.close()
        self.edge.admission.login.close()

    async def reload(self) -> None:
        """Take certificates, keys and authorities as their files have them now."""
        if self.edge.tls is not None:
            await self.edge.tls.look(self._conditions, self._clock, self._renew)

    def _renew(self) -> None:
        for _, server in self._servers:
            server.renew()


def _open_events(name: str) -> tuple[Events | None, str]:
    try:
        layout = find_layout()
    except LayoutError as error:
        return None, str(error)
    return open_events(name, layout)


async def _hear(name: str, engine: Engine, looker: GivingWay) -> str:
    """Let the engine hear of new threads in the best way that there is; its name. Answers are given meanwhile."""
    # Loading programs into the kernel takes a tenth of the start.
    events, why_not = await asyncio.get_running_loop().run_in_executor(None, _open_events, name)
    if events is None:
        if name != "none":
            engine.deaf(why_not)
        return "none"
    engine.hear(events, looker)
    if why_not:
        engine.hard_of_hearing(why_not)
        _log.warning("events are heard of in the second-best way", way=events.name, why=why_not)
    return events.name


async def _run(settings: Settings, state: statedir.StateDirectory, enforcer: Enforcer, edge: Edge) -> None:
    discovery = Discovery(pod_file=settings.pod_file)
    service = Service(
        settings,
        edge=edge,
        store=DesiredStore(state.path),
        scanner=discovery,
        enforcer=enforcer,
    )
    told = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        reloads.add(task := asyncio.create_task(service.reload()))
        task.add_done_callback(reloads.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, reload)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    try:
        await service.start()
    except OSError as error:
        raise AgentError(f"the state folder {state.path} cannot be read: {error.strerror or error}") from error
    announced = edge.announced
    secret_file = None if settings.secret_file is None or announced.local else str(settings.secret_file)
    state.announce(statedir.Running(os.getpid(), announced.listener.address, secret_file))
    listens = [opened.listener.address for opened in edge.listeners]
    try:
        how = await _hear(settings.events, service.engine, discovery)
        lean.end_of_start()
        _log.info(
            "serving",
            listen=listens,
            node=settings.node,
            enforcer=enforcer.name,
            events=how,
            open=service.open,
        )
        await service.run(told)
    finally:
        _log.info("stopping; what is enforced stays")
        await service.stop()
