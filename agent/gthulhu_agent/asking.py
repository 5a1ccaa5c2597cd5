"""Asking an agent, this machine's or one that a URL names, with the standard library: commands start fast."""

from __future__ import annotations

import http.client
import urllib.parse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent import local, statedir
from gthulhu_agent import secret as secrets
from gthulhu_agent.errors import AgentError, UsageError

_SECONDS = 30.0
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Keys:
    """What a caller shows, and whom it believes; None is nothing, and the system's authorities.

    Attributes:
        secret_file: what is sent as ``Authorization: Bearer``: the shared secret, or a token.
        ca_file: PEM of the authorities that may have signed the agent's certificate.
        cert_file: PEM of the client's certificate; with ``key_file``, its key.
        key_file: see ``cert_file``.
    """

    secret_file: Path | None = None
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Agent:
    """An agent that can be asked; ``name`` is how errors call it."""

    name: str
    connect: Callable[[], http.client.HTTPConnection]
    secret: bytes | None

    def get(self, path: str) -> dict[str, object]:
        """The JSON object of ``GET path``.

        Raises:
            AgentError: it does not answer, or says no.
        """
        try:
            return local.exchange(self.connect(), "GET", path, self.secret)
        except local.Unanswered as error:
            raise AgentError(f"{self.name} does not answer: {error}", "see whether it runs, and where") from error
        except local.SaidNo as error:
            asks = error.status == http.client.UNAUTHORIZED
            raise AgentError(
                f"{self.name} says no: {error}", "name its --secret-file" if asks else error.cure
            ) from error


def find(url: str | None, keys: Keys, state_dir: Path) -> Agent:
    """The agent at ``url``; without one, that which has ``state_dir``.

    Raises:
        AgentError: none runs there.
        UsageError: the URL is none, or a file of ``keys`` cannot be used.
    """
    return _at(url, keys) if url else _here(state_dir, keys)


def _here(state_dir: Path, keys: Keys) -> Agent:
    running = statedir.running(state_dir)
    if running is None:
        raise AgentError(
            f"no agent runs here: nothing in {state_dir} says where it listens",
            cure="start it, or name its --state-dir or its --url",
        )
    file = keys.secret_file or (None if running.secret_file is None else Path(running.secret_file))
    return Agent(
        f"the agent on {running.listen}",
        lambda: local.connection_to(running.listen, _SECONDS),
        None if file is None else secrets.read(file),
    )


def _at(url: str, keys: Keys) -> Agent:
    try:
        parts = urllib.parse.urlsplit(url)
        host, port = parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"--url: {url!r} is no URL: {error}") from error
    if parts.scheme not in _PORTS or not host or parts.path.strip("/") or parts.query or parts.username is not None:
        raise UsageError(f"--url: {url!r} is not http://HOST:PORT or https://HOST:PORT")
    secret = None if keys.secret_file is None else secrets.read(keys.secret_file)
    if parts.scheme == "http":
        return Agent(url, lambda: http.client.HTTPConnection(host, port, timeout=_SECONDS), secret)
    import ssl  # noqa: PLC0415 - most agents are asked on loopback

    try:
        context = ssl.create_default_context(cafile=None if keys.ca_file is None else str(keys.ca_file))
        if keys.cert_file is not None:
            context.load_cert_chain(keys.cert_file, keys.key_file)
    except (OSError, ValueError) as error:
        raise UsageError(f"the files for TLS cannot be used: {error}") from error
    return Agent(url, lambda: http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=context), secret)
