"""Client assertions (private_key_jwt, RFC 7523): a caller proves its private key by signing a text for one node."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gthulhu_agent import secrettext
from gthulhu_agent.errors import UsageError
from gthulhu_agent.tokens import claims as reading
from gthulhu_agent.tokens.claims import BadClaims
from gthulhu_agent.tokens.issuing import audience
from gthulhu_agent.tokens.published import published, spki
from gthulhu_agent.tokens.signingkey import LEAST_BITS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

LONGEST = 300
"""Seconds that an assertion may hold."""
SKEW = 30
"""Seconds that a client's clock may be ahead or behind."""
_CLIENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_REQUIRED = ("iss", "sub", "aud", "iat", "exp", "jti")
_UNKNOWN = "it is not signed by the key of a known client"


@dataclass(frozen=True, slots=True)
class Assertion:
    """An assertion that holds: whose, its number, and until when (Unix seconds) that must not be used again."""

    client: str
    number: str
    until: float


def read(text: str, *, clients: Path, node: str, now: float, since: float) -> Assertion:
    """The assertion that ``text`` is, signed by one of ``clients``, a folder of CLIENT_ID.pem.

    ``since`` is when this process began: what was signed before may have been used and forgotten before.

    Raises:
        BadClaims: it does not hold; the text may be told to whoever sent it.
        UsageError: the file of the client's key is not fit for use; that is for the log alone.
    """
    _, unproved = reading.unverified(text)
    client = reading.word(unproved, "iss")
    key, algorithm = _key(clients, client)
    content = reading.read(text, key, algorithm=algorithm, issuer=client, required=_REQUIRED)
    if content.get("sub") != client:
        raise BadClaims("sub and iss have to be the client's id, both")
    if reading.audience(content) != audience(node):
        raise BadClaims(f"aud has to be {audience(node)!r}")
    _check_times(content, now, since)
    return Assertion(client, reading.word(content, "jti"), reading.instant(content, "exp") + SKEW)


def _check_times(content: Mapping[str, object], now: float, since: float) -> None:
    ends, signed = reading.instant(content, "exp"), reading.instant(content, "iat")
    if ends + SKEW <= now:
        raise BadClaims("it has ended: exp is in the past")
    if ends > now + LONGEST + SKEW:
        raise BadClaims(f"exp is more than {LONGEST} seconds ahead")
    if "nbf" in content and reading.instant(content, "nbf") > now + SKEW:
        raise BadClaims("it has not begun: nbf is in the future")
    if signed > now + SKEW:
        raise BadClaims("iat is in the future")
    if signed < since:
        raise BadClaims("it was signed before this agent started: sign a new one")


def _key(clients: Path, client: str) -> tuple[PublicKeyTypes, str]:
    if not _CLIENT.fullmatch(client):
        raise BadClaims(_UNKNOWN)
    path = clients / f"{client}.pem"
    try:
        known = path.is_file()
    except OSError as error:  # a folder that may be listed and not entered
        raise UsageError(f"token.clients: {path} cannot be looked at: {error.strerror}") from error
    if not known:
        raise BadClaims(_UNKNOWN)
    secrettext.check_folder(clients, "token.clients")
    return public_key(secrettext.read(path, "token.clients", private=False), str(path))


def public_key(text: str, where: str) -> tuple[PublicKeyTypes, str]:
    """The key of a client, and the one algorithm that goes with a key of its kind.

    Raises:
        UsageError: it is none, it is weak, or everybody has its private half.
    """
    from cryptography.exceptions import UnsupportedAlgorithm  # noqa: PLC0415 - only where tokens are in use
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - only where tokens are in use
    from cryptography.hazmat.primitives.asymmetric import ec, rsa  # noqa: PLC0415 - only where tokens are in use

    try:
        key = serialization.load_pem_public_key(text.strip().encode() + b"\n")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"token.clients: {where} is no public key in PEM") from error
    known = published(spki(key))
    if known:
        raise UsageError(f"token.clients: {where} is {known}, whose private half is public")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_BITS:
        return key, "RS256"
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key, "ES256"
    raise UsageError(f"token.clients: {where} is neither an RSA key of {LEAST_BITS} bits or more nor one on P-256")
