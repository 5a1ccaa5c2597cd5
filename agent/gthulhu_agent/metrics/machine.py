"""What this machine is called among a scheduler's gauges."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

VARIABLE = "MACHINE_ID"


def machine_id(environ: Mapping[str, str], file: Path = Path("/etc/machine-id")) -> str:
    """The variable MACHINE_ID, else machine-id(5), else ''."""
    told = environ.get(VARIABLE, "").strip()
    if told:
        return told
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
