"""The shared secret of ``Authorization: Bearer``: read with care, compared in constant time, shown nowhere."""

from __future__ import annotations

import hashlib
import hmac
import re
from pathlib import Path

from gthulhu_agent import secrettext
from gthulhu_agent.errors import UsageError

MIN_BYTES = 16
_MAX_BYTES = 4096
_WORD = re.compile(rb"[\x21-\x7e]+")
"""What ``Authorization`` can carry (RFC 9110, section 5.5)."""


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
        UsageError: it cannot be read, others may read it, it is too short to be one, or no caller could send it.
    """
    secret = secrettext.read_bytes(path, "secret_file", private=True).strip()
    if not MIN_BYTES <= len(secret) <= _MAX_BYTES:
        raise UsageError(
            f"the secret in {path} has {len(secret)} bytes; {MIN_BYTES} to {_MAX_BYTES} are taken", cure=_cure(path)
        )
    if not _WORD.fullmatch(secret):
        raise UsageError(f"the secret in {path} is not one word of visible ASCII, as a header has it", cure=_cure(path))
    return secret


def _cure(path: Path) -> str:
    return f"openssl rand -hex 32 >{path}"
