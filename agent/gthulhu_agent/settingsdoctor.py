"""What ``gthulhu-agent doctor`` says of the settings: whether ``serve`` would start with them, and the cure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gthulhu_agent import secret
from gthulhu_agent.configuring.checks import holds, in_force
from gthulhu_agent.configuring.naming import named
from gthulhu_agent.doctor import Check
from gthulhu_agent.errors import UsageError
from gthulhu_agent.secrettext import SecretText
from gthulhu_agent.settings import BY_NAME, Settings, load


def examine(option: str | None, environ: Mapping[str, str]) -> tuple[Check, ...]:
    """Look at the settings that ``serve`` would have with ``--config option``. Nothing private is told of."""
    try:
        file = named(option, environ)
        settings = load(file=file, environ=environ, options={})
    except UsageError as error:
        return tuple(_fault("settings", UsageError(line, error.cure)) for line in str(error).splitlines())
    return (
        Check(
            "settings", ok=True, why=f"{file} is taken" if file else "the environment and defaults; no file is named"
        ),
        *(Check("settings", ok=True, why=warning) for warning in settings.warnings),
        *_pems(settings),
        *_secret(settings),
        *_logins(settings),
    )


def _pems(settings: Settings) -> Iterator[Check]:
    fields = {setting.field: name for name, setting in BY_NAME.items()}
    for field in in_force(mtls=settings.mtls_enable, token=settings.token_enable):
        pem = getattr(settings, field)
        if isinstance(pem, SecretText):
            yield _pem(fields[field], pem)


def _pem(name: str, pem: SecretText) -> Check:
    wanted = "PRIVATE KEY" if pem.private else "CERTIFICATE"
    try:
        text = pem.reveal()
    except UsageError as error:
        return _fault(name, error)
    where = str(pem.path or "the settings")
    if not holds(text, wanted):
        return _fault(name, UsageError(f"{where} holds no {wanted} block", cure="name a PEM file"))
    return Check(name, ok=True, why=f"{where} holds a {wanted}")


def _secret(settings: Settings) -> Iterator[Check]:
    if settings.secret_file is not None:
        try:
            secret.read(settings.secret_file)
        except UsageError as error:
            yield _fault("secret_file", error)
        else:
            yield Check("secret_file", ok=True, why=f"{settings.secret_file} holds a secret")


def _logins(settings: Settings) -> Iterator[Check]:
    ways = ", ".join(settings.logins) or "none: whoever reaches the agent steers it"
    reached = [one.address for one in settings.listen if not one.local]
    cure = "set one of secret_file, token.clients, mtls.clients, or listen on 127.0.0.1 or a Unix socket"
    why = f"{ways}; reached from other machines: {', '.join(reached)}" if reached else ways
    yield Check("login", ok=bool(settings.logins) or not reached, why=why, cure=cure)


def _fault(name: str, error: UsageError) -> Check:
    return Check(name, ok=False, why=str(error), cure=error.cure)
