"""Runtime configurations as use cases: taken durably, applied here or by Gthulhu's daemon, and told as they are."""

from __future__ import annotations

import asyncio
from typing import Protocol

import structlog

from gthulhu_agent.agent import Agent, Refused
from gthulhu_agent.errors import NotStored
from gthulhu_agent.legacy.received import OWNER
from gthulhu_agent.legacy.runtime_config import BadConfig, Mode, RuntimeConfig, RuntimeStatus, normal
from gthulhu_agent.legacy.runtime_file import Damaged, Kept, RuntimeFile
from gthulhu_agent.state import ConditionKind
from gthulhu_wire.intents import format_instant
from gthulhu_wire.refusals import Refusal

_log = structlog.stdlib.get_logger("gthulhu_agent.legacy")


class DaemonFault(Exception):  # noqa: N818 - says what is the matter
    """The daemon did not do what it was asked; the text says why."""


class Daemon(Protocol):
    """Gthulhu's scheduler daemon, :class:`gthulhu_agent.legacy.daemon.HttpDaemon`."""

    async def apply(self, config: RuntimeConfig) -> None:
        """Have it run with ``config``; raises DaemonFault where it does not."""
        ...

    async def status(self) -> RuntimeStatus:
        """What it runs with; raises DaemonFault where it does not tell."""
        ...


def daemon_at(endpoint: str, timeout: float) -> Daemon | None:
    """The daemon at a URL, whose calls take at most ``timeout`` seconds; None for none."""
    if not endpoint:
        return None
    from gthulhu_agent.legacy.daemon import HttpDaemon  # noqa: PLC0415 - few nodes have Gthulhu's daemon

    return HttpDaemon(endpoint, timeout)


class Runtime:
    """Belongs to the event loop's thread. Without a daemon, mode ``none`` keeps hands off and ``gthulhu`` enforces."""

    def __init__(self, agent: Agent, file: RuntimeFile, daemon: Daemon | None = None) -> None:
        self._agent = agent
        self._file = file
        self._daemon = daemon
        self._kept: Kept | None = None
        self._lost = self._left = ""
        self._lock = asyncio.Lock()
        self._filing = asyncio.Lock()
        self._drops = 0
        agent.drop_switch = self.drop

    async def start(self) -> None:
        """Take up what was applied last."""
        try:
            self._kept = await asyncio.to_thread(self._file.load)
        except Damaged as damaged:
            self._lost = f"the runtime configuration was lost: {damaged}"
            _log.error("the runtime configuration is damaged; none is in force", error=str(damaged))
        if self._kept is not None and not self._holds(self._kept):
            self._kept = None  # the agent was killed before it could drop it
        if self._daemon is None and self._kept is not None:
            await self._switch(self._kept.config)

    async def drop(self, anyway: bool) -> None:
        """Forget what is kept, and enforce again what it switched off: another owner has the node now, or resumes.

        Raises:
            NotStored: it is still on the disk, and so in force; with ``anyway`` it is void, by its owner.
        """
        self._drops += 1
        try:
            async with self._filing:
                await asyncio.to_thread(self._file.drop)
        except NotStored as error:
            if not anyway:
                raise
            _log.warning("the former owner's runtime configuration is void and on the disk", error=str(error))
        self._kept = None
        self._left = ""
        self._agent.switch_on()

    async def apply(self, said: RuntimeConfig) -> RuntimeStatus:
        """Have the node's scheduler be as ``said``.

        Raises:
            Refused: it means nothing, there is nobody to apply it, or it could not be stored; what was applied is.
        """
        try:
            config = normal(said)
        except BadConfig as error:
            raise Refused(Refusal.BAD_REQUEST, str(error), "docs/decision-maker.md has what can be set") from error
        if self._daemon is None and config.mode not in (Mode.NONE, Mode.GTHULHU):
            raise Refused(
                Refusal.BAD_REQUEST,
                f"mode {config.mode} needs Gthulhu's scheduler daemon, and none is set",
                "daemon.endpoint is the setting",
            )
        async with self._lock:
            if self._daemon is not None:
                await self._forward(self._daemon, config)
            elif self._kept is None or self._kept.config != config:
                kept = await self._keep(config)
                await self._switch(config)
                self._check_kept(kept)
            elif self._left:
                again = self._kept
                await self._switch(config)
                self._check_kept(again)
        return await self.status()

    async def status(self) -> RuntimeStatus:
        """What is in force, as far as it can be known: never that something is applied because it once was."""
        kept = self._kept
        if self._daemon is not None:
            try:
                return await self._daemon.status()
            except DaemonFault as fault:
                if kept is None:
                    return RuntimeStatus(last_error=str(fault))
                return RuntimeStatus(kept.config.version, last_error=str(fault), config=kept.config)
        if kept is None:
            return RuntimeStatus(last_error=self._lost)
        problem = self._problem(kept.config)
        return RuntimeStatus(
            version=kept.config.version,
            applied=not problem,
            applied_at=format_instant(kept.applied_at),
            last_error=problem,
            config=kept.config,
        )

    async def _forward(self, daemon: Daemon, config: RuntimeConfig) -> None:
        try:
            await daemon.apply(config)
        except DaemonFault as fault:
            raise Refused(Refusal.BAD_REQUEST, str(fault), "look at Gthulhu's scheduler daemon") from fault
        if self._kept is None or self._kept.config != config:
            await self._keep(config)

    async def _keep(self, config: RuntimeConfig) -> Kept:
        kept, drops = Kept(config, self._agent.clock.now, self._agent.held.owner), self._drops
        try:
            async with self._filing:
                await asyncio.to_thread(self._file.save, kept)
                if self._drops != drops:
                    await asyncio.to_thread(self._file.drop)
        except NotStored as error:
            raise Refused(Refusal.NOT_STORED, str(error), error.cure) from error
        if self._drops == drops:
            self._kept = kept
            _log.info("took a runtime configuration", version=config.version, mode=config.mode)
        return kept

    def _holds(self, kept: Kept) -> bool:
        """Whether the node has not been taken by another owner since."""
        return self._agent.held.owner in ("", OWNER, kept.owner)

    def _check_kept(self, kept: Kept | None) -> None:
        # While it was stored and put into force another owner may have taken the node, or somebody resumed.
        if self._kept is None or self._kept is not kept:
            self._agent.switch_on()
            raise Refused(
                Refusal.FOREIGN_OWNER,
                "the node was taken over meanwhile, or enforces again by resume",
                "ask for the configuration that holds, and send it again",
            )

    async def _switch(self, config: RuntimeConfig) -> None:
        self._left = ""
        if config.mode != Mode.NONE:
            self._agent.switch_on()
            return
        try:
            await self._agent.switch_off(f"a Decision Maker's client set mode none, version {config.version[:80]!r}")
        except Refused as refused:
            self._left = str(refused)

    def _problem(self, config: RuntimeConfig) -> str:
        if config.mode == Mode.NONE:
            return self._left
        standing = {condition.kind: condition.message for condition in self._agent.conditions}
        return standing.get(ConditionKind.REVERTED) or standing.get(ConditionKind.ENFORCEMENT_FAILED) or ""
