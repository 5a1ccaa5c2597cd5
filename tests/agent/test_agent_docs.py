"""docs/agent.md has a line for everything that an operator can meet, and none for what is not there."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from gthulhu_agent.api.answers import STATUS
from gthulhu_agent.api.calls import ROUTES
from gthulhu_agent.cli import cli
from gthulhu_agent.settings import SETTINGS, load
from gthulhu_agent.state import ConditionKind

TEXT = (Path(__file__).parents[2] / "docs/agent.md").read_text(encoding="utf-8")


def rows(heading: str, text: str = TEXT) -> dict[str, list[str]]:
    """The table rows of a section: the first cell's code, and the other cells."""
    section = text.split(f"## {heading}\n")[1].split("\n## ", maxsplit=1)[0]
    cells = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| `")]
    return {name: row[1:] for row in cells for name in re.findall(r"`([^`]+)`", row[0])}


def test_every_setting_has_its_line() -> None:
    assert list(rows("Settings")) == [setting.name for setting in SETTINGS]


def test_defaults_are_as_told(tmp_path: Path) -> None:
    settings = load(file=None, environ={"HOME": str(tmp_path)}, options={})
    told = {name: cells[0].strip("`") for name, cells in rows("Settings").items()}
    for name, value in (
        ("listen", " ".join(map(str, settings.listen))),
        ("enforcer", settings.enforcer),
        ("socket_mode", f"{settings.socket_mode:04o}"),
        ("scan_interval", f"{settings.scan_interval:g}s"),
        ("max_connections", str(settings.max_connections)),
        ("headers_deadline", f"{settings.headers_deadline:g}s"),
        ("body_deadline", f"{settings.body_deadline:g}s"),
        ("answer_deadline", f"{settings.answer_deadline:g}s"),
        ("drain_deadline", f"{settings.drain_deadline:g}s"),
        ("log_level", settings.log_level),
        ("log_format", settings.log_format),
        ("events", settings.events),
        ("protected_namespaces", ",".join(settings.protected_namespaces)),
        ("token.enable", str(settings.token_enable).lower()),
        ("token.token_duration_hr", str(settings.token_token_duration_hr)),
        ("mtls.enable", str(settings.mtls_enable).lower()),
        ("mtls.min_version", settings.mtls_min_version),
        ("daemon.timeout_sec", str(settings.daemon_timeout_sec)),
        ("compat.public_key_login", str(settings.compat_public_key_login).lower()),
        ("compat.open_metrics", str(settings.compat_open_metrics).lower()),
    ):
        assert told[name] == value


def test_every_condition_has_its_line_and_says_whether_it_takes_readiness() -> None:
    told = {name: cells[0] == "yes" for name, cells in rows("Conditions").items()}
    assert told == {kind.value: kind.blocks_ready for kind in ConditionKind}


def test_every_call_and_every_refusal_has_its_line() -> None:
    api = rows("API")
    assert {name for name in api if " " in name} == {f"{route.method} {route.path}" for route in ROUTES}
    codes = {name: int(cells[0]) for name, cells in api.items() if " " not in name}
    assert codes == {code.value: status for code, status in STATUS.items()}


def test_every_command_has_its_line() -> None:
    told = {name.split(" ")[0] for name in rows("Commands and exit codes")}
    assert told == set(cli.commands)
    for command in cli.commands:
        assert CliRunner().invoke(cli, [command, "--help"]).exit_code == 0
