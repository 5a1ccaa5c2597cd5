"""``gthulhu-agent revert`` and ``resume``: through the agent that runs, or in its stead."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_agent import local, statedir
from gthulhu_agent.choosing import put_back
from gthulhu_agent.errors import AgentError, AlreadyRunning, NotStored
from gthulhu_agent.legacy.runtime_config import Mode
from gthulhu_agent.legacy.runtime_file import Damaged, RuntimeFile
from gthulhu_agent.printable import printable
from gthulhu_agent.settings import Settings
from gthulhu_agent.store import DesiredStore


@dataclass(frozen=True, slots=True)
class Told:
    """What came of it: things put back, and a warning or ''."""

    restored: int
    warning: str = ""


def revert(settings: Settings) -> Told:
    """Put everything back, and keep hands off until :func:`resume`.

    Raises:
        AgentError: the running agent does not answer, another one enforces on this host, or the kernel does not let
            us.
    """
    try:
        state = statedir.StateDirectory.claim(settings.state_dir)
    except AlreadyRunning:
        answer = local.post(_running(settings), "/v1/revert")
        restored = answer.get("restored")
        return Told(restored if isinstance(restored, int) else 0, printable(answer.get("warning", "")))
    with state:
        warning = ""
        try:
            DesiredStore(state.path).mark_reverted(True)
        except NotStored as error:
            warning = f"{error}: an agent that is started here will enforce again"
        return Told(put_back(state.path, settings.enforcer_lock), warning)


def resume(settings: Settings) -> None:
    """Enforce again what is held, whether it was reverted or switched off by a Decision Maker's client.

    Raises:
        AgentError: the running agent does not answer, or it cannot be remembered.
    """
    try:
        state = statedir.StateDirectory.claim(settings.state_dir)
    except AlreadyRunning:
        local.post(_running(settings), "/v1/resume")
        return
    with state:
        if not settings.daemon_endpoint:
            _switch_on(RuntimeFile(state.path))
        DesiredStore(state.path).mark_reverted(False)


def _switch_on(file: RuntimeFile) -> None:
    try:
        kept = file.load()
    except Damaged:
        return  # it is in force nowhere
    if kept is not None and kept.config.mode == Mode.NONE:
        file.drop()


def _running(settings: Settings) -> statedir.Running:
    running = statedir.running(settings.state_dir)
    if running is None:
        raise AgentError(
            f"a process has the state folder {settings.state_dir}, and no note of where it listens",
            cure=f"it may be starting: try again; or: fuser -v {settings.state_dir}",
        )
    return running
