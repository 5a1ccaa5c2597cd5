"""One pass: observe, plan, execute. The command line and the service run this very code.

Nothing is read before a function is called, and nothing is written but by :func:`execute` and :func:`execute_saved`. A
dry run is the same pass with a client that raises when it is asked to write.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from random import Random, SystemRandom
from typing import BinaryIO

from gthulhu_reconcile.applying.outcomes import PushResult, PushStatus
from gthulhu_reconcile.applying.planfile import SavedPlan
from gthulhu_reconcile.applying.pusher import push
from gthulhu_reconcile.applying.saved import push_saved
from gthulhu_reconcile.errors import UserError
from gthulhu_reconcile.model.diagnostics import Diagnostic
from gthulhu_reconcile.model.plan import Guard, Plan
from gthulhu_reconcile.observing.accepted import identify
from gthulhu_reconcile.planning.planner import plan as make
from gthulhu_reconcile.runtime.collecting import collector_paused
from gthulhu_reconcile.runtime.connecting import PassClient, backoff, connect
from gthulhu_reconcile.runtime.inputs import Counted, Inputs, Progress, known_agents, load_checked, observe, tell_nobody
from gthulhu_reconcile.runtime.outcomes import Result
from gthulhu_reconcile.runtime.settings_model import Settings

__all__ = [
    "Gate",
    "Inputs",
    "PassResult",
    "Planned",
    "Progress",
    "Result",
    "execute",
    "execute_saved",
    "judge",
    "make_plan",
    "one_pass",
]

Gate = Callable[["Planned"], Awaitable[bool]]
"""Asked between planning and executing; False leaves the plan unexecuted."""


@dataclass(frozen=True)
class Planned:
    """A plan, and what it was made of.

    ``seconds`` has the time of each phase that was gone through: ``load``, ``observe``, ``plan``.
    """

    plan: Plan
    inputs: Inputs
    seconds: Mapping[str, float] = field(default_factory=dict)

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Everything wrong with the inputs; none of it is an error that stopped the plan."""
        return self.inputs.diagnostics

    @property
    def silent(self) -> tuple[str, ...]:
        """Nodes that have an agent which could not be asked, or which another owner holds.

        Nodes without an agent are not among them: that is how a fleet looks while agents are being installed.
        """
        with_agent = {agent.node for agent in self.inputs.agents}
        asked = {one.node for one in self.inputs.unreachable}
        return tuple(one.node for one in self.plan.unreachable if one.node in with_agent or one.node in asked)


@dataclass(frozen=True)
class PassResult:
    """What became of a pass; ``push`` is None where nothing was executed."""

    result: Result
    planned: Planned
    push: PushResult | None
    started: datetime
    finished: datetime
    seconds: Mapping[str, float]

    @property
    def plan(self) -> Plan:
        """The plan."""
        return self.planned.plan

    @property
    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """As of :class:`Planned`."""
        return self.planned.diagnostics


async def make_plan(
    settings: Settings,
    *,
    now: datetime | None = None,
    client: PassClient | None = None,
    rng: Random | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> Planned:
    """Observe and plan; nothing is written.

    Raises:
        UserError: an input has errors.
    """
    seconds: dict[str, float] = {}
    with _timed(seconds, "load"):
        loaded = await load_checked(settings, stdin=stdin)
    at = settings.instant(now or datetime.now(UTC))
    async with _client(settings, client, read_only=True) as opened:
        with _timed(seconds, "observe"):
            inputs = await observe(
                settings, opened, loaded, at=at, rng=rng or SystemRandom(), stdin=stdin, progress=progress
            )
    with _timed(seconds, "plan"):
        # In a thread, since a large plan takes seconds and the service's probes want answers meanwhile.
        plan = await asyncio.to_thread(_plan, inputs, settings)
    return Planned(plan, inputs, seconds)


def _plan(inputs: Inputs, settings: Settings) -> Plan:
    with collector_paused():
        return make(
            inputs.candidates,
            inputs.observed,
            inputs.accepted,
            settings.planning_options(inputs.unreadable),
            unreachable=inputs.unreachable,
            resolution=inputs.resolution,
        )


async def execute(
    planned: Planned,
    settings: Settings,
    *,
    client: PassClient | None = None,
    rng: Random | None = None,
    progress: Progress | None = None,
) -> PushResult:
    """Send every changed node of the plan its set. One node's failure is that node's outcome.

    Raises:
        Held: a guard stopped the plan.
        UserError: the plan was made offline, or for another instant than now.
    """
    _executable(settings)
    counted = Counted("push", len(planned.plan.changed_nodes), progress or tell_nobody)
    async with _client(settings, client, read_only=False) as opened:
        return await push(
            planned.plan,
            planned.inputs.agents,
            opened,
            owner=settings.owner,
            rng=rng or SystemRandom(),
            backoff=backoff(settings),
            report=lambda _outcome: counted(),
        )


async def execute_saved(
    saved: SavedPlan,
    settings: Settings,
    *,
    client: PassClient | None = None,
    rng: Random | None = None,
    progress: Progress | None = None,
) -> PushResult:
    """Execute a saved plan, once, and only where every node still holds what it was made from.

    ``--approve`` with the plan's identity releases its hold, but for one on unreadable input: what was not read then is
    not known now either.

    Raises:
        Held: a guard stopped the plan; it is not spent.
        StalePlan: a node has moved since, and nothing was sent to any; or the plan was used.
        UserError: the plan cannot be marked as used, or the settings ask for what cannot be applied.
    """
    _executable(settings)
    plan = saved.plan
    if plan.held is not None and plan.held.guard is not Guard.UNREADABLE_INPUT and settings.approve == plan.id:
        saved = replace(saved, plan=replace(plan, held=None))
    counted = Counted("push", len(plan.changed_nodes), progress or tell_nobody)
    rng = rng or SystemRandom()
    async with _client(settings, client, read_only=False) as opened:
        identified = await identify(opened, known_agents(settings), rng=rng, backoff=backoff(settings))
        return await push_saved(
            saved,
            identified.agents,
            opened,
            owner=settings.owner,
            rng=rng,
            backoff=backoff(settings),
            report=lambda _outcome: counted(),
        )


async def one_pass(
    settings: Settings,
    *,
    dry_run: bool = False,
    gate: Gate | None = None,
    now: datetime | None = None,
    client: PassClient | None = None,
    rng: Random | None = None,
    stdin: BinaryIO | None = None,
    progress: Progress | None = None,
) -> PassResult:
    """Observe, plan and, unless it is a dry run, held, or refused by ``gate``, execute.

    Raises:
        UserError: an input has errors, or the plan cannot be executed at all (``--offline``, ``--at``).
    """
    started = datetime.now(UTC)
    if not dry_run:
        _executable(settings)
    async with _client(settings, client, read_only=dry_run) as opened:
        planned = await make_plan(settings, now=now, client=opened, rng=rng, stdin=stdin, progress=progress)
        seconds = dict(planned.seconds)
        pushed = None
        wanted = not dry_run and planned.plan.held is None and bool(planned.plan.changed_nodes)
        if wanted and (gate is None or await gate(planned)):
            with _timed(seconds, "push"):
                pushed = await execute(planned, settings, client=opened, rng=rng, progress=progress)
    return PassResult(judge(planned, pushed), planned, pushed, started, datetime.now(UTC), seconds)


def judge(planned: Planned, pushed: PushResult | None) -> Result:
    """How a pass ended, from what was planned and what became of it."""
    if planned.plan.held is not None:
        return Result.HELD
    if pushed is not None and pushed.status is PushStatus.ERROR:
        return Result.ERROR
    if planned.silent:
        return Result.PARTIAL if planned.plan.bases else Result.ERROR
    if pushed is None:
        return Result.NOOP
    return Result.PARTIAL if pushed.status is PushStatus.PARTIAL else Result.SUCCESS


def _executable(settings: Settings) -> None:
    if settings.offline:
        raise UserError("a plan made with --offline cannot be applied: what the agents hold is not known")
    if settings.at is not None:
        raise UserError("a plan made with --at cannot be applied: it is for another instant than now")


@asynccontextmanager
async def _client(settings: Settings, given: PassClient | None, *, read_only: bool) -> AsyncIterator[PassClient]:
    if given is not None:
        yield given
        return
    async with connect(settings, read_only=read_only) as opened:
        yield opened


@contextmanager
def _timed(seconds: dict[str, float], phase: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[phase] = time.perf_counter() - began
