"""The key that signs tokens: the configured one, or one that is made once and stays in the state folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.tokens.published import published, spki

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

NAME = "token-key.pem"
BITS = 3072
LEAST_BITS = 2048
_MAX_FILE = 16 * 1024
_SETTING = "token.rsa_private_key_pem"

_log = structlog.stdlib.get_logger("gthulhu_agent.tokens")


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Both halves of an RSA key; ``spki`` is the public one as DER, ``kid`` its name in the heads of tokens."""

    private: RSAPrivateKey
    public: RSAPublicKey
    spki: bytes
    kid: str

    def __repr__(self) -> str:
        return f"KeyPair({self.kid})"


def configured(secret: SecretText) -> KeyPair:
    """The key of the settings.

    Raises:
        UsageError: it cannot be read, is no RSA key, is too short, or is one that everybody has.
    """
    pair = _read(secret.reveal().encode(), checked=True)
    if pair is None:
        raise UsageError(
            f"{_SETTING}: this is no unencrypted RSA private key in PEM",
            cure="openssl genrsa -out FILE 3072 makes one; or leave it out: the agent makes one by itself",
        )
    if pair.private.key_size < LEAST_BITS:
        raise UsageError(f"{_SETTING}: the key has {pair.private.key_size} bits; {LEAST_BITS} are the least")
    known = published(pair.spki)
    if known:
        raise UsageError(
            f"{_SETTING}: this is {known}, which is public: whoever has it can log in everywhere",
            cure="leave it out, and the agent makes a key of its own; or: openssl genrsa -out FILE 3072",
        )
    return pair


def own(folder: Path, disk: Disk | None = None) -> KeyPair:
    """The key of the state folder, made where there is none, or none that is whole. Takes half a second then."""
    disk = disk or Disk()
    path = folder / NAME
    try:
        found = _stored(disk, path)
    except OSError as error:
        # It may be whole all the same, and stays as it is.
        _log.error("the token key cannot be read: tokens end with this process", path=str(path), error=str(error))
        return _made()
    if found is not None:
        return found
    made = _made()
    try:
        _write(disk, path, made.private)
    except OSError as error:
        _log.error("the token key cannot be stored: tokens end with this process", path=str(path), error=str(error))
    return made


def _stored(disk: Disk, path: Path) -> KeyPair | None:
    try:
        with disk.reading(path) as stream:
            text = stream.read(_MAX_FILE)
    except FileNotFoundError:
        return None
    found = _read(text, checked=False)
    if found is None:
        _log.error("the token key is damaged, and a new one is made: tokens so far end", path=str(path))
    return found


def _made() -> KeyPair:
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - only where tokens are in use

    return _pair(rsa.generate_private_key(public_exponent=65537, key_size=BITS))


def _write(disk: Disk, path: Path, private: RSAPrivateKey) -> None:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only where tokens are in use

    data = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    unfinished = path.with_name(f"{NAME}.unfinished")
    disk.remove(unfinished)
    fd = disk.create(unfinished)
    try:
        disk.write(fd, data)
        disk.sync(fd)
    finally:
        disk.close(fd)
    disk.rename(unfinished, path)
    disk.sync_directory(path.parent)


def _read(text: bytes, *, checked: bool) -> KeyPair | None:
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where tokens are in use
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only where tokens are in use
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415 - only where tokens are in use

    try:
        # What we wrote ourselves is not tested for primes each time: that takes longer than all else at the start.
        key = serialization.load_pem_private_key(
            text.strip() + b"\n", password=None, unsafe_skip_rsa_key_validation=not checked
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it is encrypted
        return None
    return _pair(key) if isinstance(key, rsa.RSAPrivateKey) else None


def _pair(private: RSAPrivateKey) -> KeyPair:
    public = private.public_key()
    der = spki(public)
    return KeyPair(private, public, der, hashlib.sha256(der).hexdigest()[:16])
