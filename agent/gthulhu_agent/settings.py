"""The agent's settings: one table, read from options, the environment, a TOML file and defaults, in this order.

docs/agent.md has a line for each; a test compares them.
"""

from __future__ import annotations

import difflib
import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gthulhu_agent.errors import UsageError
from gthulhu_agent.settingsfile import Entry, read
from gthulhu_wire.protection import PROTECTED_UNITS

PREFIX = "GTHULHU_AGENT_"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SERVICE_LINK = re.compile(r"SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?")
"""What Kubernetes adds to every pod's environment when a Service is called gthulhu-agent."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How this agent runs. All times are seconds."""

    listen: str
    state_dir: Path
    node: str
    enforcer: str
    enforcer_lock: Path | None
    pod_file: Path | None
    secret_file: Path | None
    socket_mode: int
    scan_interval: float
    protected_units: tuple[str, ...]
    max_connections: int
    headers_deadline: float
    body_deadline: float
    answer_deadline: float
    drain_deadline: float
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: how it is read from text or TOML, what it takes, what it is without being said, and why it is."""

    name: str
    parse: Callable[[object], object]
    takes: str
    default: Callable[[Mapping[str, str]], object]
    text: str


def load(*, file: Path | None, environ: Mapping[str, str], options: Mapping[str, object]) -> Settings:
    """The settings in force; an option that is None was not given.

    Raises:
        UsageError: names every fault, each with file:line:column, variable or option.
    """
    faults: list[str] = []
    values: dict[str, Any] = {setting.name: setting.default(environ) for setting in SETTINGS}
    for where, name, value in (
        *_from_file(file, faults),
        *_from_environment(environ, faults),
        *((f"--{name.replace('_', '-')}", name, value) for name, value in options.items() if value is not None),
    ):
        setting = BY_NAME[name]
        try:
            values[name] = setting.parse(value)
        except (ValueError, TypeError):
            faults.append(f"{where}: {name} takes {setting.takes}, not {value!r}")
    if faults:
        raise UsageError("\n".join(faults), cure="docs/agent.md lists every setting")
    return Settings(**values)


def _from_file(file: Path | None, faults: list[str]) -> list[tuple[str, str, object]]:
    found: list[tuple[str, str, object]] = []
    for entry in read(file) if file else ():
        if entry.key in BY_NAME:
            found.append((entry.where, entry.key, entry.value))
        else:
            faults.append(_unknown(entry))
    return found


def _from_environment(environ: Mapping[str, str], faults: list[str]) -> list[tuple[str, str, object]]:
    found: list[tuple[str, str, object]] = []
    for variable in sorted(environ):
        name = variable.removeprefix(PREFIX)
        if name in (variable, "CONFIG") or _SERVICE_LINK.fullmatch(name):
            continue
        if name.lower() in BY_NAME and name.isupper():
            found.append((variable, name.lower(), environ[variable]))
        else:
            faults.append(_unknown(Entry(variable, name.lower(), None)))
    return found


def _unknown(entry: Entry) -> str:
    likely = difflib.get_close_matches(entry.key, BY_NAME, n=1)
    return f"{entry.where}: '{entry.key}' is not a setting" + (f"; did you mean '{likely[0]}'?" if likely else "")


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError(value)
    return value


def _node(value: object) -> str:
    name = _text(value)
    if len(name) > 253 or not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", name):  # noqa: PLR2004 - RFC 1123
        raise ValueError(value)
    return name


def _path(value: object) -> Path:
    return Path(_text(value)).expanduser().absolute()


def _optional_path(value: object) -> Path | None:
    return None if value == "" else _path(value)


def _names(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    return tuple(map(_text, value))


def _choice(*allowed: str) -> Callable[[object], str]:
    def parse(value: object) -> str:
        if value not in allowed:
            raise ValueError(value)
        return str(value)

    return parse


def _mode(value: object) -> int:
    return int(_choice("0600", "0660")(value), 8)


def _count(low: int, high: int) -> Callable[[object], int]:
    def parse(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise TypeError(value)
        number = int(value)
        if not low <= number <= high:
            raise ValueError(value)
        return number

    return parse


def _seconds(low: float, high: float) -> Callable[[object], float]:
    def parse(value: object) -> float:
        if isinstance(value, str):
            match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", value)
            if match is None:
                raise ValueError(value)
            seconds = float(match[1]) * _UNITS[match[2]]
        elif isinstance(value, int | float) and not isinstance(value, bool):
            seconds = float(value)
        else:
            raise TypeError(value)
        if not low <= seconds <= high:
            raise ValueError(value)
        return seconds

    return parse


def _default_state_dir(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/gthulhu-agent")
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local/state")  # noqa: PTH118 - text
    return Path(base) / "gthulhu-agent"


def _default_enforcer_lock(environ: Mapping[str, str]) -> Path | None:
    if os.geteuid() == 0:
        return Path("/run/gthulhu/enforcer.lock")
    # Without root an agent reaches its own user's processes only, and without a folder of that user's alone whatever
    # it locked could be locked by others.
    base = environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "gthulhu/enforcer.lock" if base else None


def _default_node(_environ: Mapping[str, str]) -> str:
    return socket.gethostname()


def _is(value: object) -> Callable[[Mapping[str, str]], object]:
    return lambda _environ: value


SETTINGS = (
    Setting(
        "listen",
        _text,
        "ADDRESS:PORT, [IPV6]:PORT or unix:/path",
        _is("127.0.0.1:18080"),
        "Where the API is served. An address that is not loopback needs secret_file.",
    ),
    Setting(
        "state_dir",
        _path,
        "a path",
        _default_state_dir,
        "Folder of the desired set and of what the enforcer has to restore. One agent has it at a time.",
    ),
    Setting("node", _node, "a host name", _default_node, "Name of this node, as Kubernetes and the inventory have it."),
    Setting(
        "enforcer",
        _choice("auto", "eevdf", "none"),
        "auto, eevdf or none",
        _is("auto"),
        "Way into the kernel; auto takes the best that the kernel and the agent's rights allow.",
    ),
    Setting(
        "enforcer_lock",
        _path,
        "a path",
        _default_enforcer_lock,
        "File that the one agent of this node that enforces has locked; the same for every agent of the node.",
    ),
    Setting(
        "pod_file",
        _optional_path,
        "a path",
        _is(None),
        "JSON file of pods that the cgroup tree does not show, with their labels and processes.",
    ),
    Setting(
        "secret_file",
        _optional_path,
        "a path",
        _is(None),
        "File with the shared secret (16 bytes or more) that callers send as Authorization: Bearer.",
    ),
    Setting(
        "socket_mode",
        _mode,
        '"0600" or "0660"',
        _is(0o600),
        "Mode of the Unix socket: who may connect is who may open it.",
    ),
    Setting(
        "scan_interval",
        _seconds(0.1, 3600),
        "a time from 100ms to 1h",
        _is(2.0),
        "How often processes are looked for: the longest that a new thread waits for its schedule. Stretched where "
        "a pass costs more than a tenth of it.",
    ),
    Setting(
        "protected_units",
        _names,
        "a list of names or globs",
        _is(PROTECTED_UNITS),
        "systemd units that node policies never take, unless the control plane's settings release them by name.",
    ),
    Setting(
        "max_connections",
        _count(4, 65536),
        "a number from 4 to 65536",
        _is(256),
        "Connections at a time; one more is answered 503 and closed.",
    ),
    Setting(
        "headers_deadline",
        _seconds(0.1, 600),
        "a time from 100ms to 10m",
        _is(10.0),
        "How long a connection may take for a request's headers, or be silent between requests.",
    ),
    Setting(
        "body_deadline",
        _seconds(0.1, 600),
        "a time from 100ms to 10m",
        _is(30.0),
        "How long a request's body may take to arrive.",
    ),
    Setting(
        "answer_deadline",
        _seconds(0.1, 600),
        "a time from 100ms to 10m",
        _is(30.0),
        "How long a caller may take to read an answer.",
    ),
    Setting(
        "drain_deadline",
        _seconds(0.1, 600),
        "a time from 100ms to 10m",
        _is(10.0),
        "How long requests that run may take to end after SIGTERM.",
    ),
    Setting(
        "log_level",
        _choice("debug", "info", "warning", "error"),
        "debug, info, warning or error",
        _is("info"),
        "The least that is logged.",
    ),
    Setting(
        "log_format",
        _choice("auto", "json", "console"),
        "auto, json or console",
        _is("auto"),
        "Form of log lines on stderr; auto is console on a terminal and JSON elsewhere.",
    ),
)
BY_NAME = {setting.name: setting for setting in SETTINGS}
