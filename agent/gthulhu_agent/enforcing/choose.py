"""Which enforcer an agent runs with."""

from __future__ import annotations

from pathlib import Path

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.enforcing.cgroups import Cgroups, KernelCgroups, NoCgroups
from gthulhu_agent.enforcing.eevdf import Eevdf
from gthulhu_agent.enforcing.journal import Journal, boot_id
from gthulhu_agent.enforcing.measuring import MeasureOnly
from gthulhu_agent.enforcing.protocol import Enforcer
from gthulhu_agent.enforcing.systemd import Systemd, run_command
from gthulhu_agent.enforcing.tasks import KernelTasks

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
    if name not in NAMES:
        raise EnforcerUnavailable(f"there is no enforcer {name!r}", f"one of {', '.join(NAMES)}")
    if name == "none":
        return MeasureOnly()
    try:
        sched_attr.ability()
    except OSError as error:
        why = f"sched_setattr is not to be had here: {error.strerror}"
        cure = "run the agent on a known architecture and without a seccomp filter on sched_setattr"
        if name == "auto":
            return MeasureOnly(why, cure)
        raise EnforcerUnavailable(why, cure) from error
    return eevdf(journal=journal, proc=proc, layout=layout)


def eevdf(*, journal: Path, proc: Path = Path("/proc"), layout: Layout | None = None) -> Eevdf:
    """The enforcer over this host's kernel."""
    return Eevdf(journal=Journal(journal, boot_id(proc)), tasks=KernelTasks(proc), cgroups=_cgroups(layout, proc))


def _cgroups(layout: Layout | None, proc: Path) -> Cgroups:
    try:
        found = layout or find_layout(proc)
    except LayoutError:
        return NoCgroups()
    return KernelCgroups(found, Systemd(version=found.version, run=run_command))
