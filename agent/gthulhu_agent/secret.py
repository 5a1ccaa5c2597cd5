"""The shared secret of ``Authorization: Bearer``: read with care, compared in constant time, shown nowhere."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from pathlib import Path

from gthulhu_agent.errors import UsageError

MIN_BYTES = 16
_MAX_BYTES = 4096


class Secret:
    """What a caller has to know. Only its digest is kept, which also makes all comparisons of one length."""

    __slots__ = ("_digest",)

    def __init__(self, secret: bytes) -> None:
        self._digest = hashlib.sha256(secret).digest()

    def matches(self, offered: bytes) -> bool:
        """Whether ``offered`` is the secret; how long it takes says nothing about it."""
        return hmac.compare_digest(hashlib.sha256(offered).digest(), self._digest)

    def __repr__(self) -> str:
        return "Secret(…)"


def read(path: Path) -> bytes:
    """The secret that a file holds, without white space around it.

    Raises:
        UsageError: it cannot be read, others may read it, or it is too short to be one.
    """
    try:
        fd = os.open(path, os.O_RDONLY)
        with os.fdopen(fd, "rb") as stream:
            mode = os.fstat(fd).st_mode
            secret = stream.read(_MAX_BYTES + 1).strip()
    except OSError as error:
        raise UsageError(f"the secret file {path} cannot be read: {error.strerror or error}") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
        raise UsageError(f"the secret file {path} is open to others", cure=f"chmod 600 {path}")
    if not MIN_BYTES <= len(secret) <= _MAX_BYTES:
        raise UsageError(
            f"the secret in {path} has {len(secret)} bytes; {MIN_BYTES} to {_MAX_BYTES} are taken",
            cure=f"openssl rand -hex 32 >{path}",
        )
    return secret
