"""Pods made of this very process or of processes that a test starts, and readers that say what a test wants."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.snapshot import DiscoveredPod, Group, GroupKind, Process, Snapshot, TaskId, Thread
from gthulhu_agent.usage.counts import Counts
from gthulhu_agent.usage.ledger import Ledger


def thread_of(tid: int, pid: int | None = None) -> Thread:
    """A thread that lives."""
    comm, start = procfs.parse_thread(Path(f"/proc/{pid or tid}/task/{tid}/stat").read_bytes())
    return Thread(TaskId(tid, start), procfs.text(comm))


def process_of(pid: int) -> Process:
    """A process that lives, with all of its threads."""
    threads = tuple(thread_of(tid, pid) for tid in procfs.numbers_in(f"/proc/{pid}/task"))
    leader = next(thread for thread in threads if thread.id.tid == pid)
    return Process(leader.id, leader.name, leader.name, threads)


def process(pid: int, *tids: int, comm: str = "app", start: int = 7) -> Process:
    """A process that lives nowhere."""
    threads = tuple(Thread(TaskId(tid, start), comm) for tid in (pid, *tids))
    return Process(threads[0].id, comm, f"/{comm}", threads)


def pods(incomplete: tuple[str, ...] = (), /, **members: tuple[Process, ...]) -> Snapshot:
    """One container for each pod, by uid."""
    return Snapshot(
        groups=tuple(
            Group(
                kind=GroupKind.CONTAINER,
                cgroup=f"/kubepods/pod{uid}/c{uid}",
                pod_cgroup=f"/kubepods/pod{uid}",
                pod_uid=uid,
                container_id=f"c{uid}",
                processes=processes,
            )
            for uid, processes in members.items()
        ),
        pods=tuple(DiscoveredPod(uid, "default", f"pod-{uid}") for uid in members),
        incomplete=incomplete,
    )


def myself(uid: str = "uid-1") -> Snapshot:
    """This process as a pod."""
    return pods(**{uid: (process_of(os.getpid()),)})


@dataclass
class FakeReader:
    """Says what ``counts`` has, by thread; threads that it does not have are dead."""

    counts: dict[TaskId, Counts] = field(default_factory=dict)
    unreadable: set[TaskId] = field(default_factory=set)
    reads: int = 0

    def read(self, pid: int, thread: TaskId, before: Counts | None) -> Counts | None:  # noqa: ARG002 - of the protocol
        """What it says of ``thread``."""
        self.reads += 1
        if thread in self.unreadable:
            raise PermissionError(13, "no")
        return self.counts.get(thread)

    def lives(self, thread: TaskId) -> bool:
        """Whether it says something of ``thread``."""
        return thread in self.counts


def read(ledger: Ledger, snapshot: Snapshot, *first: str) -> dict[str, Counts]:
    """One whole reading: what each pod has used."""
    for _ in ledger.reading(snapshot, first):
        pass
    return {pod.uid: pod.counts for pod in ledger.usage.pods}
