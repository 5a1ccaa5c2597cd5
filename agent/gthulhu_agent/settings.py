"""The agent's settings: one table, read from options, the environment, a TOML file and defaults, in this order.

docs/agent.md has a line for each; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gthulhu_agent.configuring.checks import Checks
from gthulhu_agent.configuring.decision_maker import SECTIONED
from gthulhu_agent.configuring.listens import Listen
from gthulhu_agent.configuring.own import OWN
from gthulhu_agent.configuring.said import PREFIX, Said, from_environment, from_file, from_others
from gthulhu_agent.configuring.setting import Setting
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText

__all__ = ["BY_NAME", "PREFIX", "SETTINGS", "Listen", "SecretText", "Setting", "Settings", "load"]

SETTINGS = OWN + SECTIONED
BY_NAME = {setting.name: setting for setting in SETTINGS}


@dataclass(frozen=True, slots=True)
class Settings:
    """How this agent runs. All times are seconds, but where the name has another unit.

    Attributes:
        warnings: what was said and has no effect, or not the one that its author may expect.
    """

    listen: tuple[Listen, ...]
    state_dir: Path
    node: str
    machine_id: str
    enforcer: str
    enforcer_lock: Path | None
    events: str
    pod_file: Path | None
    secret_file: Path | None
    socket_mode: int
    scan_interval: float
    protected_units: tuple[str, ...]
    protected_namespaces: tuple[str, ...]
    max_connections: int
    headers_deadline: float
    body_deadline: float
    answer_deadline: float
    drain_deadline: float
    log_level: str
    log_format: str
    token_enable: bool
    token_rsa_private_key_pem: SecretText | None
    token_token_duration_hr: int
    token_clients: Path | None
    mtls_enable: bool
    mtls_cert_pem: SecretText | None
    mtls_key_pem: SecretText | None
    mtls_ca_pem: SecretText | None
    mtls_min_version: str
    mtls_clients: tuple[str, ...]
    tls_cert_pem: SecretText | None
    tls_key_pem: SecretText | None
    daemon_endpoint: str
    daemon_timeout_sec: int
    compat_public_key_login: bool
    compat_open_metrics: bool
    bss_cors_origins: tuple[str, ...]
    bss_kubernetes: str
    bss_kubernetes_token_file: Path | None
    bss_kubernetes_ca_file: Path | None
    warnings: tuple[str, ...] = ()

    @property
    def logins(self) -> tuple[str, ...]:
        """The settings that give callers a way to prove who they are; none: whoever reaches the agent steers it."""
        ways = {
            "secret_file": self.secret_file is not None,
            "token.clients": self.token_enable and self.token_clients is not None,
            "mtls.clients": self.mtls_enable and bool(self.mtls_clients),
            "compat.public_key_login": self.token_enable and self.compat_public_key_login,
        }
        return tuple(name for name, open_ in ways.items() if open_)


def load(*, file: Path | None, environ: Mapping[str, str], options: Mapping[str, object]) -> Settings:
    """The settings in force; an option that is None was not given.

    Raises:
        UsageError: names every fault, each with file:line:column, variable or option.
    """
    faults: list[str] = []
    warnings: list[str] = []
    by_field = {setting.field: setting for setting in SETTINGS}
    said = [
        *from_others(environ, SETTINGS),
        *(from_file(file, BY_NAME, faults, warnings) if file else ()),
        *from_environment(environ, by_field, faults, warnings),
        *(Said(by_field[name].option, by_field[name], value) for name, value in options.items() if value is not None),
    ]
    values: dict[str, Any] = {setting.field: setting.default(environ) for setting in SETTINGS if not setting.fills}
    read: dict[str, tuple[Said, Any]] = {}
    for one in said:
        try:
            read[one.setting.field] = one, one.value(environ)
        except (ValueError, TypeError) as error:
            faults.append(one.fault(error))
    # What a setting fills is what it fills only where nothing sets that itself.
    for one, value in sorted(read.values(), key=lambda pair: not pair[0].setting.fills):
        values[one.setting.fills or one.setting.field] = value
    checks = Checks(values, {name: one for name, (one, _) in read.items()})
    if not faults:
        faults.extend(checks.faults())
    if faults:
        raise UsageError("\n".join(faults), cure="docs/agent.md lists every setting")
    return Settings(**values, warnings=(*warnings, *checks.warnings()))
