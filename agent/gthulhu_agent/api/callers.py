"""From what a request shows to who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from gthulhu_agent.agent import Refused
from gthulhu_agent.callers import Access, Caller, How, NoLogin, Why
from gthulhu_agent.secret import Secret
from gthulhu_agent.tls.identity import is_client
from gthulhu_wire.refusals import Refusal

Verify = Callable[[str], Awaitable[Caller | NoLogin]]


PROVE = "log in with the secret, a client certificate or a signed assertion: docs/login.md"
"""The cure of a login that proves no possession of a key."""


class NotLoggedIn(Refused):
    """401: ``why`` says what was wrong with the login, ``reason`` why a token is invalid."""

    def __init__(self, login: NoLogin, message: str, cure: str) -> None:
        super().__init__(Refusal.UNAUTHENTICATED, message, cure, more={"why": login.why})
        self.why: Why = login.why
        self.reason = login.reason


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request shows of its caller: the values of Authorization, and the identity of a verified certificate."""

    authorization: Sequence[str] = ()
    certificate: str | None = None


@dataclass(frozen=True, slots=True)
class Callers:
    """Who may call a listener.

    Attributes:
        open_as: how everybody is let in where no login is asked for; None where one is.
        verify: reads a token; None where none is taken.
        clients: names (globs) in certificates that are a login by themselves.
    """

    open_as: How | None = None
    secret: Secret | None = None
    verify: Verify | None = None
    clients: tuple[str, ...] = ()

    async def identify(self, shown: Shown) -> Caller | NoLogin:
        """Who calls: the strongest of what was shown."""
        if self.open_as is not None:
            return Caller("", Access.FULL, self.open_as)
        if shown.certificate is not None and is_client(shown.certificate, self.clients):
            return Caller(shown.certificate, Access.FULL, "certificate")
        offered = _bearer(shown.authorization)
        if isinstance(offered, NoLogin):
            return offered
        if self.secret is not None and self.secret.matches(offered.encode("utf-8", "surrogateescape")):
            return Caller("", Access.FULL, "secret")
        if self.verify is None:
            return NoLogin("invalid", "it is not the secret of this agent")
        return await self.verify(offered)


def _bearer(values: Sequence[str]) -> str | NoLogin:
    if not values or values == [""]:
        return NoLogin("missing", "there is no Authorization header")
    scheme, blank, offered = values[0].partition(" ")
    if len(values) > 1 or not blank or scheme.lower() != "bearer":
        return NoLogin("not-bearer", "the Authorization header is not one Bearer token")
    return offered.strip()
