"""Which enforcer an agent runs with."""

from __future__ import annotations

from pathlib import Path

from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.enforcing.measuring import MeasureOnly
from gthulhu_agent.enforcing.protocol import Enforcer

NAMES = ("auto", "eevdf", "none")


class EnforcerUnavailable(ValueError):  # noqa: N818 - says what is the matter
    """The enforcer that was asked for does not exist, or this host does not let it act."""

    def __init__(self, why: str, cure: str = "") -> None:
        super().__init__(why)
        self.cure = cure


def choose(name: str, *, journal: Path, proc: Path = Path("/proc"), layout: Layout | None = None) -> Enforcer:
    """The enforcer called ``name``; "auto" is the strongest that this host lets act.

    Args:
        name: one of :data:`NAMES`.
        journal: where ``eevdf`` remembers what it changed.
        proc: the host's /proc.
        layout: the host's cgroups; None looks for them.

    Raises:
        EnforcerUnavailable: with its cure.
    """
    if name == "none":
        return MeasureOnly()
    raise EnforcerUnavailable(f"there is no enforcer {name!r}", f"one of {', '.join(NAMES)}")
