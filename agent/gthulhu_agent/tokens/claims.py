"""Claims of a JWT, read with suspicion: the library checks signatures; times are checked by the agent's clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

MAX_TEXT = 8 * 1024
"""Characters of a token."""


class BadClaims(Exception):  # noqa: N818 - says what is the matter
    """The token does not hold; the text says why."""


def read(
    text: str, key: PublicKeyTypes, *, algorithm: str, issuer: str | None, required: Sequence[str]
) -> Mapping[str, object]:
    """The claims of a token that ``key`` signed with ``algorithm`` and no other.

    Raises:
        BadClaims: it did not, or a claim is missing or another issuer's.
    """
    import jwt  # noqa: PLC0415 - only where tokens are in use

    _check_length(text)
    try:
        claims: dict[str, Any] = jwt.decode(
            text,
            key,  # type: ignore[arg-type] # the caller pairs algorithms with kinds of keys
            algorithms=[algorithm],
            issuer=issuer,
            options={
                "require": list(required),
                "verify_exp": False,
                "verify_nbf": False,
                "verify_iat": False,
                "verify_aud": False,
            },
        )
    except jwt.InvalidSignatureError as error:
        raise BadClaims("token signature is invalid") from error
    except jwt.InvalidAlgorithmError as error:
        raise BadClaims(f"token signature is invalid: signing method is not {algorithm}") from error
    except jwt.MissingRequiredClaimError as error:
        raise BadClaims(f"token has invalid claims: {error.claim} is missing") from error
    except jwt.InvalidIssuerError as error:
        raise BadClaims("token has invalid claims: token has invalid issuer") from error
    except jwt.DecodeError as error:
        raise BadClaims("token is malformed") from error
    except jwt.PyJWTError as error:
        raise BadClaims(f"token has invalid claims: {error}") from error
    return claims


def unverified(text: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
    """Header and claims of a token that nobody has checked: good for finding the key that checks it.

    Raises:
        BadClaims: it is no token.
    """
    import jwt  # noqa: PLC0415 - only where tokens are in use

    _check_length(text)
    try:
        whole = jwt.decode_complete(text, options={"verify_signature": False})
    except jwt.PyJWTError as error:
        raise BadClaims("token is malformed") from error
    return whole["header"], whole["payload"]


def audience(claims: Mapping[str, object]) -> str:
    """The one audience of a token: one for several nodes would be a login on each of them for whoever sees it.

    Raises:
        BadClaims: there is none, or more than one.
    """
    value = claims.get("aud")
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str):
        raise BadClaims("token has invalid claims: aud is not one audience")
    return value


def instant(claims: Mapping[str, object], name: str) -> float:
    """A claim that is a time, in Unix seconds.

    Raises:
        BadClaims: it is none.
    """
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1 << 53:
        raise BadClaims(f"token has invalid claims: {name} is not a time")
    return float(value)


def word(claims: Mapping[str, object], name: str) -> str:
    """A claim that is a text, neither empty nor long.

    Raises:
        BadClaims: it is not.
    """
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 256:  # noqa: PLR2004 - more than any name or id has
        raise BadClaims(f"token has invalid claims: {name} is not a text of 1 to 256 characters")
    return value


def _check_length(text: str) -> None:
    if len(text) > MAX_TEXT or not text.isascii():
        raise BadClaims("token is malformed")
