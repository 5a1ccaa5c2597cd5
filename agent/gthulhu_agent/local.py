"""Talking to the agent that runs on this machine, with the standard library: commands start without a server."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from gthulhu_agent import secret as secrets
from gthulhu_agent.errors import AgentError
from gthulhu_agent.printable import printable
from gthulhu_agent.statedir import Running
from gthulhu_wire.documents import MAX_SET_BYTES

_SECONDS = 60.0
_MOST_SHOWN = 1000
"""Characters of what an agent says no with."""
_UNIX = "unix:"
_ANYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what it listens on, not what we open


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, seconds: float) -> None:
        super().__init__("localhost", timeout=seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def post(running: Running, path: str) -> dict[str, object]:
    """``POST path`` at the running agent; its answer.

    Raises:
        AgentError: it does not answer, or says no.
    """
    secret = None if running.secret_file is None else secrets.read(Path(running.secret_file))
    try:
        return exchange(connection_to(running.listen), "POST", path, secret)
    except Unanswered as error:
        raise AgentError(
            f"process {running.pid} has the state folder and does not answer on {running.listen}: {error}",
            cure=f"stop it (kill {running.pid}) and try again",
        ) from error
    except SaidNo as error:
        raise AgentError(f"the agent says no: {error}", error.cure) from error


class Unanswered(Exception):  # noqa: N818 - says what is the matter
    """There was no answer, or none of an agent."""


class SaidNo(Exception):  # noqa: N818 - says what is the matter
    """The agent refused, with ``status`` and a ``cure`` or ''."""

    def __init__(self, message: str, status: int, cure: str) -> None:
        super().__init__(message)
        self.status = status
        self.cure = cure


def exchange(connection: http.client.HTTPConnection, method: str, path: str, secret: bytes | None) -> dict[str, object]:
    """One call without a body, with ``secret`` as login where there is one; the JSON object that comes back.

    Raises:
        Unanswered: none does.
        SaidNo: it is a refusal.
    """
    headers = {"Accept": "application/json"}
    if secret is not None:
        headers["Authorization"] = f"Bearer {secret.decode('ascii')}"
    try:
        connection.request(method, path, headers=headers)
        with connection.getresponse() as answer:
            value = json.loads(answer.read(MAX_SET_BYTES))
    except (OSError, http.client.HTTPException, ValueError, RecursionError) as error:
        raise Unanswered(_shown(error)) from error
    finally:
        connection.close()
    told: dict[str, object] = value if isinstance(value, dict) else {}
    if not isinstance(value, dict) or answer.status >= http.client.BAD_REQUEST:
        raise SaidNo(_shown(told.get("message", answer.status)), answer.status, _shown(told.get("cure", "")))
    return told


def _shown(told: object) -> str:
    return printable(told)[:_MOST_SHOWN]


def connection_to(listen: str, seconds: float = _SECONDS) -> http.client.HTTPConnection:
    """A connection, not yet open, to where an agent of this machine says that it listens."""
    if listen.startswith(_UNIX):
        return _UnixConnection(listen.removeprefix(_UNIX), seconds)
    host, _, port = listen.rpartition(":")
    host = _ANYWHERE.get(host, host)
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=seconds)
