"""The agent's edge: its listeners, open, who may come in at each, and TLS. All of it is there before anything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from gthulhu_agent.admission import Admission, admission
from gthulhu_agent.api.callers import Callers
from gthulhu_agent.api.listener import Listener, listen
from gthulhu_agent.clock import Clock
from gthulhu_agent.errors import AgentError
from gthulhu_agent.secret import Secret
from gthulhu_agent.settings import Listen, Settings
from gthulhu_agent.tls import Tls, sources

_LOCAL = "agent.sock"
_LOCAL_MODE = 0o600

_log = structlog.stdlib.get_logger("gthulhu_agent")


@dataclass(frozen=True, slots=True)
class Opened:
    """A listener, and what it speaks beside ``/v1``.

    Attributes:
        local: whether it is the agent's own, for commands of its own user on this machine.
    """

    said: Listen
    listener: Listener
    local: bool = False


class Edge:
    """Everything that callers meet first."""

    def __init__(self, settings: Settings, listeners: Sequence[Opened], admitted: Admission, tls: Tls | None) -> None:
        self.listeners = tuple(listeners)
        self.admission = admitted
        self.tls = tls
        self._clients = settings.mtls_clients

    @classmethod
    def open(cls, settings: Settings, *, clock: Clock | None = None, secret: Secret | None = None) -> Edge:
        """Listen wherever ``settings`` say.

        Raises:
            UsageError: a key, a certificate or an address cannot be used, or others could come in unasked.
            AgentError: the system does not let us listen.
        """
        admitted = admission(settings, clock=clock or Clock(), secret=secret)
        found = sources(settings)
        tls = None if found is None else Tls(found)
        opened: list[Opened] = []
        try:
            for said in settings.listen:
                one = listen(said.address, login=admitted.over_network, socket_mode=settings.socket_mode)
                opened.append(Opened(said, one))
            if tls is not None or (admitted.over_socket and admitted.secret is None):
                opened.extend(_local(settings))
        except AgentError:
            for entry in opened:
                entry.listener.close()
            raise
        return cls(settings, opened, admitted, tls)

    def close(self) -> None:
        """Close the listeners."""
        for opened in self.listeners:
            opened.listener.close()

    @property
    def announced(self) -> Opened:
        """Where the agent's own commands reach it."""
        return next((one for one in self.listeners if one.local), self.listeners[0])

    @property
    def open_to_all(self) -> bool:
        """Whether a listener on loopback asks for no login."""
        return any(self.callers(one).open_as == "loopback" for one in self.listeners)

    def tls_of(self, opened: Opened) -> Tls | None:
        """TLS of one listener: sockets of this machine have none."""
        return self.tls if opened.listener.path is None else None

    def callers(self, opened: Opened) -> Callers:
        """Who may call at one listener."""
        admitted = self.admission
        if opened.listener.path is not None:
            if opened.local or not admitted.over_socket:
                return Callers(open_as="socket")
        elif not admitted.over_network:
            return Callers(open_as="loopback")
        gives_tokens = admitted.login.ways.any_token or (admitted.certificates and admitted.login.ways.enabled)
        return Callers(
            secret=admitted.secret,
            # Without a way to a token there is no key either, and none is made for those who try.
            verify=admitted.login.verify if gives_tokens else None,
            clients=self._clients if admitted.certificates else (),
        )


def _local(settings: Settings) -> list[Opened]:
    """A socket in the state folder: ``gthulhu-agent revert`` has no certificate, and no login that others must have."""
    address = f"unix:{settings.state_dir / _LOCAL}"
    try:
        one = listen(address, login=False, socket_mode=_LOCAL_MODE)
    except AgentError as error:
        _log.warning("commands on this machine cannot reach this agent", listen=address, error=str(error))
        return []
    return [Opened(Listen(address, "none"), one, local=True)]
