"""The context that is in force, and how it follows its files: a broken new file leaves the old one in force."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable

import structlog

from gthulhu_agent.clock import Clock
from gthulhu_agent.errors import UsageError
from gthulhu_agent.state import ConditionKind, Conditions
from gthulhu_agent.tls import loading
from gthulhu_agent.tls.sources import Sources
from gthulhu_wire.intents import format_instant

INTERVAL = 5.0
_DAY = 86_400
_WARN_DAYS = 14
_WARN_SHARE = 10

_log = structlog.stdlib.get_logger("gthulhu_agent.tls")


class Tls:
    """TLS as it is in force. Belongs to the event loop's thread; files are read in another."""

    def __init__(self, sources: Sources) -> None:
        """Read everything.

        Raises:
            UsageError: it cannot be read, or does not fit together.
        """
        self._sources = sources
        self._loaded = loading.load(sources, loading.read(sources))
        self._lock = asyncio.Lock()
        self.reloads = 0

    @property
    def context(self) -> ssl.SSLContext:
        """For the next connection."""
        return self._loaded.context

    @property
    def ends_at(self) -> int:
        """When the agent's certificate ends, in Unix seconds."""
        return self._loaded.ends_at

    async def watch(self, conditions: Conditions, clock: Clock, changed: Callable[[], None]) -> None:
        """Look every few seconds, until cancelled."""
        while True:
            await self.look(conditions, clock, changed)
            await asyncio.sleep(INTERVAL)

    async def look(self, conditions: Conditions, clock: Clock, changed: Callable[[], None]) -> None:
        """Take what the files say now, where it is new and holds; ``changed`` is called then.

        Certificate and key are seldom replaced in one step: between the two they do not fit together, which is told
        as long as it is so.
        """
        async with self._lock:
            try:
                loaded = await asyncio.to_thread(self._newer)
            except (UsageError, OSError) as error:  # OSError: no file can be opened, as there are too many
                message, cure = f"{error}; the former certificate stays in force", getattr(error, "cure", "")
                if conditions.raise_(ConditionKind.TLS_STALE, message, cure=cure, now=clock.now):
                    _log.error("certificate and key cannot be taken", error=str(error), cure=cure)
            else:
                conditions.clear(ConditionKind.TLS_STALE)
                if loaded is not None:
                    self._loaded = loaded
                    self.reloads += 1
                    changed()
                    _log.info("took a new certificate or authorities", ends=format_instant(loaded.ends_at))
            self._tell_end(conditions, clock.now)

    def _newer(self) -> loading.Loaded | None:
        texts = loading.read(self._sources)
        return None if texts.digest == self._loaded.digest else loading.load(self._sources, texts)

    def _tell_end(self, conditions: Conditions, now: int) -> None:
        loaded = self._loaded
        soon = min(_WARN_DAYS * _DAY, (loaded.ends_at - loaded.begins_at) // _WARN_SHARE)
        if loaded.begins_at <= now < loaded.ends_at - soon:
            conditions.clear(ConditionKind.TLS_ENDING)
            return
        verb = "begins" if now < loaded.begins_at else "ends" if now < loaded.ends_at else "ended"
        at = loaded.begins_at if now < loaded.begins_at else loaded.ends_at
        if conditions.raise_(
            ConditionKind.TLS_ENDING,
            f"the agent's certificate {verb} at {format_instant(at)}",
            cure="renew it: files are read anew by themselves",
            now=now,
        ):
            _log.warning(f"the certificate {verb}", at=format_instant(at))
