"""What ``gthulhu-agent doctor`` says of the settings: whether ``serve`` would start with them, and the cure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from gthulhu_agent import secret, secrettext
from gthulhu_agent.configuring.naming import named
from gthulhu_agent.doctor import Check
from gthulhu_agent.errors import UsageError
from gthulhu_agent.settings import Settings, load
from gthulhu_agent.tls import loading, sources
from gthulhu_agent.tokens import assertions, signingkey

_DAY = 86_400


def examine(option: str | None, environ: Mapping[str, str], *, now: float) -> tuple[Check, ...]:
    """Look at the settings that ``serve`` would have with ``--config option``. Nothing private is told of.

    Args:
        option: as the command line has it, or None.
        environ: the environment.
        now: Unix seconds.
    """
    try:
        file = named(option, environ)
        settings = load(file=file, environ=environ, options={})
    except UsageError as error:
        return tuple(Check("settings", ok=False, why=line, cure=error.cure) for line in str(error).splitlines())
    return (
        Check(
            "settings", ok=True, why=f"{file} is taken" if file else "no file is named; nothing is wrong with the rest"
        ),
        *(Check("settings", ok=True, why=f"but {warning}") for warning in settings.warnings),
        *_tls(settings, now),
        *_token_key(settings),
        *_clients(settings),
        *_secret(settings),
        _login(settings),
    )


def _tls(settings: Settings, now: float) -> Iterator[Check]:
    found = sources(settings)
    if found is not None:
        yield _tried("tls", lambda: _days(loading.load(found, loading.read(found)), now))


def _days(loaded: loading.Loaded, now: float) -> str:
    if not loaded.begins_at <= now < loaded.ends_at:
        raise UsageError("the certificate is not valid now", cure="see its dates, and the clock of this machine")
    return f"certificate and key fit; {math.floor((loaded.ends_at - now) / _DAY)} days to the certificate's end"


def _token_key(settings: Settings) -> Iterator[Check]:
    given = settings.token_rsa_private_key_pem
    if settings.token_enable and given is not None:
        yield _tried("token-key", lambda: f"RSA, {signingkey.configured(given).private.key_size} bits")


def _clients(settings: Settings) -> Iterator[Check]:
    folder = settings.token_clients
    if settings.token_enable and folder is not None:
        yield _tried("token-clients", lambda: _folder(folder))


def _folder(folder: Path) -> str:
    secrettext.check_folder(folder, "token.clients")
    keys = sorted(folder.glob("*.pem"))
    for key in keys:
        assertions.public_key(secrettext.read(key, "token.clients", private=False), str(key))
    return f"{folder} has {', '.join(key.stem for key in keys) or 'no keys'}"


def _secret(settings: Settings) -> Iterator[Check]:
    file = settings.secret_file
    if file is not None:
        yield _tried("secret", lambda: f"{file} holds {len(secret.read(file))} bytes")


def _login(settings: Settings) -> Check:
    ways = ", ".join(settings.logins) or "none: whoever reaches the agent steers it"
    reached = [one.address for one in settings.listen if not one.local]
    return Check(
        "login",
        ok=bool(settings.logins) or not reached,
        why=f"{ways}; reached from other machines: {', '.join(reached)}" if reached else ways,
        cure="set secret_file, token.clients or mtls.clients, or listen on 127.0.0.1 or a Unix socket",
    )


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, ok=True, why=look())
    except UsageError as error:
        return Check(name, ok=False, why=str(error), cure=error.cure)
