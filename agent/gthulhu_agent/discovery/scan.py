"""One look at the host, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.discovery.declared import Declared, Key
from gthulhu_agent.discovery.events.event import Watch
from gthulhu_agent.discovery.faults import Faults
from gthulhu_agent.discovery.grouping import Claims, groups_of, pods_of
from gthulhu_agent.discovery.kubepods import Place, place_of
from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout, layout_at
from gthulhu_agent.discovery.members import Cells, Members
from gthulhu_agent.discovery.podnames import read_pod_names
from gthulhu_agent.discovery.processes import Entry, Processes
from gthulhu_agent.discovery.quick import Ground, Looked, QuickLook, Told
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Snapshot, TaskId
from gthulhu_agent.discovery.watchlist import watch_list


@dataclass(slots=True)
class _Meanwhile:
    """What quick looks found while a scan was under way, which may have passed it by."""

    pids: set[int] = field(default_factory=set)
    made: dict[int, str] = field(default_factory=dict)
    reached: Callable[[Place], bool] = lambda _place: False


class Discovery:
    """What runs on this node. It remembers what it saw, so it is used by one thread at a time.

    Args:
        proc: where proc is mounted.
        cgroups: what stands for ``/sys/fs/cgroup``; None finds it from ``<proc>/self/mountinfo``.
        pod_file: the local pod file (see ``podfile``); None where no pods are declared.
        log_pods: the kubelet's log directories, which tell the names of pods.
        log_containers: its links, which tell the names of containers; beside ``log_pods`` as a rule.
    """

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        cgroups: Path | None = None,
        pod_file: Path | None = None,
        log_pods: Path = Path("/var/log/pods"),
        log_containers: Path | None = None,
    ) -> None:
        self._proc = proc
        self._cgroups = cgroups
        self._log_pods = log_pods
        self._log_containers = log_containers or log_pods.with_name("containers")
        self._faults = Faults()
        self._processes = Processes(str(proc))
        self._declared = Declared(pod_file)
        self._members: Members | None = None
        self._layout: Layout | None = None
        self._places: dict[str, Place] = {}
        self._groups: dict[tuple[GroupKind, str | None, str, str], Group] = {}
        self._last = Snapshot(())
        self._cells: Cells = {}
        self._claimed = Claims()
        self._ground: Ground | None = None
        self._waiting: Callable[[], None] = lambda: None
        self._meanwhile = _Meanwhile()
        self._scanning = False

    @property
    def layout(self) -> Layout | None:
        """The hierarchy that the last scan read; None before the first, and where there is none."""
        return self._layout

    def give_way(self, waiting: Callable[[], None]) -> None:
        """Call ``waiting`` between any two cgroups of a scan. It may look quickly."""
        self._waiting = waiting

    def scan(self) -> Snapshot:
        """Everything that runs now. It blocks on file reads and raises nothing that the host can cause.

        The same object comes back while nothing changes, and unchanged groups are the same objects in every snapshot.
        What quick looks found meanwhile is in it too.
        """
        self._meanwhile, self._scanning = _Meanwhile(), True
        try:
            snapshot = self._scan()
        finally:
            self._scanning = False
        meanwhile, ground = self._meanwhile, self._ground
        if ground is None or not meanwhile.pids:
            return snapshot
        # Who began behind the scan's back was seen to already, and would have it taken away as nobody's.
        QuickLook(ground, meanwhile.reached, str(self._proc)).at(Told(tuple(meanwhile.pids)))
        return ground.snapshot

    def _scan(self) -> Snapshot:
        self._faults.clear()
        self._processes.begin()
        self._declared.refresh(self._faults)
        members = self._find_members()
        cells = members.scan() if members else {}
        self._places = {cgroup: self._place(cgroup) for cgroup in {*(members.cgroups if members else ()), *cells}}
        self._cells, self._claimed = cells, self._claims(cells)
        groups = groups_of(cells, self._places, self._claimed)
        self._processes.end()
        names = read_pod_names(self._log_pods, self._log_containers, self._faults)
        snapshot = Snapshot(
            groups=self._shared(groups),
            pods=pods_of(self._places.values(), names, self._declared.pods),
            incomplete=self._faults.lines(),
        )
        if snapshot != self._last:
            self._last = snapshot
        self._stand(self._last)
        return self._last

    def watched(self, reached: Callable[[Place], bool]) -> dict[int, Watch]:
        """What has to be heard of after the last scan, by the ids of cgroups; quick looks know these from now on.

        Args:
            reached: whether an intent is for what runs at a place.
        """
        ground = self._ground
        if ground is None:
            return {}
        declared = {
            cgroup
            for cgroup, entries in self._cells.items()
            if self._declared.pods and any(self._is_declared(entry, reached) for entry in entries)
        }
        found: dict[int, Watch] = {}
        for cgroup, watch in watch_list(self._places, reached, declared).items():
            try:
                inode = ground.layout.directory(cgroup).stat().st_ino
            except OSError:
                continue  # gone meanwhile
            found[inode] = watch
            ground.ids[inode] = cgroup
        for inode, cgroup in self._meanwhile.made.items():
            if inode not in found and reached(place_of(cgroup)):
                found[inode] = Watch.THREADS | Watch.CGROUPS
                ground.ids[inode] = cgroup
        return found

    def quick(self, told: Told, reached: Callable[[Place], bool]) -> Looked:
        """Look at what was told of alone, and put it into what was found last. It blocks on file reads.

        Args:
            told: processes and cgroups.
            reached: whether an intent is for what runs at a place; what none is for is left alone.
        """
        if self._ground is None:
            return Looked(self._last, unsure=True)
        looked = QuickLook(self._ground, reached, str(self._proc)).at(told)
        if self._scanning:
            self._meanwhile.pids |= looked.pids
            self._meanwhile.made |= looked.made
            self._meanwhile.reached = reached
        return looked

    def _is_declared(self, entry: Entry, reached: Callable[[Place], bool]) -> bool:
        key = self._claimed.pids.get(entry.pid)
        return key is not None and reached(Place(GroupKind.DECLARED, "", pod_uid=key[0], container_id=key[1]))

    def _stand(self, snapshot: Snapshot) -> None:
        """Let quick looks go on from ``snapshot``."""
        if self._layout is None:
            self._ground = None
            return
        entries = {pid: self._processes.get(pid) for pid in self._claimed.pids}
        claimed = {entry.process.id: self._claimed.pids[pid] for pid, entry in entries.items() if entry is not None}
        self._ground = Ground(self._layout, snapshot, claimed, self._declared.container_of)

    def _find_members(self) -> Members | None:
        if self._layout is not None and self._members is not None and (self._layout.root / "cgroup.procs").exists():
            return self._members
        try:
            self._layout = find_layout(self._proc) if self._cgroups is None else layout_at(self._cgroups)
        except LayoutError as error:
            self._faults.add(str(error))
            self._layout = self._members = None
        else:
            between = lambda: self._waiting()  # noqa: E731, PLW0108 - whoever waits may be named later
            self._members = Members(self._layout, self._processes, str(self._proc), self._faults, between)
        return self._members

    def _place(self, cgroup: str) -> Place:
        return self._places.get(cgroup) or place_of(cgroup)

    def _claims(self, cells: Cells) -> Claims:
        declared = self._declared
        if not declared.pods:
            return Claims()
        roots = declared.roots(self._task)
        followed = declared.follow(roots, ((entry.process.id, entry.ppid) for entry in self._processes.seen()))
        pids: dict[int, Key] = {}
        sighted: set[int] = set()
        for cgroup, entries in cells.items():
            of_cgroup = declared.container_of(cgroup)
            # A real pod's processes stay its own, whoever started them.
            of_parents = followed if self._places[cgroup].kind is GroupKind.HOST else {}
            for entry in entries:
                key = roots.get(entry.pid) or of_cgroup or of_parents.get(entry.pid)
                if key is not None:
                    pids[entry.pid] = key
            sighted.update(entry.pid for entry in entries)
        unsighted = (self._processes.get(pid) for pid in sorted(roots.keys() - sighted))
        outside = [entry for entry in unsighted if entry is not None]
        pids.update((entry.pid, roots[entry.pid]) for entry in outside)
        return Claims(pids, {key: cgroup for cgroup, key in declared.cgroups.items()}, outside)

    def _task(self, pid: int) -> TaskId | None:
        entry = self._processes.get(pid)
        if entry is not None and self._processes.is_seen(entry):
            return entry.process.id
        try:
            seen = self._processes.look(pid)
        except ValueError as error:
            raise OSError(str(error)) from error
        return seen[0].process.id if seen else None

    def _shared(self, groups: tuple[Group, ...]) -> tuple[Group, ...]:
        before = self._groups
        self._groups = {}
        for group in groups:
            key = (group.kind, group.cgroup, group.pod_uid, group.container_id)
            known = before.get(key)
            self._groups[key] = known if known == group else group
        return tuple(self._groups.values())
