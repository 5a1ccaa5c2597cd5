"""The enforcer of this agent, with its memory in the state folder."""

from __future__ import annotations

from pathlib import Path

from gthulhu_agent.enforcing.choose import EnforcerUnavailable, choose, eevdf
from gthulhu_agent.enforcing.journal import exists
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.errors import AgentError
from gthulhu_agent.hostlock import claimed

JOURNAL = "eevdf.journal"


def find_enforcer(name: str, state_dir: Path) -> Enforcer:
    """The enforcer called ``name``, with what it has to remember in ``state_dir``.

    Raises:
        AgentError: there is none of that name, or this machine does not let it act.
    """
    try:
        return choose(name, journal=state_dir / JOURNAL)
    except EnforcerUnavailable as error:
        raise AgentError(f"enforcer {name}: {error}", error.cure) from error


def put_back(state_dir: Path, lock: Path | None) -> int:
    """Put back whatever an agent with this state folder has changed, by any enforcer; the number of things.

    Raises:
        AlreadyRunning: an agent with another state folder enforces on this host.
        AgentError: the kernel or the disk does not let us.
    """
    journal = state_dir / JOURNAL
    if not exists(journal):
        return 0
    try:
        with claimed(lock):
            return eevdf(journal=journal).revert()
    except OSError as error:
        raise AgentError(
            f"not everything could be put back: {error}", "run it as the user that the agent runs as, or as root"
        ) from error
