"""Who calls, and what that lets them do. A value, so that tokens, certificates and the shared secret meet in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

How = Literal["secret", "token", "certificate", "socket", "loopback"]
Why = Literal["missing", "not-bearer", "invalid"]


class Access(IntEnum):
    """What a route asks for, and what a caller has; the higher includes the lower."""

    OPEN = 0
    """No login."""
    LEGACY = 1
    """Any valid login, also one that proves no possession of a key."""
    FULL = 2
    """The shared secret, the identity of a client certificate, or a token that was got by proof of a private key."""


@dataclass(frozen=True, slots=True)
class Caller:
    """A caller that showed who it is.

    Attributes:
        name: the client id or the certificate's identity; empty where everybody is let in.
        how: by what it was let in; ``socket`` and ``loopback`` where no login is asked for.
    """

    name: str
    access: Access
    how: How


@dataclass(frozen=True, slots=True)
class NoLogin:
    """No caller: what is wrong with what was shown, as one of a closed list, and in words."""

    why: Why
    reason: str
