"""Which cgroup hierarchies this host has, and which of them the cpu controller is in.

Everything else asks here for paths, so that cgroup v1, v2, the hybrid of both and cgroup namespaces differ in this
module only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

_OCTAL = re.compile(r"\\([0-7]{3})")
_DELETED = " (deleted)"
_V1_CPU = ("cpu", "cpu,cpuacct", "cpuacct,cpu")


class LayoutError(Exception):
    """No cgroup hierarchy can be used; the text says what was found."""


class LayoutKind(StrEnum):
    """Which generations of cgroups are mounted."""

    V1 = "v1"
    V2 = "v2"
    HYBRID = "hybrid"
    """Controllers of v1, and a v2 hierarchy beside them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The hierarchy that has the cpu controller, as this process can see it.

    Attributes:
        kind: which generations are mounted.
        version: 1 or 2, of the hierarchy with the cpu controller.
        root: where it is mounted.
        prefix: what the mount's root is called in ``/proc/<pid>/cgroup``: "/" as a rule, the container's path where
            only a part is mounted, "/../.." where more than the own cgroup namespace is.
        has_cpu: False where no hierarchy has the cpu controller, so that groups can be told but not weighted.
        whole: the mount shows the hierarchy's real root, thus every process there is.
    """

    kind: LayoutKind
    version: int
    root: Path
    prefix: str = "/"
    has_cpu: bool = True
    whole: bool = True

    def directory(self, cgroup: str) -> Path:
        """Directory of ``cgroup``, a path below the mount that starts with "/"."""
        return self.root / cgroup.lstrip("/")

    def cgroup_of(self, text: str) -> str | None:
        """The cgroup, below the mount, that the lines of a ``/proc/<pid>/cgroup`` name; None where it is out of sight.

        One line counts, that of the hierarchy with the cpu controller; what the others say is another tree.
        """
        for line in text.splitlines():
            _, controllers, path = _fields(line)
            if self.version == 1 and "cpu" in controllers.split(","):
                return self._below(path)
            if self.version == 2 and line.startswith("0::"):  # noqa: PLR2004 - the version
                return self._below(path.removesuffix(_DELETED))
        return None

    def _below(self, path: str) -> str | None:
        above = self.prefix.rstrip("/")
        if path.rstrip("/") == above:
            return "/"
        if not path.startswith(above + "/"):
            return None
        below = path[len(above) :]
        # What remains to climb is above the mount: with the prefix "/.." the own namespace's root, "/", has a name
        # that only the directories know.
        return None if below.startswith("/..") else below


@dataclass(frozen=True, slots=True)
class _Mount:
    prefix: str
    point: Path
    version: int
    controllers: frozenset[str]


def find_layout(proc: Path = Path("/proc")) -> Layout:
    """The layout of this host, from ``<proc>/self/mountinfo``.

    Raises:
        LayoutError: there is no mounted hierarchy that can be read.
    """
    try:
        text = os.fsdecode((proc / "self" / "mountinfo").read_bytes())
    except OSError as error:
        raise LayoutError(f"{proc}/self/mountinfo: {error.strerror}") from error
    mounts = [mount for mount in _mounts(text.splitlines()) if _readable(mount.point)]
    if not mounts:
        raise LayoutError("no cgroup hierarchy is mounted that can be read")
    return _layout(mounts)


def layout_at(directory: Path) -> Layout:
    """The layout of ``directory``, which stands for ``/sys/fs/cgroup``: told by its files, where no mountinfo helps.

    Raises:
        LayoutError: it holds no cgroup hierarchy that can be read.
    """
    places = [directory, *(directory / name for name in ("unified", "systemd", *_V1_CPU))]
    mounts = [_Mount("/", place, *_told_by_files(place)) for place in places if _readable(place)]
    if not mounts:
        raise LayoutError(f"{directory} holds no cgroup hierarchy that can be read")
    return _layout(mounts)


def _layout(mounts: list[_Mount]) -> Layout:
    kind = _kind(mounts)
    with_cpu = [mount for mount in mounts if "cpu" in mount.controllers]
    # Without the controller the groups are still worth knowing: v2 before v1's name=systemd before the rest.
    mount = _widest(with_cpu or [m for m in mounts if m.version > 1] or [m for m in mounts if _named(m)] or mounts)
    return Layout(
        kind=kind,
        version=mount.version,
        root=mount.point,
        prefix=mount.prefix,
        has_cpu=bool(with_cpu),
        whole=_is_whole(mount),
    )


def _fields(line: str) -> tuple[str, str, str]:
    number, _, rest = line.partition(":")
    controllers, _, path = rest.partition(":")
    # Only the first two colons separate: "...slice:cri-containerd:<id>" is one name.
    return number, controllers, path


def _mounts(lines: Iterable[str]) -> Iterable[_Mount]:
    # proc_pid_mountinfo(5): id parent dev root point options [tags…] - type source super-options
    for line in lines:
        before, _, after = line.partition(" - ")
        left, right = before.split(" "), after.split(" ")
        if len(left) < 6 or len(right) < 3 or right[0] not in {"cgroup", "cgroup2"}:  # noqa: PLR2004 - proc(5)
            continue
        point = Path(_plain(left[4]))
        if right[0] == "cgroup2":
            yield _Mount(_plain(left[3]), point, 2, _v2_controllers(point))
        else:
            yield _Mount(_plain(left[3]), point, 1, frozenset(right[2].split(",")))


def _told_by_files(point: Path) -> tuple[int, frozenset[str]]:
    if (point / "cgroup.controllers").exists():
        return 2, _v2_controllers(point)
    controllers = {"cpu"} if point.name in _V1_CPU or (point / "cpu.shares").exists() else {f"name={point.name}"}
    return 1, frozenset(controllers)


def _v2_controllers(point: Path) -> frozenset[str]:
    try:
        return frozenset((point / "cgroup.controllers").read_text().split())
    except OSError:
        return frozenset()


def _plain(text: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), text)


def _readable(point: Path) -> bool:
    # A mount that a later one hides, or that is out of reach of a chroot, is still listed.
    return os.access(point / "cgroup.procs", os.R_OK)


def _kind(mounts: list[_Mount]) -> LayoutKind:
    versions = {mount.version for mount in mounts}
    if versions == {1, 2}:
        return LayoutKind.HYBRID
    return LayoutKind.V1 if versions == {1} else LayoutKind.V2


def _named(mount: _Mount) -> bool:
    return "name=systemd" in mount.controllers


def _widest(mounts: list[_Mount]) -> _Mount:
    # The same hierarchy may be mounted more than once: the host's, given to the agent's container, shows more.
    return min(mounts, key=lambda mount: (-mount.prefix.split("/").count(".."), len(mount.prefix), str(mount.point)))


def _is_whole(mount: _Mount) -> bool:
    # Files that the kernel makes in the real root only (v1), or everywhere but there (v2).
    if mount.version == 1:
        return (mount.point / "cgroup.sane_behavior").exists()
    return not (mount.point / "cgroup.type").exists()
