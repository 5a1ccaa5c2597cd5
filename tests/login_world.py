"""What tests of logins share: clients with keys, the assertions that they sign, and a clock that stands still."""

from __future__ import annotations

import base64
import functools
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gthulhu_agent.clock import Clock
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.tokens import Login, LoginRefused, TokenRequest, Ways
from gthulhu_agent.tokens.limits import Limits
from gthulhu_agent.tokens.signingkey import KeyPair, configured
from gthulhu_agent.tokens.usedfile import UsedFile

NODE = "node-1"
AUDIENCE = f"gthulhu-agent/{NODE}"
NOW = 1_800_000_000.0
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey


@functools.cache
def rsa_key(bits: int = 2048) -> rsa.RSAPrivateKey:
    """One for all tests: making one takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@functools.cache
def ec_key() -> ec.EllipticCurvePrivateKey:
    """One for all tests."""
    return ec.generate_private_key(ec.SECP256R1())


def public_pem(key: PrivateKey) -> str:
    """The public half, as openssl writes it."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def private_pem(key: PrivateKey) -> str:
    """Both halves."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def spki_pem(spki: bytes) -> str:
    """A public key in PEM."""
    return f"-----BEGIN PUBLIC KEY-----\n{base64.encodebytes(spki).decode()}-----END PUBLIC KEY-----\n"


def admit(folder: Path, name: str, key: PrivateKey) -> Path:
    """Let ``name`` log in by ``key``."""
    folder.mkdir(mode=0o755, exist_ok=True)
    path = folder / f"{name}.pem"
    path.write_text(public_pem(key))
    path.chmod(0o644)
    return path


@dataclass
class Time:
    """A clock that a test sets."""

    now: float = NOW
    clock: Clock = field(init=False)

    def __post_init__(self) -> None:
        self.clock = Clock(wall=lambda: self.now, monotonic=lambda: self.now)


def assertion(
    key: PrivateKey,
    client: str = "manager",
    *,
    number: str = "1",
    now: float = NOW,
    algorithm: str = "",
    **claims: object,
) -> str:
    """An assertion of ``client``; a claim that is None is left out."""
    content = {
        "iss": client,
        "sub": client,
        "aud": AUDIENCE,
        "iat": int(now),
        "exp": int(now) + 60,
        "jti": number,
    } | claims
    algorithm = algorithm or ("RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256")
    return jwt.encode({name: value for name, value in content.items() if value is not None}, key, algorithm=algorithm)


@functools.cache
def pair() -> KeyPair:
    """The key that signs tokens in tests."""
    return configured(SecretText("token.rsa_private_key_pem", text=private_pem(rsa_key())))


def login(ways: Ways, *, time: Time | None = None, limits: Limits | None = None, used: UsedFile | None = None) -> Login:
    """A login on :data:`NODE`."""
    clock = (time or Time()).clock
    return Login(node=NODE, ways=ways, key=pair, lifetime=3600, clock=clock, limits=limits, used=used)


async def refused(one: Login, request: TokenRequest) -> LoginRefused:
    """The refusal of a login that has to be refused."""
    with pytest.raises(LoginRefused) as told:
        await one.token(request)
    return told.value
