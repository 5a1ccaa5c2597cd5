"""``serve``: the pass of the bare command, again and again, by the clock and whenever something changes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random, SystemRandom

from gthulhu_reconcile import __version__
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.loading import cron
from gthulhu_reconcile.loading.windows import next_change
from gthulhu_reconcile.loading.zones import zone
from gthulhu_reconcile.model.diagnostics import Diagnostic, Severity
from gthulhu_reconcile.observing.podfile import STDIN
from gthulhu_reconcile.runtime.backoff import Backoff
from gthulhu_reconcile.runtime.causes import Cause, Causes
from gthulhu_reconcile.runtime.clock import Clock, Cron, Interval, Timetable
from gthulhu_reconcile.runtime.connecting import PassClient, connect
from gthulhu_reconcile.runtime.files import watched
from gthulhu_reconcile.runtime.health import Health
from gthulhu_reconcile.runtime.logs import Log, configure
from gthulhu_reconcile.runtime.metrics import Metrics
from gthulhu_reconcile.runtime.passing import Ended, Passing, Superseded, place
from gthulhu_reconcile.runtime.probes import Probes
from gthulhu_reconcile.runtime.reconciling import Planned, one_pass
from gthulhu_reconcile.runtime.reporting import Reporter
from gthulhu_reconcile.runtime.settings import DEFAULT_FILE
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.runtime.settings_types import LISTEN_OFF, parse_listen
from gthulhu_reconcile.runtime.watching import Watch

LoadSettings = Callable[[], tuple[Settings, tuple[Diagnostic, ...]]]


async def serve(load: LoadSettings, *, config: Path | None = None, once: bool = False) -> Ended | None:
    """Serve until SIGTERM or SIGINT, or do one pass.

    Args:
        load: gives the settings; called at the start and at each reload.
        config: the settings file, to be watched.
        once: one pass of the service and no more.

    Returns:
        How the one pass ended; None after serving.

    Raises:
        UserError: the settings cannot be served, or the address for the probes cannot be had.
    """
    settings = _usable(load)
    log = configure(settings.log_format, settings.log_level)
    # A settings file may also appear later, where the default one is looked for.
    service = Service(load, settings, config or DEFAULT_FILE, log, SystemRandom())
    if once:
        return await service.once()
    await service.run()
    return None


def check_servable(settings: Settings) -> None:
    """Refuse settings that only make sense for one command.

    Raises:
        UserError: which one, and why.
    """
    if STDIN in (*settings.policies, settings.pods):
        raise UserError("serve reads its files again and again, but standard input can be read once; name files")
    if settings.offline:
        raise UserError("serve brings agents to what policies say; --offline asks none")
    if settings.at is not None:
        raise UserError("serve plans for now; --at is for looking at another instant")


class Service:
    """Everything that lives as long as the process, and what happens between its parts."""

    def __init__(self, load: LoadSettings, settings: Settings, config: Path, log: Log, rng: Random) -> None:
        self._load = load
        self._settings = settings
        self._config = config
        self._log = log
        self._rng = rng
        clock = asyncio.get_running_loop().time
        serving = settings.serve
        seconds = timedelta.total_seconds
        self._metrics = Metrics()
        self._causes = Causes(clock)
        self._health = Health(clock, 0.0, 0.0)
        self._backoff = Backoff(serving.retry_first.total_seconds(), serving.retry_max.total_seconds(), rng)
        self._reporter = Reporter(self._metrics, log)
        self._clock = Clock(tick=self._tick, window=lambda: self._causes.post(Cause.WINDOW), missed=self._missed)
        self._watch = Watch(
            lambda: watched(self._settings, self._config),
            self._files_changed,
            self._watch_restarted,
            settle=lambda: seconds(self._settings.serve.settle),
            scan=lambda: seconds(self._settings.serve.scan),
        )
        self._probes = Probes(self._health, self._metrics.registry, self._refresh)
        self._passing = Passing(
            self._causes,
            self._attempt,
            limit=lambda: seconds(self._settings.deadlines.whole_pass),
            backoff=self._backoff,
            health=self._health,
            metrics=self._metrics,
            log=log,
            rng=rng,
        )
        self._client: PassClient | None = None
        self._reload_wanted = False
        self._stop = asyncio.Event()
        self._take_over(settings)

    async def once(self) -> Ended:
        """One pass as the service does it."""
        try:
            ended = await self._passing.once({Cause.START: 0.0})
            while self._passing.last is None:
                ended = await self._passing.once({Cause.FILES: 0.0})
            return ended
        finally:
            self._passing.stop_retrying()
            await self._disconnect()

    async def run(self) -> None:
        """Serve until told to stop, then let the running pass finish within its time."""
        try:
            await self._listen()
            async with asyncio.TaskGroup() as group:
                watching = group.create_task(self._watch.run())
                passing = group.create_task(self._passing.run())
                with self._signals(passing):
                    self._log.info("serving", version=__version__, owner=self._settings.owner)
                    self._clock.start(self._timetable())
                    self._causes.post(Cause.START)
                    await self._stop.wait()
                    await self._drain(passing)
                watching.cancel()
        finally:
            self._clock.stop()
            await self._probes.stop()
            await self._disconnect()
        self._log.info("stopped")

    async def _drain(self, passing: asyncio.Task[None]) -> None:
        self._health.draining = True
        self._causes.close()
        self._clock.stop()
        limit = self._settings.serve.drain.total_seconds()
        if self._passing.running:
            self._log.info("stopping after the running pass", limit=limit)
        _, late = await asyncio.wait({passing}, timeout=limit)
        if late:
            # Whatever was sent is whole: an agent takes a set or does not, and the next start reads what holds.
            self._log.warning("the running pass took too long and was cut short", limit=limit)
            passing.cancel()
            await asyncio.wait({passing})

    @contextmanager
    def _signals(self, passing: asyncio.Task[None]) -> Iterator[None]:
        loop = asyncio.get_running_loop()

        def stop(name: str) -> None:
            self._log.info("told to stop", signal=name)
            if self._stop.is_set():
                passing.cancel()
            self._stop.set()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number.name)
        loop.add_signal_handler(signal.SIGHUP, self._want_reload)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(number)

    async def _attempt(self, must_go_through: bool) -> Ended:
        if self._reload_wanted:
            await self._reload()
        if self._client is None:
            self._client = connect(self._settings, observer=self._metrics.requested)
        before = await self._watch.rest()

        async def unchanged(planned: Planned) -> bool:
            if not must_go_through and (await self._watch.look()).changed(before):
                raise Superseded("the files changed while the plan was made")
            self._reporter.sending(planned.plan)
            return True

        now = datetime.now(UTC)
        try:
            outcome = await one_pass(self._settings, gate=unchanged, now=now, client=self._client, rng=self._rng)
        except UserError as error:
            self._reporter.findings("inputs", error.diagnostics)
            raise
        policies = outcome.planned.inputs.loaded.policies
        self._clock.wake_at(await asyncio.to_thread(next_change, policies, now))
        return self._reporter.ended(outcome)

    def _tick(self) -> None:
        if not self._passing.tick():
            self._missed(1)

    def _missed(self, count: int) -> None:
        self._metrics.missed.inc(count)
        why = "the former pass still runs" if self._passing.running else "the clock stood still"
        self._log.warning("pass missed", count=count, reason=why)

    def _files_changed(self, resources: tuple[str, ...], when: float) -> None:
        self._log.info("files changed", resources=list(resources))
        for resource in resources:
            self._metrics.watch_last_event.labels(resource).set(when)
        self._reporter.changed(when)
        if "settings" in resources:
            self._want_reload()
        else:
            self._causes.post(Cause.FILES)

    def _watch_restarted(self, reason: str) -> None:
        self._metrics.watch_restarts.labels(reason).inc()
        self._log.info("watching anew", reason=reason)

    def _want_reload(self) -> None:
        self._reload_wanted = True
        self._causes.post(Cause.RELOAD)

    async def _reload(self) -> None:
        self._reload_wanted = False
        try:
            settings = await asyncio.to_thread(_usable, self._load)
            if settings.serve.listen != self._settings.serve.listen:
                await self._listen(settings)
        except UserError as error:
            self._reporter.findings("settings", error.diagnostics)
            self._health.settings_problem = str(error)
            self._metrics.settings_reloads.labels("error").inc()
            self._log.error("settings not reloaded; the former ones stay in force", problem=str(error))
            return
        await self._disconnect()
        configure(settings.log_format, settings.log_level)
        self._take_over(settings)
        self._clock.follow(self._timetable())
        self._health.settings_problem = ""
        self._reporter.findings("settings", ())
        self._metrics.settings_reloads.labels("success").inc()
        self._log.info("settings reloaded")

    def _take_over(self, settings: Settings) -> None:
        serving = settings.serve
        self._settings = settings
        self._backoff.first = serving.retry_first.total_seconds()
        self._backoff.most = serving.retry_max.total_seconds()
        self._health.stale_after = serving.stale_after.total_seconds()
        self._health.pass_limit = 2 * settings.deadlines.whole_pass.total_seconds()

    def _timetable(self) -> Timetable:
        serving = self._settings.serve
        if serving.cron is None:
            return Interval(serving.interval, serving.jitter, self._rng)
        line, place_ = serving.cron, zone(serving.time_zone) or UTC
        return Cron(lambda after: next(cron.instants(line, place_, after)), serving.jitter, self._rng)

    async def _listen(self, settings: Settings | None = None) -> None:
        listen = (settings or self._settings).serve.listen
        if listen == LISTEN_OFF:
            await self._probes.stop()
            return
        self._log.info("probes and metrics", address=str(await self._probes.start(parse_listen(listen))))

    async def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    def _refresh(self) -> None:
        self._metrics.queue_depth.set(self._causes.depth)
        self._metrics.queue_oldest.set(self._causes.oldest)


def _usable(load: LoadSettings) -> Settings:
    settings, diagnostics = load()
    if errors := [one for one in diagnostics if one.severity is Severity.ERROR]:
        raise UserError(f"the settings cannot be used: {place(errors[0])}", diagnostics)
    check_servable(settings)
    return settings
