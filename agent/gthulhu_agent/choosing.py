"""The enforcer of this agent, with its memory in the state folder."""

from __future__ import annotations

from pathlib import Path

from gthulhu_agent.enforcing.choose import EnforcerUnavailable, choose
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.errors import AgentError

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
