"""``credential:NAME``: a file that systemd passed to this service with LoadCredential= and shows nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_PREFIX = "credential:"


def resolved(said: object, environ: Mapping[str, str]) -> object:
    """The path of a credential, where ``said`` names one; else ``said``.

    Raises:
        ValueError: it is no name of a credential, or systemd passed none.
    """
    if not isinstance(said, str) or not said.startswith(_PREFIX):
        return said
    name = said.removeprefix(_PREFIX)
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder or name in {".", ".."} or not re.fullmatch(r"[\x21-\x2e\x30-\x7e]{1,255}", name):
        raise ValueError(said)
    return str(Path(folder) / name)
