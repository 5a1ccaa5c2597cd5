"""The one way to a token, whichever API asks for it."""

from __future__ import annotations

import asyncio
import binascii
import re
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from gthulhu_agent.callers import Caller, NoLogin
from gthulhu_agent.clock import Clock
from gthulhu_agent.errors import NotStored, UsageError
from gthulhu_agent.tokens import assertions, issuing
from gthulhu_agent.tokens.claims import BadClaims
from gthulhu_agent.tokens.limits import Limits
from gthulhu_agent.tokens.replay import Used
from gthulhu_agent.tokens.signingkey import KeyPair
from gthulhu_agent.tokens.usedfile import Damaged, Entry, UsedFile
from gthulhu_agent.tokens.values import LoginFault, LoginRefused, LoginTally, Token, TokenRequest

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----\s+([A-Za-z0-9+/=\s]+?)\s+-----END PUBLIC KEY-----")
_LONGEST_NAME = 128

_T = TypeVar("_T")
_log = structlog.stdlib.get_logger("gthulhu_agent.tokens")


@dataclass(frozen=True, slots=True)
class Ways:
    """How a token can be got here.

    Attributes:
        enabled: whether there are tokens at all.
        clients: folder of the keys whose assertions are a login; None: no assertions.
        public_key: whether whoever sends the agent's public key is let in. That proves nothing: everybody has it.
        is_client: whether a certificate of this identity is a login.
    """

    enabled: bool = True
    clients: Path | None = None
    public_key: bool = False
    is_client: Callable[[str], bool] = lambda _identity: False

    @property
    def any_token(self) -> bool:
        """Whether there is a way to a token that needs no certificate."""
        return self.enabled and (self.clients is not None or self.public_key)


class Login:
    """Gives tokens and reads them. Belongs to the event loop's thread; keys are used in a thread of its own."""

    def __init__(
        self,
        *,
        node: str,
        ways: Ways,
        key: Callable[[], KeyPair],
        lifetime: int,
        clock: Clock | None = None,
        limits: Limits | None = None,
        used: UsedFile | None = None,
        number: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    ) -> None:
        self._node = node
        self.ways = ways
        self.tally = LoginTally()
        self._key = key
        self._pair: KeyPair | None = None
        self._lifetime = lifetime
        self._clock = clock or Clock()
        self._limits = limits or Limits()
        self._number = number
        self._file = used
        self._used = Used()
        self._since_skew = 0
        if used is not None:
            try:
                self._used = Used(known=used.load())
            except Damaged as damaged:
                self._since_skew = assertions.SKEW
                _log.error("which assertions were used is lost; those of now are refused at first", error=str(damaged))
        self._began = self._clock.now
        self._ahead = self._clock.wall() - self._clock.monotonic()
        self._thread: ThreadPoolExecutor | None = None

    async def token(self, request: TokenRequest) -> Token:
        """A token for who proves who it is.

        Raises:
            LoginRefused: with why not.
        """
        try:
            proof, client = await self._proved(request)
        except LoginRefused as refused:
            self.tally.refused[refused.why.value] += 1
            tell = _log.debug if refused.why is LoginFault.TOO_MANY else _log.warning
            tell("refused a login", why=refused.why.value, peer=request.peer, told=str(refused))
            raise
        pair = await self._in_thread(self._keys)
        now = self._clock.now
        number, full = self._number(), proof != "public-key"
        text = await self._in_thread(
            lambda: issuing.issue(
                pair, client=client, node=self._node, full=full, now=now, lifetime=self._lifetime, number=number
            )
        )
        self.tally.issued[proof] += 1
        _log.info("issued a token", client=client, proof=proof, peer=request.peer, number=number)
        return Token(text, now + self._lifetime)

    async def verify(self, text: str) -> Caller | NoLogin:
        """Whose token ``text`` is, or why it does not hold."""
        if not self.ways.enabled:
            return NoLogin("invalid", "tokens are not taken here")
        pair = self._pair
        if pair is None:
            pair = await self._in_thread(self._keys)
        found = issuing.verify(text, pair, node=self._node, now=self._clock.wall())
        self.tally.invalid += isinstance(found, NoLogin)
        return found

    async def public_key(self) -> bytes:
        """The public half of the key that signs tokens (SubjectPublicKeyInfo, DER)."""
        return (await self._in_thread(self._keys)).spki

    def close(self) -> None:
        """End the thread."""
        if self._thread is not None:
            self._thread.shutdown()

    async def _proved(self, request: TokenRequest) -> tuple[str, str]:
        if not self.ways.enabled:
            raise LoginRefused(LoginFault.OFF, "this agent gives no tokens", "token.enable is the setting")
        if not self._limits.allows(request.peer, self._clock.monotonic()):
            raise LoginRefused(LoginFault.TOO_MANY, "too many logins are tried", "try again in a few seconds")
        if request.assertion is not None:
            return "assertion", await self._by_assertion(request, request.assertion)
        if request.certificate is not None and self.ways.is_client(request.certificate):
            return "certificate", request.certificate
        if request.public_key is not None:
            return "public-key", await self._by_public_key(request, request.public_key)
        raise LoginRefused(LoginFault.NO_PROOF, "a login needs a signed assertion or a client certificate")

    async def _by_assertion(self, request: TokenRequest, text: str) -> str:
        clients = self.ways.clients
        if clients is None:
            raise LoginRefused(LoginFault.OFF, "assertions are not taken here", "token.clients is the setting")
        now, since = self._clock.wall(), self._since()
        if self._used.full(now):
            raise LoginRefused(LoginFault.TOO_MANY, "too many logins are remembered", "try again in a few minutes")
        try:
            found = await self._in_thread(
                lambda: assertions.read(text, clients=clients, node=self._node, now=now, since=since)
            )
        except BadClaims as error:
            raise LoginRefused(LoginFault.BAD_ASSERTION, f"the assertion does not hold: {error}") from error
        except UsageError as error:
            _log.error("the key of a client cannot be used", error=str(error), cure=error.cure)
            raise LoginRefused(
                LoginFault.BAD_ASSERTION, "the assertion does not hold: the agent's log has the reason"
            ) from error
        if request.client_id not in ("", found.client):
            raise LoginRefused(LoginFault.BAD_ASSERTION, "client_id is another than the assertion's")
        entry = self._used.take(found.client, found.number, found.until)
        if entry is None:
            raise LoginRefused(LoginFault.REPLAYED, "the assertion was used before", "sign a new one for each login")
        await self._keep(entry)
        return found.client

    async def _keep(self, entry: Entry) -> None:
        file, entries = self._file, self._used.entries()
        if file is None:
            return
        try:
            await self._in_thread(lambda: file.add(entry, entries))
        except NotStored as error:
            raise LoginRefused(
                LoginFault.NOT_STORED, f"it cannot be kept that the assertion was used: {error}", error.cure
            ) from error

    def _since(self) -> int:
        """When this process began, by the clock as it goes now: many a node's is set right only after the start."""
        return self._began + self._since_skew + round(self._clock.wall() - self._clock.monotonic() - self._ahead)

    async def _by_public_key(self, request: TokenRequest, offered: str) -> str:
        if not self.ways.public_key:
            raise LoginRefused(
                LoginFault.OFF,
                "the public key is not taken as a login: it proves nothing",
                "compat.public_key_login allows it all the same; docs/login.md has better ways",
            )
        pair = await self._in_thread(self._keys)
        if _der(offered) != pair.spki:
            raise LoginRefused(LoginFault.KEY_MISMATCH, "this is not the public key of this agent")
        # The scheduler of Gthulhu sends no client_id.
        name = "".join(letter for letter in request.client_id if letter.isprintable())[:_LONGEST_NAME]
        return name or "unnamed"

    def _keys(self) -> KeyPair:
        # In the thread alone: making a key takes long, and of two that were made at once one would be lost.
        if self._pair is None:
            self._pair = self._key()
        return self._pair

    async def _in_thread(self, call: Callable[[], _T]) -> _T:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="tokens")
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)


def _der(pem: str) -> bytes | None:
    match = _PEM.search(pem[:65536])
    try:
        return None if match is None else binascii.a2b_base64(match[1])
    except binascii.Error:
        return None
