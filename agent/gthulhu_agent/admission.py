"""Who may call this agent, by its settings: the ways to log in, and what each listener asks for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent import secret as secrets
from gthulhu_agent import secrettext
from gthulhu_agent.clock import Clock
from gthulhu_agent.secret import Secret
from gthulhu_agent.settings import Settings
from gthulhu_agent.tls.identity import is_client
from gthulhu_agent.tokens import Login, Ways
from gthulhu_agent.tokens.signingkey import KeyPair, configured, own
from gthulhu_agent.tokens.usedfile import UsedFile

_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Admission:
    """The ways in.

    Attributes:
        secret: None where there is none.
        certificates: whether certificates of some callers are a login.
    """

    secret: Secret | None
    login: Login
    certificates: bool

    @property
    def over_network(self) -> bool:
        """Whether there is a way to log in at a network address."""
        return self.secret is not None or self.login.ways.any_token or self.certificates

    @property
    def over_socket(self) -> bool:
        """Whether there is a way to log in without TLS."""
        return self.secret is not None or self.login.ways.any_token


def admission(settings: Settings, *, clock: Clock, secret: Secret | None = None) -> Admission:
    """The ways in that ``settings`` name.

    Raises:
        UsageError: the secret, the key that signs tokens or the folder of clients cannot be used.
    """
    if secret is None and settings.secret_file is not None:
        secret = Secret(secrets.read(settings.secret_file))
    lets_in: Callable[[str], bool] = functools.partial(is_client, clients=settings.mtls_clients)
    certificates = settings.mtls_enable and bool(settings.mtls_clients)
    if settings.token_enable and settings.token_clients is not None:
        secrettext.check_folder(settings.token_clients, "token.clients")
    ways = Ways(
        enabled=settings.token_enable,
        clients=settings.token_clients,
        public_key=settings.compat_public_key_login,
        is_client=lets_in if certificates else lambda _identity: False,
    )
    login = Login(
        node=settings.node,
        ways=ways,
        key=_key(settings),
        lifetime=settings.token_token_duration_hr * _HOUR,
        clock=clock,
        used=UsedFile(settings.state_dir) if settings.token_enable and settings.token_clients is not None else None,
    )
    return Admission(secret, login, certificates)


def _key(settings: Settings) -> Callable[[], KeyPair]:
    given = settings.token_rsa_private_key_pem
    if given is None or not settings.token_enable:
        folder: Path = settings.state_dir
        return lambda: own(folder)
    pair = configured(given)  # at the start, so that a key that everybody has is refused before anybody can use it
    return lambda: pair
