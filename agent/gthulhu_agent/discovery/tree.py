"""The cgroups of one hierarchy and the processes in each."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from gthulhu_agent.discovery.faults import Faults
from gthulhu_agent.discovery.layout import Layout

_CHUNK = 1 << 16
_GONE = frozenset({errno.ENOENT, errno.ENODEV})
"""ENODEV is what an open file of a removed cgroup reads."""
_LEAF = 2


class Threaded(Exception):  # noqa: N818 - says what is the matter
    """A threaded cgroup holds threads, not processes (cgroups(7)); ``tids`` are those."""

    def __init__(self, tids: list[int]) -> None:
        super().__init__("cgroup.type is threaded")
        self.tids = tids


class Tree:
    """One hierarchy, read anew at each call. What vanishes meanwhile is left out; what cannot be read is a fault."""

    def __init__(self, layout: Layout, faults: Faults) -> None:
        self._root = str(layout.root).rstrip("/")
        self._usage = "cpu.stat" if layout.version > 1 else "cpuacct.usage"
        self._faults = faults

    def cgroups(self) -> Iterator[str]:
        """Every cgroup below the mount, parents first, without the root."""
        pending = [""]
        while pending:
            cgroup = pending.pop()
            if cgroup:
                yield cgroup
            pending.extend(sorted(self._children(cgroup), reverse=True))

    def pids(self, cgroup: str) -> list[int] | None:
        """Processes in ``cgroup``, sorted; None where it vanished or cannot be read.

        Raises:
            Threaded: it holds threads.
        """
        try:
            return self._numbers(cgroup, "cgroup.procs")
        except OSError as error:
            if error.errno != errno.EOPNOTSUPP:
                self._fail(cgroup, "cgroup.procs", error)
                return None
        try:
            tids = self._numbers(cgroup, "cgroup.threads")
        except OSError as error:
            self._fail(cgroup, "cgroup.threads", error)
            return None
        raise Threaded(tids)

    def usage(self, cgroup: str) -> bytes | None:
        """CPU time that ``cgroup`` and what is below it ever used, as the kernel prints it; None where it is not told.

        It stands still exactly while none of their threads runs (a running one is charged at its next tick, or when
        it stops). On v1 it is there only where cpuacct is mounted together with cpu.
        """
        try:
            file = os.open(f"{self._root}{cgroup}/{self._usage}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            return os.read(file, 64).split(b"\n", 1)[0]
        except OSError:
            return None
        finally:
            os.close(file)

    def _children(self, cgroup: str) -> list[str]:
        path = f"{self._root}{cgroup}"
        try:
            # A directory's link count is 2 and one for each below it, where the file system counts at all (else 1).
            if cgroup and os.stat(path).st_nlink == _LEAF:  # noqa: PTH116 - a Path costs more than the call
                return []
            with os.scandir(path) as entries:
                return [f"{cgroup}/{entry.name}" for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            self._fail(cgroup, "", error)
            return []

    def _numbers(self, cgroup: str, name: str) -> list[int]:
        file = os.open(f"{self._root}{cgroup}/{name}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.read(file, _CHUNK)
            while more := os.read(file, _CHUNK) if data else b"":
                data += more
        finally:
            os.close(file)
        # The same pid may come twice on v2, when it left and came back while the file was read.
        found = sorted(set(map(int, data.split())))
        if found and found[0] == 0:
            hidden = data.split().count(b"0")
            self._faults.many(f"{self._shown(cgroup)}: processes of another pid namespace", hidden)
            del found[0]
        return found

    def _fail(self, cgroup: str, name: str, error: OSError) -> None:
        if error.errno not in _GONE:
            self._faults.add(f"{Path(self._shown(cgroup)) / name}: {error.strerror}")

    def _shown(self, cgroup: str) -> str:
        return f"{self._root}{cgroup or '/'}"
