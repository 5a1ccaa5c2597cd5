"""The agent's own settings."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from gthulhu_agent.configuring.listens import TAKES, Listen, listens
from gthulhu_agent.configuring.setting import Setting, always
from gthulhu_agent.configuring.values import (
    LEVELS,
    choice,
    count,
    label,
    mode,
    names,
    node,
    optional_path,
    path,
    seconds,
)
from gthulhu_wire.protection import PROTECTED_UNITS

_MACHINE_ID = Path("/etc/machine-id")


def _state_dir(environ: Mapping[str, str]) -> Path:
    if os.geteuid() == 0:
        return Path("/var/lib/gthulhu-agent")
    base = environ.get("XDG_STATE_HOME") or os.path.join(environ.get("HOME", "/"), ".local/state")  # noqa: PTH118 - text
    return Path(base) / "gthulhu-agent"


def _enforcer_lock(environ: Mapping[str, str]) -> Path | None:
    if os.geteuid() == 0:
        return Path("/run/gthulhu/enforcer.lock")
    # Without root an agent reaches its own user's processes only, and without a folder of that user's alone whatever
    # it locked could be locked by others.
    base = environ.get("XDG_RUNTIME_DIR")
    return Path(base) / "gthulhu/enforcer.lock" if base else None


def _node(_environ: Mapping[str, str]) -> str:
    return socket.gethostname()


def _machine_id(_environ: Mapping[str, str]) -> str:
    try:
        # Gthulhu keeps the end of the line, which is then part of a label's value.
        return _MACHINE_ID.read_text(encoding="ascii", errors="replace").strip()
    except OSError:
        return ""


OWN = (
    Setting(
        "listen",
        listens,
        TAKES,
        always((Listen("127.0.0.1:18080"),)),
        "Where the API is served, and which compatible API beside it. An address that is not loopback needs a way "
        "of logging in.",
    ),
    Setting(
        "state_dir",
        path,
        "a path",
        _state_dir,
        "Folder of the desired set and of what the enforcer has to restore. One agent has it at a time.",
    ),
    Setting(
        "node",
        node,
        "a host name",
        _node,
        "Name of this node, as Kubernetes and the inventory have it.",
        variable="NODE_NAME",
    ),
    Setting(
        "machine_id",
        label,
        "up to 128 printable characters without blanks",
        _machine_id,
        "What the metrics of a Decision Maker call this machine.",
        variable="MACHINE_ID",
    ),
    Setting(
        "enforcer",
        choice("auto", "eevdf", "none"),
        "auto, eevdf or none",
        always("auto"),
        "Way into the kernel; auto takes the best that the kernel and the agent's rights allow.",
    ),
    Setting(
        "enforcer_lock",
        path,
        "a path",
        _enforcer_lock,
        "File that the one agent of this node that enforces has locked; the same for every agent of the node.",
    ),
    Setting(
        "events",
        choice("auto", "bpf", "connector", "none"),
        "auto, bpf, connector or none",
        always("auto"),
        "What tells of new processes: a BPF program, the kernel's process connector, or nothing but looking; auto "
        "takes the best that the kernel and the agent's rights allow.",
    ),
    Setting(
        "pod_file",
        optional_path,
        "a path",
        always(None),
        "JSON file of pods that the cgroup tree does not show, with their labels and processes.",
    ),
    Setting(
        "secret_file",
        optional_path,
        "a path or credential:NAME",
        always(None),
        "File with the shared secret (16 bytes or more) that callers send as Authorization: Bearer.",
        credential=True,
    ),
    Setting(
        "socket_mode",
        mode,
        '"0600" or "0660"',
        always(0o600),
        "Mode of the Unix socket: who may connect is who may open it.",
    ),
    Setting(
        "scan_interval",
        seconds(0.1, 3600),
        "a time from 100ms to 1h",
        always(2.0),
        "How often processes are looked for where nothing tells of them; where something does, how soon a whole pass "
        "follows. Stretched where a pass costs more than a twentieth of it.",
    ),
    Setting(
        "protected_units",
        names,
        "a list of names or globs",
        always(PROTECTED_UNITS),
        "systemd units that node policies never take, unless the control plane's settings release them by name.",
    ),
    Setting(
        "protected_namespaces",
        names,
        "a list of names",
        always(("kube-system",)),
        "Namespaces whose pods are left alone whatever a Decision Maker's client sends for them.",
    ),
    Setting(
        "max_connections",
        count(4, 65536),
        "a number from 4 to 65536",
        always(256),
        "Connections at a time; for one more the slowest caller goes, or it is answered 503 where all have just come.",
    ),
    Setting(
        "headers_deadline",
        seconds(0.1, 600),
        "a time from 100ms to 10m",
        always(10.0),
        "How long a connection may take for a request's headers, or be silent between requests.",
    ),
    Setting(
        "body_deadline",
        seconds(0.1, 600),
        "a time from 100ms to 10m",
        always(30.0),
        "How long a request's body may take to arrive.",
    ),
    Setting(
        "answer_deadline",
        seconds(0.1, 600),
        "a time from 100ms to 10m",
        always(30.0),
        "How long a caller may take to read an answer.",
    ),
    Setting(
        "drain_deadline",
        seconds(0.1, 600),
        "a time from 100ms to 10m",
        always(10.0),
        "How long requests that run may take to end after SIGTERM.",
    ),
    Setting(
        "log_level",
        choice(*LEVELS),
        "debug, info, warning or error",
        always("info"),
        "The least that is logged.",
    ),
    Setting(
        "log_format",
        choice("auto", "json", "console"),
        "auto, json or console",
        always("auto"),
        "Form of log lines on stderr; auto is console on a terminal and JSON elsewhere.",
    ),
)
