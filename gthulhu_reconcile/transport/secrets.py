"""What proves us to agents: a secret from a file, never from the command line, an address or a log."""

from __future__ import annotations

from pathlib import Path

from gthulhu_reconcile.errors import AgentRefused
from gthulhu_reconcile.transport.agents import Agent
from gthulhu_reconcile.transport.answers import shown
from gthulhu_wire.refusals import Refusal

MAX_SECRET = 4096


class Secrets:
    """Reads each file once; a new client reads them anew."""

    def __init__(self, default_file: str | None) -> None:
        self._default_file = default_file
        self._known: dict[str, str] = {}

    def of(self, agent: Agent) -> str | None:
        """The secret for ``agent``, None where neither it nor the client has a file.

        Raises:
            AgentRefused: the file cannot be used; asking without a secret would only hide that.
        """
        path = agent.secret_file or self._default_file
        if path is None:
            return None
        if path not in self._known:
            self._known[path] = _read(agent, path)
        return self._known[path]


def _read(agent: Agent, path: str) -> str:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_SECRET + 1)
    except OSError as error:
        raise _unusable(agent, path, error.strerror or str(error)) from error
    except ValueError as error:
        # A NUL in the path, or what no file system's encoding has.
        raise _unusable(agent, path, str(error)) from error
    line = content.split(b"\n", 1)[0].strip()
    if len(content) > MAX_SECRET:
        raise _unusable(agent, path, f"it has more than {MAX_SECRET} bytes")
    if not line:
        raise _unusable(agent, path, "its first line is empty")
    if any(not 0x21 <= byte <= 0x7E for byte in line):  # noqa: PLR2004 - visible ASCII, RFC 9110 section 5.5
        raise _unusable(agent, path, "a secret is one word of visible ASCII")
    return line.decode("ascii")


def _unusable(agent: Agent, path: str, problem: str) -> AgentRefused:
    return AgentRefused(
        agent.title, Refusal.UNAUTHENTICATED.value, f"secret file {shown(path)} cannot be used: {shown(problem)}"
    )
