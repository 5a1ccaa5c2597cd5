"""What each pod has used, as counters that never go down: what a thread had used stays with its pod when it ends."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field

from gthulhu_agent.discovery.snapshot import Process, Snapshot, TaskId, Thread
from gthulhu_agent.enforcing.matching import is_sandbox
from gthulhu_agent.usage.counts import NOTHING, Counts
from gthulhu_agent.usage.reading import Reader

MOST_PODS = 1000
"""Pods that are measured at a time. Declared pods need no cgroup, so nothing else bounds them."""


@dataclass(frozen=True, slots=True)
class PodUsage:
    """What a pod's threads have used since this agent first saw it; its pause container is left out.

    Attributes:
        processes: that run now.
        threads: that run now.
    """

    uid: str
    namespace: str
    name: str
    processes: int
    threads: int
    counts: Counts


@dataclass(frozen=True, slots=True)
class ThreadUsage:
    """What one thread has used since it began, as of the last reading."""

    process: Process
    thread: Thread
    counts: Counts


@dataclass(frozen=True, slots=True)
class Usage:
    """One reading.

    Attributes:
        pods: in order of uid.
        left_out: pods that run and are over the limit.
        unreadable: threads whose counters could not be read; what was known of them stands.
    """

    pods: tuple[PodUsage, ...] = ()
    left_out: int = 0
    unreadable: int = 0


@dataclass(slots=True)
class _Account:
    total: Counts = NOTHING
    threads: dict[TaskId, Counts] = field(default_factory=dict)


class Ledger:
    """Remembers every measured thread's counters. Used by one thread at a time."""

    def __init__(self, reader: Reader, *, most: int = MOST_PODS) -> None:
        self._reader = reader
        self._most = most
        self._accounts: dict[str, _Account] = {}
        self._members: dict[str, tuple[Process, ...]] = {}
        self._unreadable = 0
        self.usage = Usage()

    def reading(self, snapshot: Snapshot, first: Collection[str] = ()) -> Iterator[None]:
        """Read every thread of the pods in ``snapshot``, and at the end set :attr:`usage`.

        It yields after each thread, so that whoever drives it can let others in between.

        Args:
            snapshot: what runs.
            first: uids of the pods that are not left out where there are too many.
        """
        members = _members(snapshot)
        chosen = self._choose(members, first)
        accounts: dict[str, _Account] = {}
        self._unreadable = 0
        for uid in chosen:
            account = accounts[uid] = _Account()
            yield from self._read(members[uid], self._accounts.get(uid, account), account)
        if snapshot.incomplete:
            # What could not be read may still run: not seen is not gone.
            for uid, former in self._accounts.items():
                yield from self._keep_living(uid, former, accounts)
        self._accounts = accounts
        self._members = {uid: members[uid] for uid in chosen}
        self.usage = Usage(self._pods(snapshot, chosen), len(members) - len(chosen), self._unreadable)

    def threads_of(self, uid: str) -> tuple[ThreadUsage, ...]:
        """The threads of one pod at the last reading, in order of their numbers; none where it is not measured."""
        known = self._accounts[uid].threads if uid in self._accounts else {}
        return tuple(
            ThreadUsage(process, thread, known.get(thread.id, NOTHING))
            for process in self._members.get(uid, ())
            for thread in process.threads
        )

    def _read(self, processes: Iterable[Process], former: _Account, account: _Account) -> Iterator[None]:
        account.total = former.total
        for process in processes:
            for thread in process.threads:
                before = former.threads.get(thread.id)
                try:
                    now = self._reader.read(process.id.tid, thread.id, before)
                except (OSError, ValueError):
                    self._unreadable += 1
                    now = before
                if now is not None:
                    account.threads[thread.id] = now
                    if now is not before:
                        account.total = account.total.plus(now.since(before or NOTHING))
                yield

    def _keep_living(self, uid: str, former: _Account, accounts: dict[str, _Account]) -> Iterator[None]:
        for thread, known in former.threads.items():
            account = accounts.get(uid)
            if (account is None or thread not in account.threads) and self._reader.lives(thread):
                account = accounts.setdefault(uid, _Account(former.total))
                account.threads[thread] = known
            yield

    def _choose(self, members: dict[str, tuple[Process, ...]], first: Collection[str]) -> list[str]:
        """Who is measured stays, so that no counter begins anew; then ``first``; then in order of uid."""
        ranked = sorted(members, key=lambda uid: (uid not in self._accounts, uid not in first, uid))
        return sorted(ranked[: self._most])

    def _pods(self, snapshot: Snapshot, chosen: list[str]) -> tuple[PodUsage, ...]:
        known = {pod.uid: pod for pod in snapshot.pods}
        return tuple(
            PodUsage(
                uid=uid,
                namespace=known[uid].namespace if uid in known else "",
                name=known[uid].name if uid in known else "",
                processes=len(self._members[uid]),
                threads=sum(len(process.threads) for process in self._members[uid]),
                counts=self._accounts[uid].total,
            )
            for uid in chosen
        )


def _members(snapshot: Snapshot) -> dict[str, tuple[Process, ...]]:
    found: dict[str, tuple[Process, ...]] = {pod.uid: () for pod in snapshot.pods}
    for group in snapshot.groups:
        if group.pod_uid:
            own = () if is_sandbox(group) else group.processes
            found[group.pod_uid] = found.get(group.pod_uid, ()) + own
    return found
