"""Where agents are: a node's name, its agent's address, and what proves us to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gthulhu_reconcile.model.diagnostics import Span
from gthulhu_reconcile.model.pods import NO_LABELS

DEFAULT_PORT = 18080
SOCKET_PREFIX = "unix:"
MAX_SOCKET_PATH = 107
"""Bytes of ``sun_path`` without its NUL (unix(7))."""


@dataclass(frozen=True, slots=True)
class Agent:
    """One node's agent.

    Attributes:
        node: the node's name as pods' ``spec.nodeName`` has it; empty where only the agent itself knows.
        url: ``http://host:port``, ``https://host:port`` or ``unix:/path``, as :func:`read_url` gives it.
        labels: the node's labels as the inventory says them; Kubernetes' own come before these.
        secret_file: file whose first line proves us to this agent; None takes the client's.
        span: where this is written, for diagnostics.
    """

    node: str
    url: str
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS, hash=False)
    secret_file: str | None = None
    span: Span | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """What people call it: the node, or the address where the node's name is not known yet."""
        return self.node or self.url

    @property
    def socket_path(self) -> str | None:
        """The Unix socket, where it is one."""
        return self.url.removeprefix(SOCKET_PREFIX) if self.url.startswith(SOCKET_PREFIX) else None

    @property
    def base(self) -> str:
        """What a path of the API is appended to."""
        return "http://localhost" if self.url.startswith(SOCKET_PREFIX) else self.url


def looks_like_url(text: str) -> bool:
    """Whether ``text`` is meant as an agent's address rather than as a file."""
    return "://" in text or text.startswith(SOCKET_PREFIX)


def read_url(text: str) -> str:
    """An agent's address in the one form that is compared and called.

    Raises:
        ValueError: it is not an address of an agent; the message says what is.
    """
    if text.startswith(SOCKET_PREFIX):
        return _socket(text)
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise ValueError(f"'{text}' is not an address: {error}") from None
    if parts.scheme not in ("http", "https"):
        raise ValueError(f"'{text}' must begin with http://, https:// or unix:/")
    if not host:
        raise ValueError(f"'{text}' names no host")
    if parts.username is not None or parts.password is not None:
        raise ValueError("credentials do not belong into an address; use a secret file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"'{text}' must end after the port; the paths of the API are appended to it")
    if any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("an address has neither blanks nor control characters")
    _resolvable(host)
    return http_url(parts.scheme, host, port)


def http_url(scheme: str, host: str, port: int | None) -> str:
    """An address from its parts; an IPv6 ``host`` gets its brackets."""
    shown = f"[{host}]" if ":" in host else host
    return f"{scheme}://{shown}" if port is None else f"{scheme}://{shown}:{port}"


def _resolvable(host: str) -> None:
    # The resolver encodes names in this way, and what it raises where it cannot is no OSError.
    try:
        host.encode("idna")
    except UnicodeError:
        raise ValueError(f"'{host}' is no host's name: between dots are 1 to 63 characters") from None


def _socket(text: str) -> str:
    path = text.removeprefix(SOCKET_PREFIX)
    path = path.removeprefix("//") if path.startswith("///") else path
    if not path.startswith("/"):
        raise ValueError(f"'{text}' must name an absolute path, as in unix:/run/gthulhu-agent/agent.sock")
    if not path.isprintable():
        raise ValueError("the path of a Unix socket has no control characters here")
    if len(path.encode()) > MAX_SOCKET_PATH:
        raise ValueError(f"the path of a Unix socket has at most {MAX_SOCKET_PATH} bytes")
    return SOCKET_PREFIX + path
