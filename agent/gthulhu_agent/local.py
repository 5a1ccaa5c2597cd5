"""Talking to the agent that runs on this machine, with the standard library: commands start without a server."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path

from gthulhu_agent import secret as secrets
from gthulhu_agent.errors import AgentError
from gthulhu_agent.statedir import Running

_SECONDS = 60.0
_UNIX = "unix:"
_ANYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - what it listens on, not what we open
_MAX_ANSWER = 1024 * 1024


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
    headers = {"Content-Length": "0"}
    if running.secret_file is not None:
        headers["Authorization"] = (
            f"Bearer {secrets.read(Path(running.secret_file)).decode('utf-8', 'surrogateescape')}"
        )
    connection = connection_to(running.listen)
    try:
        connection.request("POST", path, headers=headers)
        answer = connection.getresponse()
        value = json.loads(answer.read(_MAX_ANSWER))
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AgentError(
            f"process {running.pid} has the state folder and does not answer on {running.listen}: {error}",
            cure=f"stop it (kill {running.pid}) and try again",
        ) from error
    finally:
        connection.close()
    if not isinstance(value, dict) or answer.status >= http.client.BAD_REQUEST:
        told = value if isinstance(value, dict) else {}
        raise AgentError(f"the agent says no: {told.get('message', answer.status)}", str(told.get("cure", "")))
    return value


def connection_to(listen: str, seconds: float = _SECONDS) -> http.client.HTTPConnection:
    """A connection, not yet open, to where an agent of this machine says that it listens."""
    if listen.startswith(_UNIX):
        return _UnixConnection(listen.removeprefix(_UNIX), seconds)
    host, _, port = listen.rpartition(":")
    host = _ANYWHERE.get(host, host)
    return http.client.HTTPConnection(host.strip("[]"), int(port), timeout=seconds)
