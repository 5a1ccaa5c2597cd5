"""Weights of systemd's units, through systemd: what is written behind its back is lost at its next daemon-reload."""

from __future__ import annotations

import errno
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

_SUFFIXES = (".service", ".scope", ".slice", ".socket", ".mount", ".swap")
_TIMEOUT = 10.0
"""Seconds that systemctl gets; PID 1 answers in milliseconds unless it hangs."""
_TOO_LONG = 124
"""Exit code of a command that was given up on, as timeout(1) has it."""
_UNSET = {"", "[not set]", str(2**64 - 1)}


@dataclass(frozen=True, slots=True)
class Completed:
    """What a command came to."""

    code: int
    output: str
    errors: str


Run = Callable[[Sequence[str]], Completed]


@dataclass(frozen=True, slots=True)
class UnitWeight:
    """What systemd itself has written down for a unit's weight.

    Attributes:
        unit: its name.
        value: None where the unit has none of its own and thus the default.
    """

    unit: str
    value: int | None


class Systemd:
    """Asks and tells systemd by ``systemctl``. CPUWeight on cgroup v2, CPUShares on v1."""

    def __init__(self, *, version: int, run: Run, booted: Path = Path("/run/systemd/system")) -> None:
        self._property = "CPUWeight" if version > 1 else "CPUShares"
        self._run = run
        self._booted = booted

    def owner_of(self, cgroup: str) -> UnitWeight | None:
        """The unit that ``cgroup`` is, if systemd runs here and says that it is that unit's."""
        unit = cgroup.rpartition("/")[2]
        if not unit.endswith(_SUFFIXES) or not self._booted.is_dir():
            return None
        done = self._run(["systemctl", "show", f"--property=ControlGroup,{self._property}", "--", unit])
        if done.code != 0:
            return None
        said = dict(line.split("=", 1) for line in done.output.splitlines() if "=" in line)
        if said.get("ControlGroup") != cgroup:
            return None
        value = said.get(self._property, "")
        return UnitWeight(unit, int(value) if value not in _UNSET and value.isdigit() else None)

    def set_weight(self, unit: str, value: int | None) -> None:
        """Set the unit's weight until the next boot; None takes it away again.

        Raises:
            OSError: systemctl's own words.
        """
        text = "" if value is None else str(value)
        done = self._run(["systemctl", "set-property", "--runtime", "--", unit, f"{self._property}={text}"])
        if done.code == _TOO_LONG:
            raise OSError(errno.ETIMEDOUT, f"systemctl: {done.errors}")
        if done.code != 0:
            raise OSError(errno.EIO, f"systemctl: {done.errors.strip() or f'exit code {done.code}'}")


def run_command(command: Sequence[str]) -> Completed:
    """Run ``command`` to its end; what cannot be started has exit code 127, what takes too long 124."""
    try:
        done = subprocess.run(  # noqa: S603 - fixed program, the unit's name behind "--"
            command, capture_output=True, text=True, timeout=_TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except OSError as error:
        return Completed(127, "", str(error))
    except subprocess.TimeoutExpired as error:
        return Completed(_TOO_LONG, "", str(error))
    return Completed(done.returncode, done.stdout, done.stderr)
