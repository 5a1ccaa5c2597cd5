"""A look at those processes that were told of, put into the last whole look at the host.

It reads what it is told of and nothing else, keeps nothing that a whole look relies on, and changes no snapshot but
gives another. Where it cannot be sure it says so, and a whole look has to follow at once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.declared import Key
from gthulhu_agent.discovery.faults import Faults
from gthulhu_agent.discovery.kubepods import Place, place_of
from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.discovery.processes import Entry, Processes
from gthulhu_agent.discovery.snapshot import Group, GroupKind, Process, Snapshot, TaskId
from gthulhu_agent.discovery.tree import Threaded, Tree

_MOST = 1 << 16
_DEEPEST = 16
"""Levels of cgroups below a new one that are looked at: a pod has two, a cluster in a container some more."""
GroupKey = tuple[GroupKind, str | None, str, str]


@dataclass(frozen=True, slots=True)
class Told:
    """What is to be looked at.

    Attributes:
        pids: processes that began, ended an exec, were renamed or moved.
        cgroups: by id, cgroups to be looked at whole, each with its parent's id (0: not told).
        children: whether those that ``pids`` forked are to be looked at too, as far as the kernel lists them
            (CONFIG_PROC_CHILDREN).
    """

    pids: Collection[int] = ()
    cgroups: Mapping[int, int] = field(default_factory=dict)
    children: bool = False


@dataclass(frozen=True, slots=True)
class Looked:
    """What was found.

    Attributes:
        snapshot: the last one, with what was found now put in its place.
        touched: all groups of those pods and units in which something is new.
        threads: the threads that are new, or that say something else than before.
        pids: their processes.
        made: cgroups that were not known, by id.
        unsure: something could not be found, or cannot be judged by itself.
    """

    snapshot: Snapshot
    touched: tuple[Group, ...] = ()
    threads: frozenset[TaskId] = frozenset()
    pids: frozenset[int] = frozenset()
    made: Mapping[int, str] = field(default_factory=dict)
    unsure: bool = False


class Ground:
    """What the last whole look found, by which quick ones find their way until the next.

    Args:
        layout: the hierarchy.
        snapshot: what runs; each quick look's snapshot takes its place.
        claimed: processes of declared pods.
        container_of: the declared container whose cgroup holds a cgroup.
    """

    def __init__(
        self,
        layout: Layout,
        snapshot: Snapshot,
        claimed: Mapping[TaskId, Key],
        container_of: Callable[[str], Key | None],
    ) -> None:
        self.layout = layout
        self.snapshot = snapshot
        self.claimed = dict(claimed)
        self.container_of = container_of
        self.ids: dict[int, str] = {}
        self._groups: dict[GroupKey, Group] = {}
        self._wholes: dict[str, dict[GroupKey, None]] = {}

    def group(self, key: GroupKey) -> Group | None:
        """The group that has ``key``."""
        return self._index().get(key)

    def of_whole(self, whole: str) -> tuple[Group, ...]:
        """All groups of a pod or unit."""
        groups = self._index()
        return tuple(groups[key] for key in self._wholes.get(whole, ()))

    def put(self, changed: Iterable[Group]) -> None:
        """Let groups take the place of those of the same key."""
        groups = self._index()
        added = False
        for group in changed:
            key = key_of(group)
            added |= key not in groups
            groups[key] = group
            self._wholes.setdefault(whole_of(group), {})[key] = None
        every = sorted(groups.values(), key=_order) if added else groups.values()
        self.snapshot = replace(self.snapshot, groups=tuple(every))

    def _index(self) -> dict[GroupKey, Group]:
        if not self._groups:
            for group in self.snapshot.groups:
                key = key_of(group)
                self._groups[key] = group
                self._wholes.setdefault(whole_of(group), {})[key] = None
        return self._groups


def key_of(group: Group) -> GroupKey:
    """What makes two groups of two looks the same one."""
    return group.kind, group.cgroup, group.pod_uid, group.container_id


def whole_of(group: Group) -> str:
    """What a group has to be judged together with: its pod, its unit, or itself alone."""
    if group.pod_uid:
        return group.pod_uid
    cgroup = group.cgroup or ""
    head, found, _ = cgroup.partition(f"/{group.unit}/")
    return f"{head}/{group.unit}" if group.unit and found else cgroup


class QuickLook:
    """One quick look. It blocks on file reads.

    Args:
        ground: the last whole look, or quick one.
        reached: whether an intent is for what runs at a place; what none is for is left alone.
        proc: where proc is mounted.
    """

    def __init__(self, ground: Ground, reached: Callable[[Place], bool], proc: str) -> None:
        self._ground = ground
        self._reached = reached
        self._proc = proc
        self._tree = Tree(ground.layout, Faults())
        self._processes = Processes(proc)
        self._processes.begin()
        self._made: dict[int, str] = {}
        self._unsure = False
        self._found: dict[GroupKey, tuple[Group, list[Process]]] = {}

    def at(self, told: Told) -> Looked:
        """Look at what was told of, and put it into the ground."""
        pids = dict.fromkeys(told.pids)
        if told.children:
            pids.update(dict.fromkeys(child for pid in told.pids for child in self._children(pid)))
        for cgroup, parent in told.cgroups.items():
            path = self._path(cgroup, parent)
            if path is not None:
                pids.update(dict.fromkeys(self._inside(path)))
        for pid in pids:
            try:
                self._look(pid)
            except (OSError, ValueError):
                self._unsure = True
        return self._looked()

    def _path(self, cgroup: int, parent: int) -> str | None:
        ids = self._ground.ids
        if cgroup not in ids:
            above = ids.get(parent)
            if above is None:
                # A crowd in a cgroup that was made since, or a cgroup in one that is gone: nobody knows where it is.
                self._unsure = True
                return None
            self._learn(above)
        return ids.get(cgroup)

    def _learn(self, above: str) -> list[str]:
        """The cgroups in ``above``, by name and, from now on, by id."""
        found = []
        try:
            with os.scandir(self._ground.layout.directory(above)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        path = f"{above.rstrip('/')}/{entry.name}"
                        found.append(path)
                        if self._ground.ids.get(entry.inode()) != path:
                            self._ground.ids[entry.inode()] = self._made[entry.inode()] = path
        except OSError:
            return []  # gone meanwhile, with everything that was in it
        return found

    def _inside(self, path: str) -> Iterator[int]:
        """Processes in ``path`` and below, as far as an intent is for them."""
        pending = [(path, 0)]
        while pending:
            cgroup, depth = pending.pop()
            if self._ground.container_of(cgroup) is None and not self._reached(place_of(cgroup)):
                continue
            try:
                yield from self._tree.pids("" if cgroup == "/" else cgroup) or ()
            except Threaded:
                self._unsure = True
            if depth < _DEEPEST and cgroup != "/":
                pending += [(below, depth + 1) for below in self._learn(cgroup)]

    def _children(self, pid: int) -> Iterator[int]:
        try:
            for tid in procfs.numbers_in(f"{self._proc}/{pid}/task"):
                yield from map(int, (procfs.read(f"{self._proc}/{pid}/task/{tid}/children", most=_MOST) or b"").split())
        except OSError:
            return  # ended meanwhile; its children are somebody else's

    def _look(self, pid: int) -> None:
        where = self._where(pid)
        if where is None:
            return
        seen = self._processes.look(pid)
        # Asked again after it was looked at: the number may have passed to another process in between.
        if seen is None or self._where(pid) != where:
            return
        entry, (declared, place) = seen[0], where
        if entry.kernel and place.kind is GroupKind.HOST:
            return
        group = self._group(entry, place, declared)
        if group is not None:
            self._found.setdefault(key_of(group), (group, []))[1].append(entry.process)

    def _where(self, pid: int) -> tuple[Key | None, Place] | None:
        """The declared container by cgroup, and the place, of a process that an intent may be for."""
        text = procfs.read(f"{self._proc}/{pid}/cgroup", most=_MOST)
        cgroup = self._ground.layout.cgroup_of((text or b"").decode(errors="surrogateescape")) if text else None
        if cgroup is None:
            return None
        place = place_of(cgroup)
        declared = self._ground.container_of(cgroup)
        may_be_heir = bool(self._ground.claimed) and place.kind is GroupKind.HOST
        return (declared, place) if declared or may_be_heir or self._reached(place) else None

    def _group(self, entry: Entry, place: Place, declared: Key | None) -> Group | None:
        key = self._ground.claimed.get(entry.process.id) or declared
        if key is None and place.kind is GroupKind.HOST:
            key = self._inherited(entry)
        if key is not None:
            self._ground.claimed[entry.process.id] = key
            return Group(GroupKind.DECLARED, None, pod_uid=key[0], container_id=key[1])
        if not self._reached(place):
            return None
        return Group(place.kind, place.cgroup, place.pod_cgroup, place.pod_uid, place.container_id, place.unit)

    def _inherited(self, entry: Entry) -> Key | None:
        """The declared container of a process's parent."""
        if not self._ground.claimed or entry.ppid <= 1:
            return None
        line = procfs.read(f"{self._proc}/{entry.ppid}/stat")
        if not line:
            return None
        return self._ground.claimed.get(TaskId(entry.ppid, procfs.parse_stat(line).start))

    def _looked(self) -> Looked:
        threads: set[TaskId] = set()
        pids: set[int] = set()
        changed: list[Group] = []
        for group, processes in self._found.values():
            known = self._known(group)
            before = {process.id.tid: process for process in known.processes}
            new = {process.id.tid: found for process in processes if (found := _new(before, process)) is not None}
            if not new:
                continue
            pids |= new.keys()
            threads.update(thread for found in new.values() for thread in found)
            after = before | {process.id.tid: process for process in processes}
            changed.append(replace(known, processes=tuple(after[pid] for pid in sorted(after))))
        if changed:
            self._ground.put([*changed, *self._left(changed, pids)])
        wholes = dict.fromkeys(map(whole_of, changed))
        touched = tuple(group for whole in wholes for group in self._ground.of_whole(whole))
        return Looked(
            self._ground.snapshot, touched, frozenset(threads), frozenset(pids), dict(self._made), self._unsure
        )

    def _known(self, group: Group) -> Group:
        if group.kind is GroupKind.DECLARED:
            # Whether it still has its cgroup to itself is not to be seen from here.
            same = (g for g in self._ground.of_whole(group.pod_uid) if key_of(g)[2:] == key_of(group)[2:])
            return next((g for g in same if g.kind is GroupKind.DECLARED), group)
        return self._ground.group(key_of(group)) or group

    def _left(self, changed: Iterable[Group], pids: Collection[int]) -> list[Group]:
        """Groups of the same pods and units that ``pids`` were in before."""
        names = {key_of(group) for group in changed}
        left = []
        for whole in dict.fromkeys(map(whole_of, changed)):
            for group in self._ground.of_whole(whole):
                if key_of(group) not in names and any(process.id.tid in pids for process in group.processes):
                    stay = tuple(process for process in group.processes if process.id.tid not in pids)
                    left.append(replace(group, processes=stay))
        return left


def _new(before: Mapping[int, Process], process: Process) -> list[TaskId] | None:
    """Threads of ``process`` that are new, or of which a rule may think otherwise now; None where it is as it was."""
    known = before.get(process.id.tid)
    if known == process:
        return None
    if known is None or (known.id, known.comm, known.argv0) != (process.id, process.comm, process.argv0):
        return [thread.id for thread in process.threads]
    former = set(known.threads)
    return [thread.id for thread in process.threads if thread not in former]


def _order(group: Group) -> tuple[bool, str, str, str]:
    declared = group.kind is GroupKind.DECLARED
    return declared, "" if declared else group.cgroup or "", group.pod_uid, group.container_id
