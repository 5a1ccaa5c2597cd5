"""``credential:NAME``: a file that systemd passed to this service with LoadCredential= and shows nobody else."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_PREFIX = "credential:"


class CredentialMissing(ValueError):  # noqa: N818 - says what is the matter
    """A credential was named that was not passed."""


def resolved(said: object, environ: Mapping[str, str]) -> object:
    """The path of a credential, where ``said`` names one; else ``said``.

    Raises:
        CredentialMissing: it is no name of a credential, or it was not passed.
    """
    if not isinstance(said, str) or not said.startswith(_PREFIX):
        return said
    name = said.removeprefix(_PREFIX)
    if name in {".", ".."} or not re.fullmatch(r"[\x21-\x2e\x30-\x7e]{1,255}", name):
        raise CredentialMissing("no credential can have that name")
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if not folder:
        raise CredentialMissing(f"systemd passed no credentials; LoadCredential={name}:/its/path in the unit does")
    return str(Path(folder) / name)
