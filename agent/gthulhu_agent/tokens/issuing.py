"""The agent's own tokens: RS256, as Gthulhu's clients expect them, for one node, with an end and a number."""

from __future__ import annotations

from collections.abc import Mapping

from gthulhu_agent.callers import Access, Caller, NoLogin
from gthulhu_agent.tokens import claims as reading
from gthulhu_agent.tokens.claims import BadClaims
from gthulhu_agent.tokens.signingkey import KeyPair

ISSUER = "decision-maker-service"
ALGORITHM = "RS256"
_LEEWAY = 60.0
"""Seconds that this machine's clock may have been set back since a token was issued."""
_REQUIRED = ("exp", "nbf", "iat", "aud", "iss", "sub", "jti", "scope")


def audience(node: str) -> str:
    """Whom tokens of ``node`` are for, and assertions to it."""
    return f"gthulhu-agent/{node}"


def issue(pair: KeyPair, *, client: str, node: str, full: bool, now: int, lifetime: int, number: str) -> str:
    """A token of ``client`` that holds ``lifetime`` seconds."""
    import jwt  # noqa: PLC0415 - only where tokens are in use

    content = {
        "client_id": client,
        "iss": ISSUER,
        "sub": client,
        "aud": audience(node),
        "iat": now,
        "nbf": now,
        "exp": now + lifetime,
        "jti": number,
        "scope": "dm agent" if full else "dm",
    }
    return jwt.encode(content, pair.private, algorithm=ALGORITHM, headers={"kid": pair.kid})


def verify(text: str, pair: KeyPair, *, node: str, now: float) -> Caller | NoLogin:
    """Whose token ``text`` is, or why it does not hold."""
    try:
        return _caller(
            reading.read(text, pair.public, algorithm=ALGORITHM, issuer=ISSUER, required=_REQUIRED), node, now
        )
    except BadClaims as error:
        return NoLogin("invalid", str(error))


def _caller(content: Mapping[str, object], node: str, now: float) -> Caller:
    if reading.audience(content) != audience(node):
        raise BadClaims("token has invalid claims: token has invalid audience")
    if reading.instant(content, "exp") <= now:
        raise BadClaims("token has invalid claims: token is expired")
    if reading.instant(content, "nbf") > now + _LEEWAY:
        raise BadClaims("token has invalid claims: token is not valid yet")
    scopes = reading.word(content, "scope").split()
    if "dm" not in scopes:
        raise BadClaims("token has invalid claims: token has no scope for this agent")
    access = Access.FULL if "agent" in scopes else Access.LEGACY
    return Caller(reading.word(content, "sub"), access, "token")
