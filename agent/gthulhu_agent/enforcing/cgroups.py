"""Weights of cgroups as the kernel has them: ``cpu.weight`` in v2, ``cpu.shares`` in v1."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.enforcing.systemd import Systemd, UnitWeight


@dataclass(frozen=True, slots=True)
class WeightScale:
    """The unit in which a hierarchy counts weight.

    Attributes:
        file: its name in a cgroup's directory.
        low: the least that the kernel takes.
        high: the most.
        default: what a new cgroup has.
    """

    file: str
    low: int
    high: int
    default: int

    def as_weight(self, value: int) -> int:
        """``value`` in cpu.weight units, 1 to 10000, default 100."""
        return max(1, min(10_000, round(value * 100 / self.default)))


V1 = WeightScale("cpu.shares", 2, 262_144, 1024)
V2 = WeightScale("cpu.weight", 1, 10_000, 100)


class Cgroups(Protocol):
    """What the enforcer needs to know and do about cgroups; tests inject faults here."""

    @property
    def scale(self) -> WeightScale:
        """The unit of its weights."""
        ...

    def inode(self, cgroup: str) -> int | None:
        """What tells a cgroup from a later one of the same path; None where it is gone. OSError otherwise."""
        ...

    def read(self, cgroup: str) -> int | None:
        """Its weight in the scale's unit; None where the cpu controller is not enabled for it. OSError otherwise."""
        ...

    def owner(self, cgroup: str) -> UnitWeight | None:
        """The systemd unit through which its weight has to be set; None where the file is written."""
        ...

    def write(self, cgroup: str, value: int) -> None:
        """Write the file; OSError as the kernel says."""
        ...

    def write_unit(self, cgroup: str, unit: str, value: int | None, expected: int) -> None:
        """Set a unit's weight (None takes it away) until the kernel says ``expected``; OSError as systemd says."""
        ...

    def threads(self, cgroup: str) -> tuple[int, ...]:
        """All threads that are in it now; none where it is gone."""
        ...


class NoCgroups:
    """A host on which no hierarchy can be seen: no weights at all."""

    scale = V2

    def inode(self, cgroup: str) -> int | None:  # noqa: ARG002 - the protocol's
        """See :class:`Cgroups`."""
        return None

    def read(self, cgroup: str) -> int | None:  # noqa: ARG002 - the protocol's
        """See :class:`Cgroups`."""
        return None

    def owner(self, cgroup: str) -> UnitWeight | None:  # noqa: ARG002 - the protocol's
        """See :class:`Cgroups`."""
        return None

    def write(self, cgroup: str, value: int) -> None:  # noqa: ARG002 - the protocol's
        """See :class:`Cgroups`."""
        raise FileNotFoundError(errno.ENOENT, "no cgroup hierarchy is mounted", cgroup)

    def write_unit(self, cgroup: str, unit: str, value: int | None, expected: int) -> None:  # noqa: ARG002 - same
        """See :class:`Cgroups`."""
        self.write(cgroup, expected)

    def threads(self, cgroup: str) -> tuple[int, ...]:  # noqa: ARG002 - the protocol's
        """See :class:`Cgroups`."""
        return ()


class KernelCgroups:
    """The real ones."""

    _PATIENCE = 20
    """Looks at the file, 10 ms apart: systemd answers before it has written."""

    def __init__(self, layout: Layout, systemd: Systemd, *, pause: Callable[[float], None] = time.sleep) -> None:
        self.scale = V1 if layout.version == 1 else V2
        self._layout = layout
        self._systemd = systemd
        self._pause = pause

    def inode(self, cgroup: str) -> int | None:
        """See :class:`Cgroups`."""
        try:
            return self._layout.directory(cgroup).stat().st_ino
        except (FileNotFoundError, NotADirectoryError):
            return None

    def read(self, cgroup: str) -> int | None:
        """See :class:`Cgroups`."""
        try:
            return int(self._file(cgroup).read_text())
        except FileNotFoundError:
            return None

    def owner(self, cgroup: str) -> UnitWeight | None:
        """See :class:`Cgroups`."""
        return self._systemd.owner_of(cgroup)

    def write(self, cgroup: str, value: int) -> None:
        """See :class:`Cgroups`."""
        # Never with O_CREAT, which a cgroup that is just going answers with EACCES: a misleading cure.
        with self._file(cgroup).open("r+") as file:
            file.write(str(value))

    def write_unit(self, cgroup: str, unit: str, value: int | None, expected: int) -> None:
        """See :class:`Cgroups`."""
        self._systemd.set_weight(unit, value)
        for _ in range(self._PATIENCE):
            # A unit that has no weight left may lose its cgroup in a v1 hierarchy.
            if self.read(cgroup) in {expected, None}:
                return
            self._pause(0.01)

    def threads(self, cgroup: str) -> tuple[int, ...]:
        """See :class:`Cgroups`."""
        name = "tasks" if self._layout.version == 1 else "cgroup.threads"
        try:
            return tuple(map(int, (self._layout.directory(cgroup) / name).read_text().split()))
        except OSError:
            return ()

    def _file(self, cgroup: str) -> Path:
        return self._layout.directory(cgroup) / self.scale.file
