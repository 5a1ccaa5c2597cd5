"""What a login asks for and gives, and with what it is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from gthulhu_agent.agent import Refused
from gthulhu_wire.refusals import Refusal


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """Somebody asks for a token.

    Attributes:
        public_key: PEM, as Gthulhu's clients send it.
        client_id: who it says it is; with an assertion it has to be who signed that.
        assertion: a JWT that the client signed (RFC 7523, section 2.2).
        peer: its address; empty on a Unix socket.
        certificate: the identity of its verified certificate, where it showed one.
    """

    public_key: str | None = None
    client_id: str = ""
    assertion: str | None = field(default=None, repr=False)
    peer: str = ""
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token, and until when it holds, in Unix seconds."""

    text: str = field(repr=False)
    expires_at: int


class LoginFault(StrEnum):
    """Why no token was given. A closed list."""

    OFF = "off"
    """This way of logging in is not allowed here."""
    KEY_MISMATCH = "key-mismatch"
    """The public key that was sent is not this agent's."""
    BAD_ASSERTION = "bad-assertion"
    """The assertion is not one that a known client signed for this node, now."""
    REPLAYED = "replayed"
    """The assertion was used before."""
    TOO_MANY = "too-many"
    """So many logins were tried that this one was not looked at."""
    NOT_STORED = "not-stored"
    """It could not be kept that the assertion was used."""
    NO_PROOF = "no-proof"
    """There is neither an assertion nor a certificate that is a login."""


_CODES = {LoginFault.TOO_MANY: Refusal.TOO_MANY, LoginFault.NOT_STORED: Refusal.NOT_STORED}


class LoginRefused(Refused):
    """No token."""

    def __init__(self, why: LoginFault, message: str, cure: str = "docs/login.md has the ways in") -> None:
        super().__init__(_CODES.get(why, Refusal.UNAUTHENTICATED), message, cure, more={"why": why.value})
        self.why = why


@dataclass(slots=True)
class LoginTally:
    """Logins since the start; they never go down.

    Attributes:
        issued: tokens by the proof: public-key, assertion, certificate.
        refused: by :class:`LoginFault`.
        invalid: tokens shown that did not hold.
    """

    issued: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
