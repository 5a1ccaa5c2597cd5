"""``/livez``, ``/readyz`` and ``/metrics`` on loopback.

They tell names of policies and nodes and ask nobody who they are, so other machines must not reach them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.runtime.health import Health
from gthulhu_reconcile.runtime.settings_types import Listen

_SHUTDOWN_SECONDS = 1.0
_MAX_REQUEST_BYTES = 1024


class Probes:
    """A small HTTP server for those who watch the service.

    Args:
        health: what to answer.
        registry: the metrics to show.
        refresh: called before each answer, for metrics that are worked out when asked.
    """

    def __init__(self, health: Health, registry: CollectorRegistry, refresh: Callable[[], None]) -> None:
        self._health = health
        self._registry = registry
        self._refresh = refresh
        self._runner: web.AppRunner | None = None

    async def start(self, listen: Listen) -> Listen:
        """Serve on ``listen``; the address that it became, where the port was 0.

        Raises:
            UserError: the address cannot be had; whatever was served before still is.
        """
        app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            await runner.cleanup()
            raise UserError(f"cannot listen on {listen}: {error.strerror or error}") from error
        await self.stop()
        self._runner = runner
        host, port = runner.addresses[0][:2]
        return Listen(host, port)

    async def stop(self) -> None:
        """Serve no more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            with suppress(TimeoutError):
                await runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return _answer(self._health.not_alive(), ())

    async def _readyz(self, _request: web.Request) -> web.Response:
        return _answer(self._health.not_ready(), self._health.notes())

    async def _metrics(self, _request: web.Request) -> web.Response:
        self._refresh()
        body = generate_latest(self._registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})


def _answer(reasons: tuple[str, ...], notes: tuple[str, ...]) -> web.Response:
    body = {"ok": not reasons, "reasons": list(reasons), "notes": list(notes)}
    return web.json_response(body, status=503 if reasons else 200)
