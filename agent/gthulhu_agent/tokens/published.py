"""Keys that everybody has: those in Gthulhu's public repositories, which its images and charts install (X-01).

Kept as SHA-256 over the DER of each public half (SubjectPublicKeyInfo, RFC 5280).
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

_PUBLISHED = {
    "2b5e212330e3630621eb4e682740d11bee557b901839cb3db8b94918b7295fc1": "the token key of Gthulhu's configuration",
    "5d3b49365c4d5882fd56dc2075f5ae64d5cb53fe748e9b750d0a5e26dc5cbb90": "the authority of Gthulhu's chart",
    "850fe1378b8e4405a335341292edefcd3d1f8d4279fde0312cb5c359f624fd18": "the Decision Maker's key of Gthulhu's chart",
    "a1285adae77c192ea11d5ec7eb331f24ccca2ea4718ac2b47f6c7542c805c1ec": "the Manager's key of Gthulhu's chart",
}


def published(spki: bytes) -> str:
    """What the key with this SubjectPublicKeyInfo is known as; empty where it is not known."""
    return _PUBLISHED.get(hashlib.sha256(spki).hexdigest(), "")


def spki(key: PublicKeyTypes) -> bytes:
    """The SubjectPublicKeyInfo of ``key``, DER."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - most nodes have no keys

    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
