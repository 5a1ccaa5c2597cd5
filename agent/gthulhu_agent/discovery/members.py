"""Which process is in which cgroup, in spite of what starts, ends and moves while one looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.faults import Faults
from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.discovery.processes import Entry, Processes
from gthulhu_agent.discovery.tree import Threaded, Tree

ROOT = "/"
RECHECK = 16
"""Scans after which the processes of a cgroup are looked at although the cgroup used no CPU time."""
_ROUNDS = 2
_WORTH = 4
"""Threads from which on it is cheaper to read a cgroup's CPU time than its processes."""
_MOST = 1 << 16


Cells = dict[str, list[Entry]]
"""Processes by cgroup."""


@dataclass(slots=True)
class _Known:
    pids: list[int]
    entries: list[Entry]
    usage: bytes | None
    due: int
    worth: bool


@dataclass(slots=True)
class _Looked:
    found: dict[int, Entry] = field(default_factory=dict)
    fresh: list[int] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)


class Members:
    """The processes of one hierarchy's cgroups, remembered from scan to scan.

    ``between`` is called before each cgroup is visited: who has something short to do need not wait for the last.
    """

    def __init__(
        self,
        layout: Layout,
        processes: Processes,
        proc: str,
        faults: Faults,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._layout = layout
        self._processes = processes
        self._proc = proc
        self._faults = faults
        self._between = between
        self._tree = Tree(layout, faults)
        self._known: dict[str, _Known] = {}
        self._scan = 0
        self._cells: Cells = {}
        self._met: set[int] = set()
        self._contested: set[int] = set()
        self.cgroups: list[str] = []

    def scan(self) -> Cells:
        """The processes of every cgroup that has some. One is in one cgroup, its leader's, however many list it."""
        self._scan += 1
        self._cells, self._met, self._contested = {}, set(), set()
        self.cgroups = list(self._tree.cgroups())
        threaded = [found for cgroup in self.cgroups if (found := self._visit(cgroup))]
        for cgroup, tids in threaded:
            self._place_threads(cgroup, tids)
        self._visit(ROOT)
        self._settle(self._contested)
        # What was there a scan ago and was not met may have moved from a cgroup not yet read to one already read.
        self._settle(self._processes.unseen())
        if not self._layout.whole:
            self._look_beyond()
        alive = {*self.cgroups, ROOT}
        self._known = {cgroup: known for cgroup, known in self._known.items() if cgroup in alive}
        return self._cells

    def _visit(self, cgroup: str) -> tuple[str, list[int]] | None:
        self._between()
        path = "" if cgroup == ROOT else cgroup
        known = self._known.get(cgroup)
        # Read before the pids: whatever runs after this moment raises the next reading.
        usage = self._tree.usage(path) if known and known.worth and path else None
        try:
            pids = self._tree.pids(path)
        except Threaded as found:
            return cgroup, found.tids
        if not pids:
            self._known.pop(cgroup, None)
            return None
        if known and usage is not None and known.usage == usage and known.pids == pids and known.due > self._scan:
            for entry in known.entries:
                self._processes.keep(entry)
        else:
            known = self._remember(cgroup, pids, self._look_at(cgroup, path, pids), usage)
        self._place(cgroup, known.entries)
        return None

    def _remember(self, cgroup: str, pids: list[int], found: dict[int, Entry], usage: bytes | None) -> _Known:
        entries = list(found.values())
        known = _Known(
            pids=pids,
            entries=entries,
            # Only what was looked at whole can be left alone the next time.
            usage=usage if found.keys() == set(pids) else None,
            due=self._scan + RECHECK,
            worth=sum(len(entry.process.threads) for entry in entries) >= _WORTH,
        )
        self._known[cgroup] = known
        return known

    def _place(self, cgroup: str, entries: list[Entry]) -> None:
        pids = [entry.pid for entry in entries]
        self._contested |= self._met.intersection(pids)
        self._met.update(pids)
        # A new list: what is remembered must not change with what is settled later.
        self._cells[cgroup] = self._cells.get(cgroup, []) + entries

    def _move(self, entry: Entry, where: str) -> None:
        for cgroup in [cgroup for cgroup, entries in self._cells.items() if entry in entries]:
            self._cells[cgroup].remove(entry)
        self._place(where, [entry])

    def _look_at(self, cgroup: str, path: str, pids: list[int]) -> dict[int, Entry]:
        """Look at what ``pids`` lists, and list again where something is new.

        A pid that was listed here may be another process, elsewhere, by the time it is looked at. A process that was
        known before cannot; one that is new counts when its pid is still listed after it was looked at.
        """
        looked = _Looked()
        for last in range(_ROUNDS):
            looked.fresh, looked.missing = [], []
            for pid in pids:
                if pid not in looked.found:
                    self._look(cgroup, pid, looked)
            if not looked.fresh and not looked.missing:
                break
            pids = self._tree.pids(path) or []
            listed = set(pids)
            for pid in looked.fresh:
                if pid not in listed:
                    self._processes.unsee(looked.found.pop(pid))
            if last == _ROUNDS - 1:
                for pid in listed.intersection(looked.missing):
                    self._faults.each(f"{cgroup}: processes that {self._proc} does not show", pid)
        return looked.found

    def _look(self, cgroup: str, pid: int, looked: _Looked) -> None:
        try:
            seen = self._processes.look(pid)
        except (OSError, ValueError) as error:
            self._unreadable(cgroup, pid, error)
            return
        if seen is None:
            looked.missing.append(pid)
            return
        entry, new = seen
        looked.found[pid] = entry
        if new:
            looked.fresh.append(pid)

    def _look_alone(self, cgroup: str, pid: int) -> Entry | None:
        looked = _Looked()
        self._look(cgroup, pid, looked)
        return looked.found.get(pid)

    def _place_threads(self, cgroup: str, tids: list[int]) -> None:
        """Place the processes of a threaded cgroup that no domain lists.

        A domain's cgroup.procs lists the processes of the threaded cgroups below it, so they are in the domain. Left
        is what has its domain out of sight, or in the root, which is visited last.
        """
        leaders = {tid: self._leader_of(tid) for tid in tids if tid not in self._met}
        for tid, leader in sorted(leaders.items(), key=lambda pair: pair[0] != pair[1]):
            if leader is None or leader in self._met:
                continue
            entry = self._look_alone(cgroup, leader)
            where = self._where(leader)
            if entry is not None and where is not None:
                self._place(cgroup if tid != leader else where, [entry])

    def _leader_of(self, tid: int) -> int | None:
        try:
            status = procfs.read(f"{self._proc}/{tid}/status")
        except OSError:
            return None
        for line in (status or b"").splitlines():
            if line.startswith(b"Tgid:"):
                return int(line.split()[1])
        return None

    def _settle(self, pids: Iterable[int]) -> None:
        """Ask the processes themselves where they are."""
        for pid in sorted(pids):
            before = self._processes.get(pid)
            where = self._where(pid)
            if before is None or where is None:
                continue
            # Looked at after it was asked: the answer was this process's, not that of the pid's next owner.
            if self._look_alone(where, pid) is before:
                self._move(before, where)

    def _where(self, pid: int) -> str | None:
        try:
            text = procfs.read(f"{self._proc}/{pid}/cgroup", most=_MOST)
        except OSError as error:
            self._unreadable("", pid, error)
            return None
        return self._layout.cgroup_of((text or b"").decode(errors="surrogateescape"))

    def _look_beyond(self) -> None:
        """Say so where processes run in cgroups that this mount does not show."""
        for pid in procfs.numbers_in(self._proc):
            entry = None if pid in self._met else self._look_alone("", pid)
            if entry is None or entry.kernel:
                continue
            if (where := self._where(pid)) is None:
                self._faults.each(f"{self._layout.root}: processes in cgroups that are not mounted here", pid)
            else:
                self._place(where, [entry])

    def _unreadable(self, cgroup: str, pid: int, error: OSError | ValueError) -> None:
        why = error.strerror if isinstance(error, OSError) else str(error)
        self._faults.each(f"{cgroup or self._proc}: processes that cannot be read: {why}", pid)
