"""Everything that an operator can set, each with its unit, its reason and its effect.

The same model makes ``schemas/settings-v1.json``, ``docs/settings.md`` and the diagnostics of ``gthulhu.yaml``. Secrets
are never values here, only names of files that hold them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from gthulhu_reconcile.planning.options import LimitsByNamespace, NamespaceLimits, Options, Protection
from gthulhu_reconcile.runtime.settings_types import CronLine, Duration, Instant, ListenAddress, TimeSlice, ZoneName
from gthulhu_reconcile.transport import retrying
from gthulhu_wire.globs import is_glob
from gthulhu_wire.intents import PRIORITY_MAX, PRIORITY_MIN, TIME_SLICE_MAX_NS, TIME_SLICE_MIN_NS

_PROTECTION = Protection()
_WAITED = retrying.Deadlines()
_RETRIED = retrying.Backoff()


def _option(name: str) -> dict[str, JsonValue]:
    return {"x-option": name}


class Output(StrEnum):
    """Forms of what goes to standard output."""

    TEXT = "text"
    JSON = "json"
    GITHUB = "github"
    JUNIT = "junit"


class LogFormat(StrEnum):
    """Forms of the log, which goes to standard error."""

    AUTO = "auto"
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


def _exact(name: str) -> str:
    if is_glob(name):
        raise PydanticCustomError("glob", "must be an exact name: globs release nothing")
    return name


class Protected(_Section):
    """What policies do not reach."""

    namespaces: tuple[str, ...] = _PROTECTION.namespaces
    """Namespaces, exact or glob, that a policy without `namespaces` never takes and that one with them reaches only
    where `released` allows it. Starving kube-system takes the cluster down."""

    units: tuple[str, ...] = _PROTECTION.units
    """systemd units, exact or glob, that node policies never take: losing the CPU there means losing the node."""

    released: tuple[Annotated[str, AfterValidator(_exact)], ...] = ()
    """Exact names of protected namespaces and units that a policy may reach, if it names them exactly too. Globs
    release nothing."""


class Guards(_Section):
    """What stops a plan before it does harm."""

    protected: Protected = Protected()
    """What policies do not reach."""

    mass_floor: Annotated[int, Field(ge=0, le=1_000_000)] = 5
    """Pods. A plan that updates or deletes the intents of no more running pods than this is never held as a mass
    change, so that small installations are not in the way of themselves."""

    mass_fraction: Annotated[float, Field(ge=0, le=1)] = 0.2
    """Part of the managed pods that still run, 0 to 1. A plan that updates or deletes the intents of more than this
    (and of more than `massFloor`) is held until it is approved. 1 turns the guard off."""


class Limits(_Section):
    """What may be asked for in one namespace."""

    priority_min: Annotated[int, Field(ge=PRIORITY_MIN, le=PRIORITY_MAX)] | None = None
    """Least priority, -20 to 20; absent is no limit. Policies below it are an error."""

    priority_max: Annotated[int, Field(ge=PRIORITY_MIN, le=PRIORITY_MAX)] | None = None
    """Highest priority, -20 to 20; absent is no limit. Policies above it are an error."""

    preempt: bool = True
    """Whether policies may ask for preemption."""

    time_slice_min: TimeSlice | None = None
    """Shortest time slice, with a unit, 100us to 100ms; absent is no limit. Short slices cost everybody context
    switches."""

    time_slice_max: TimeSlice | None = None
    """Longest time slice, with a unit, 100us to 100ms; absent is no limit. Long slices cost everybody latency."""

    def as_planned(self) -> NamespaceLimits:
        """The same limits as the planner takes them."""
        return NamespaceLimits(
            self.priority_min, self.priority_max, self.preempt, self.time_slice_min, self.time_slice_max
        )

    @model_validator(mode="after")
    def _bounds(self) -> Limits:
        for name, value in (("timeSliceMin", self.time_slice_min), ("timeSliceMax", self.time_slice_max)):
            if value is not None and not TIME_SLICE_MIN_NS <= value <= TIME_SLICE_MAX_NS:
                raise PydanticCustomError("out_of_range", "{name} must be between 100us and 100ms", {"name": name})
        _ordered("priorityMin", self.priority_min, "priorityMax", self.priority_max)
        _ordered("timeSliceMin", self.time_slice_min, "timeSliceMax", self.time_slice_max)
        return self


def _ordered(low_name: str, low: int | None, high_name: str, high: int | None) -> None:
    if low is not None and high is not None and low > high:
        raise PydanticCustomError("out_of_range", "{low} is above {high}", {"low": low_name, "high": high_name})


def _between(low: timedelta, high: timedelta, words: str) -> AfterValidator:
    def check(value: timedelta) -> timedelta:
        if not low <= value <= high:
            raise PydanticCustomError("out_of_range", "must be between {bounds}", {"bounds": words})
        return value

    return AfterValidator(check)


_DEADLINE = _between(timedelta(milliseconds=10), timedelta(hours=1), "10ms and 1h")


class Deadlines(_Section):
    """How long is waited before something counts as failed."""

    connect: Annotated[Duration, _DEADLINE] = timedelta(seconds=_WAITED.connect)
    """For a connection to an agent. A node that is gone costs this much, once per try."""

    request: Annotated[Duration, _DEADLINE] = timedelta(seconds=_WAITED.request)
    """For one answer of an agent, from the first byte sent to the last byte read."""

    node: Annotated[Duration, _DEADLINE] = timedelta(seconds=_WAITED.node)
    """For everything that one node needs in a pass, its retries included. After it the node is left for the next
    pass."""

    whole_pass: Annotated[Duration, _DEADLINE] = Field(timedelta(minutes=5), alias="pass")
    """For a whole pass of the service. A pass that takes longer is given up, reported and tried again."""


class Parallelism(_Section):
    """How many agents are spoken to at once."""

    start: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Requests in flight at the beginning. Nodes that do not answer hold a place until their deadline, so the number
    grows while answers wait. Never more than `max`."""

    max: Annotated[int, Field(ge=1, le=10_000)] = 512
    """Most requests in flight; each is an open file of this process."""


class Retries(_Section):
    """What is done within a pass about an agent that does not answer.

    The waits are drawn at random from zero to the back-off (full jitter), so that nodes that failed together do not
    come back together.
    """

    attempts: Annotated[int, Field(ge=1, le=10)] = _RETRIED.tries
    """Tries per request, the first one included. 1 never tries again within a pass."""

    first: Annotated[Duration, _DEADLINE] = timedelta(seconds=_RETRIED.first)
    """Upper bound of the first wait; it doubles with each try."""

    max: Annotated[Duration, _DEADLINE] = timedelta(seconds=_RETRIED.most)
    """Upper bound of every wait."""


class Serve(_Section):
    """The service: when it passes, and where it tells how it is."""

    interval: Annotated[Duration, _between(timedelta(milliseconds=100), timedelta(days=1), "100ms and 1d")] = Field(
        timedelta(seconds=60), json_schema_extra=_option("--interval")
    )
    """Time between passes. Passes also come from changed files, so this bounds only how long drift on a node goes
    unnoticed."""

    cron: CronLine | None = Field(None, json_schema_extra=_option("--cron"))
    """A cron line with five fields in place of `interval`; weekdays as in Debian's cron, 0 and 7 are Sunday."""

    time_zone: ZoneName = "UTC"
    """IANA time zone in which `cron` is read. A line is right over the changes of daylight saving."""

    jitter: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Part of the interval, 0 to 1, by which a pass comes earlier or later at random; with `cron` of a minute, and only
    later. Keeps several installations from asking the same agents at the same instant."""

    listen: ListenAddress = Field("127.0.0.1:9470", json_schema_extra=_option("--listen"))
    """Loopback address and port of `/livez`, `/readyz` and `/metrics`; port 0 lets the kernel choose one, which is
    logged; `off` serves none. Other addresses are refused: what is served has no authentication."""

    settle: Annotated[Duration, _between(timedelta(0), timedelta(minutes=1), "0s and 1m")] = timedelta(milliseconds=250)
    """How long changed files must be quiet before they are read. A file that is being written is not a policy yet."""

    scan: Annotated[Duration, _between(timedelta(milliseconds=50), timedelta(hours=1), "50ms and 1h")] = timedelta(
        seconds=5
    )
    """How often the names and times of the watched files are compared, beside the kernel's own notices. It finds what
    those miss: a replaced directory, a network file system, exhausted inotify watches."""

    retry_first: Annotated[Duration, _DEADLINE] = timedelta(milliseconds=500)
    """Upper bound of the first wait after a failed pass; it doubles with each failure and the wait is drawn at random
    below it."""

    retry_max: Annotated[Duration, _DEADLINE] = timedelta(minutes=5)
    """Upper bound of every wait after a failed pass."""

    drain: Annotated[Duration, _between(timedelta(0), timedelta(hours=1), "0s and 1h")] = timedelta(seconds=20)
    """How long a running pass may go on after SIGTERM before it is cancelled. Keep it below what systemd or the kubelet
    allows."""

    stale_after: Annotated[Duration, _between(timedelta(seconds=1), timedelta(days=7), "1s and 7d")] = timedelta(
        minutes=15
    )
    """How long `/readyz` stays good without a pass that went through. The last good state stays in force meanwhile and
    afterwards."""


class Settings(BaseSettings):
    """All settings. An option wins over the environment, that over the file, that over the default."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        use_attribute_docstrings=True,
        case_sensitive=True,
        title="Settings of gthulhu-reconcile",
    )

    policies: tuple[str, ...] = Field(("policies/",), min_length=1, json_schema_extra=_option("--policies"))
    """Files and directories of policies; `-` is standard input."""

    pods: str = Field("local", min_length=1, json_schema_extra=_option("--pods"))
    """Where pods come from: `local` is what the agents find on their nodes; anything else is a file with the output of
    `kubectl get pods,nodes -A -o json`, or a snapshot in YAML."""

    agents: tuple[str, ...] = Field(("inventory/",), min_length=1, json_schema_extra=_option("--agents"))
    """Where the nodes' agents are: Ansible inventories in YAML, directories of them, or URLs (`http://…`,
    `unix:/path`)."""

    nodes: tuple[str, ...] = Field((), json_schema_extra=_option("--node"))
    """Names, exact or glob, of the only nodes that are planned; empty is all. So a change is tried on one node
    first."""

    offline: bool = Field(default=False, json_schema_extra=_option("--offline"))
    """Ask no agent: plan against nodes that have accepted nothing yet. Such a plan cannot be applied."""

    at: Instant | None = Field(None, json_schema_extra=_option("--at"))
    """The instant, as in RFC 3339, at which time windows are judged; absent is now. Only for looking: a plan of another
    instant than now is not applied."""

    owner: str = Field("", max_length=253, json_schema_extra=_option("--owner"))
    """Name of this installation, which agents store with their set. An agent refuses every other owner, so
    installations that share a node by mistake do not undo each other's work. Empty is the name of this host; name it as
    soon as more than one host plans for the same nodes."""

    adopt: bool = Field(default=False, json_schema_extra=_option("--adopt"))
    """Take over nodes that another owner holds. Meant for one run, not for a file."""

    approve: str | None = Field(None, json_schema_extra=_option("--approve"))
    """Identity of the held plan that may be executed for this once."""

    secret_file: str | None = Field(None, json_schema_extra=_option("--secret-file"))
    """File that holds the secret shared with the agents; an inventory may name another one per host. It is read at each
    start and reload, never logged, and never part of a plan."""

    guards: Guards = Guards()
    """What stops a plan before it does harm."""

    limits: dict[str, Limits] = {}
    """What policies may ask for, by the namespace of the pods, exact or glob. An exact name wins over globs, and of
    these the first that fits. A node policy is bound by the limits of the namespace it is written in."""

    deadlines: Deadlines = Deadlines()
    """How long is waited before something counts as failed."""

    parallelism: Parallelism = Parallelism()
    """How many agents are spoken to at once."""

    retries: Retries = Retries()
    """What is done within a pass about an agent that does not answer."""

    serve: Serve = Serve()
    """The service: when it passes, and where it tells how it is."""

    output: Output = Field(Output.TEXT, json_schema_extra=_option("--output"))
    """Form of what goes to standard output. JSON, GitHub annotations and JUnit are for machines; their keys are only
    added to."""

    strict: bool = Field(default=False, json_schema_extra=_option("--strict"))
    """Whether warnings end with exit code 3."""

    detailed_exitcode: bool = Field(default=False, json_schema_extra=_option("--detailed-exitcode"))
    """Whether a plan with changes ends with exit code 2 in place of 0."""

    yes: bool = Field(default=False, json_schema_extra=_option("--yes"))
    """Whether `apply` goes on without asking. It approves nothing that a guard holds."""

    log_format: LogFormat = Field(LogFormat.AUTO, json_schema_extra=_option("--log-format"))
    """Form of the service's log: `console` for people, `json` for machines, `auto` is console on a terminal."""

    log_level: LogLevel = Field(LogLevel.INFO, json_schema_extra=_option("--log-level"))
    """Least severe line that the service logs."""

    def protection(self) -> Protection:
        """What policies do not reach, as the planner and the loader take it."""
        protected = self.guards.protected
        return Protection(protected.namespaces, protected.units, protected.released)

    def namespace_limits(self) -> LimitsByNamespace:
        """The limits of every namespace, as the planner and the loader take them."""
        return tuple((pattern, limits.as_planned()) for pattern, limits in self.limits.items())

    def planning_options(self, unreadable: tuple[str, ...] = ()) -> Options:
        """How to plan, with the inputs that could not be read in full."""
        return Options(
            owner=self.owner,
            adopt=self.adopt,
            protection=self.protection(),
            limits=self.namespace_limits(),
            mass_floor=self.guards.mass_floor,
            mass_fraction=self.guards.mass_fraction,
            approve=self.approve,
            unreadable=unreadable,
            only_nodes=self.nodes,
        )

    def instant(self, now: datetime) -> datetime:
        """The instant that time windows are judged at."""
        return self.at or now
