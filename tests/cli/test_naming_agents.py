"""What commands say of agents that were named by mistake."""

from __future__ import annotations

from pathlib import Path

import pytest

from gthulhu_reconcile.cli.main import run


@pytest.mark.parametrize("command", ["status", "drift"])
def test_a_command_that_only_asks_warns_about_a_misspelt_variable_too(
    command: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It said only that nobody answers at the address that the variable was to change."""
    inventory = tmp_path / "hosts.yml"
    misspelt = "{ansible_host: 127.0.0.1, gthulhu_agent_port: 1, gthulhu_agent_ulr: 'http://127.0.0.1:18090'}"
    inventory.write_text(f"all: {{hosts: {{n1: {misspelt}}}}}\n")
    assert run([command, "--agents", str(inventory)]) == 1
    out, err = capfd.readouterr()
    assert "no connection to http://127.0.0.1:1" in out
    assert "warning[unknown-key]: 'gthulhu_agent_ulr'" in err
    assert "did you mean 'gthulhu_agent_url'?" in err


@pytest.mark.parametrize("address", ["http://127.0.0.1:2", "https://n2:443", "unix:/run/agent.sock"])
@pytest.mark.parametrize("command", [["apply", "--yes"], ["drift"]], ids=["apply", "drift"])
def test_the_second_address_after_agents_was_taken_as_a_saved_plan(
    command: list[str], address: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run([*command, "--agents", "http://127.0.0.1:1", address]) == 64
    assert f"'{address}' is taken as a saved plan; write --agents before each address" in capfd.readouterr().err
