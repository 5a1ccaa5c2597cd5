"""Enforcer for kernels without sched_ext: slices per thread, weights of cgroups, nice inside of one cgroup."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import GroupKind, TaskId
from gthulhu_agent.enforcing.binding import Binding, IntentKey
from gthulhu_agent.enforcing.carriers import place
from gthulhu_agent.enforcing.cgroups import Cgroups
from gthulhu_agent.enforcing.contention import Contention
from gthulhu_agent.enforcing.deciding import Wish
from gthulhu_agent.enforcing.first_match import FirstMatches
from gthulhu_agent.enforcing.journal import Journal, JournalError
from gthulhu_agent.enforcing.matching import match_threads
from gthulhu_agent.enforcing.patterns import Patterns
from gthulhu_agent.enforcing.protocol import Applied, EnforcerStats, IntentState, Refused
from gthulhu_agent.enforcing.refusing import contended, refused_thread
from gthulhu_agent.enforcing.reporting import Outcome, states
from gthulhu_agent.enforcing.sched_attr import Ability
from gthulhu_agent.enforcing.tasks import Tasks
from gthulhu_agent.enforcing.thread_writing import ThreadWriter
from gthulhu_agent.enforcing.threads import Round, Threads
from gthulhu_agent.enforcing.weights import WeightRound, Weights
from gthulhu_agent.enforcing.wishes import Part, ThreadWishes, thread_wishes, weight_wishes


@dataclass(frozen=True, slots=True)
class Unseen:
    """Threads and cgroups that are held, and that an incomplete look at the node did not show."""

    threads: frozenset[TaskId] = frozenset()
    cgroups: frozenset[str] = frozenset()


class Eevdf:
    """Enforcer ``eevdf``.

    Level-triggered: each ``apply`` reads what the kernel says and changes only what differs. What it changes is in
    the journal before it is in the kernel, so a new instance over the same journal carries on, or puts back.
    """

    name = "eevdf"
    capabilities: tuple[str, ...] = ("CAP_SYS_NICE",)

    def __init__(
        self,
        *,
        journal: Journal,
        tasks: Tasks,
        cgroups: Cgroups,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._tasks = tasks
        self._cgroups = cgroups
        self._memory, self._said = journal.load()
        self._threads = Threads(tasks, self._memory.threads)
        self._contention = Contention(monotonic)
        self._weights = Weights(cgroups, self._memory.cgroups, self._contention)
        self._rules = FirstMatches(Patterns())
        self._able: Ability | None = None
        self._state: Mapping[IntentKey, IntentState] = {}
        self._counts: Counter[str] = Counter()
        self._by_refusal: Counter[str] = Counter()

    def apply(self, bindings: Sequence[Binding], *, unsure: Collection[IntentKey] = ()) -> Applied:
        """See :class:`~gthulhu_agent.enforcing.protocol.Enforcer`."""
        self._rules.learn([binding.rules for binding in bindings])
        parts = self._parts(bindings)
        present = {rule.intent for binding in bindings for rule in binding.rules}
        present.update(key for binding in bindings for key in binding.ended)
        ability, why = self._ability()

        of_weights = weight_wishes(parts)
        weights = self._weights.look(of_weights)
        # A carrier that refuses stays the carrier: nice in its place would rank nothing against other cgroups.
        wishes = thread_wishes(
            parts,
            {part.placed.carrier for part in parts if part.placed.carrier and not part.placed.priority}
            | weights.found.keys(),
            slices=ability is not None and ability.custom_slice,
            nice=ability is not None and ability.nice_back,
        )
        threads = Round() if ability is None else self._look(wishes, parts, present, ThreadWriter(self._tasks, ability))
        conditions = self._remember(threads, weights)

        self._weights.write(weights)
        unseen = self._unseen(parts, unsure)
        self._weights.release(of_weights.keys() | unseen.cgroups, present, weights, everything=False)
        if ability is not None:
            kept = {one.wish.thread for one in wishes.bound} | unseen.threads
            self._finish(kept, present, ThreadWriter(self._tasks, ability), threads)
        if threads.changed or weights.changed:
            conditions = self._save() or conditions
        self._count(threads, weights)
        self._state = states(
            (rule for binding in bindings for rule in binding.rules),
            wishes.bound,
            (bad for part in parts for bad in part.matched.bad_patterns),
            Outcome(threads.found, weights.found, self._cgroups.scale, ability, why),
        )
        contention = tuple(contended(cgroup).why for cgroup in self._contention.standing())
        said = (*self._said, *conditions, *contention)
        return Applied(self._state, tuple(weights.rebased), tuple(threads.drifted), said)

    def hasten(self, bindings: Sequence[Binding], threads: Collection[TaskId]) -> int:
        """See :class:`~gthulhu_agent.enforcing.protocol.Enforcer`."""
        ability = self._able or self._ability()[0]
        if ability is None or not threads:
            return 0
        parts = self._parts(bindings)
        of_weights = weight_wishes(parts)
        weights = self._weights.look_at_new(of_weights)
        carriers = {part.placed.carrier: part.placed.priority for part in parts if part.placed.carrier is not None}
        wishes = thread_wishes(
            parts,
            {path for path, priority in carriers.items() if not priority or self._weights.carries(path)}
            | weights.found.keys(),
            slices=ability.custom_slice,
            nice=ability.nice_back,
        )
        writer = ThreadWriter(self._tasks, ability)
        round_ = self._threads.look_at_new([one.wish for one in wishes.bound if one.wish.thread in threads], writer)
        self._add(round_, weights)
        self._weights.write(weights)
        self._threads.write(round_, writer)
        self._count(round_, weights, applies=0, hastened=round_.threads_set)
        return round_.threads_set

    def revert(self) -> int:
        """See :class:`~gthulhu_agent.enforcing.protocol.Enforcer`; what cannot be put back stays remembered."""
        weights, threads = WeightRound(), Round()
        self._weights.release((), (), weights, everything=True)
        ability, _ = self._ability()
        if ability is not None:
            writer = ThreadWriter(self._tasks, ability)
            released = self._threads.release((), (), writer, threads, everything=True)
            self._threads.sweep(released, self._cgroups.threads, writer, threads)
        self._save()
        self._count(threads, weights)
        self._state = {}
        return threads.restored + weights.restored

    def state(self) -> Mapping[IntentKey, IntentState]:
        """See :class:`~gthulhu_agent.enforcing.protocol.Enforcer`."""
        return self._state

    def stats(self) -> EnforcerStats:
        """See :class:`~gthulhu_agent.enforcing.protocol.Enforcer`."""
        counts = self._counts
        return EnforcerStats(
            applies=counts["applies"],
            threads_set=counts["threads_set"],
            threads_restored=counts["threads_restored"],
            weights_set=counts["weights_set"],
            weights_restored=counts["weights_restored"],
            refusals=self._by_refusal.total(),
            by_refusal=dict(self._by_refusal),
            hastened=counts["hastened"],
        )

    def _parts(self, bindings: Sequence[Binding]) -> list[Part]:
        matched = [(binding, match_threads(binding, self._rules)) for binding in bindings]
        return [Part(*both, placed) for both, placed in zip(matched, place(matched), strict=True)]

    def _ability(self) -> tuple[Ability | None, tuple[Refused, ...]]:
        try:
            self._able = self._tasks.ability()
        except OSError as error:
            self._able = None
            return None, (refused_thread("slice", error),)
        return self._able, ()

    def _look(
        self, wishes: ThreadWishes, parts: Iterable[Part], present: Collection[IntentKey], writer: ThreadWriter
    ) -> Round:
        bound = [one.wish for one in wishes.bound]
        known = {wish.thread.tid for wish in (*bound, *wishes.bystanders)}
        bystanders = (*wishes.bystanders, *self._moved_away(parts, known))
        return self._threads.look(bound, bystanders, present, writer)

    def _moved_away(self, parts: Iterable[Part], known: set[int]) -> Iterable[Wish]:
        """Children of the host's processes in cgroups of their own, as a login's session or a timer's job has them."""
        managed = {record.pid for record in self._memory.threads.values()}
        for part in parts:
            if part.binding.group.kind is not GroupKind.HOST:
                continue
            for process in part.binding.group.processes:
                for tid in self._tasks.family(process.id.tid) if process.id.tid in managed else ():
                    start = None if tid in known else self._tasks.start(tid)
                    if start is not None:
                        known.add(tid)
                        yield Wish(TaskId(tid, start), self._tasks.process(tid), "", ("", "", ""))

    def _remember(self, threads: Round, weights: WeightRound) -> tuple[str, ...]:
        """Make durable what is about to be overwritten; what cannot be made so is not overwritten."""
        if not weights.writes and not any(write.needs_memory for write in threads.writes):
            return ()
        try:
            self._journal.save(self._memory)
        except JournalError as error:
            self._threads.abandon(threads, error)
            self._weights.abandon(weights, error)
            return (str(error.strerror),)
        return ()

    def _add(self, threads: Round, weights: WeightRound) -> None:
        """As :meth:`_remember`, at the cost of what is new alone; a disk that is full is the next apply's to tell."""
        written = [write.thread for write in threads.writes if write.needs_memory]
        if not weights.writes and not written:
            return
        try:
            self._journal.add(self._memory, written, [write.path for write in weights.writes])
        except JournalError as error:
            self._threads.abandon(threads, error)
            self._weights.abandon(weights, error)

    def _unseen(self, parts: Iterable[Part], unsure: Collection[IntentKey]) -> Unseen:
        """What the ``unsure`` intents hold and ``parts`` do not show."""
        if not unsure:
            return Unseen()
        groups = [part.binding.group for part in parts]
        shown = {thread.id for group in groups for process in group.processes for thread in process.threads}
        places = {cgroup for group in groups for cgroup in (group.cgroup, group.pod_cgroup)}
        return Unseen(
            frozenset(
                thread
                for thread, record in self._memory.threads.items()
                if record.intent in unsure and thread not in shown
            ),
            frozenset(
                path
                for path, record in self._memory.cgroups.items()
                if path not in places and any(intent in unsure for intent in record.intents)
            ),
        )

    def _finish(self, kept: set[TaskId], present: set[IntentKey], writer: ThreadWriter, threads: Round) -> None:
        self._threads.write(threads, writer)
        released = self._threads.release(kept, present, writer, threads, everything=False)
        self._threads.sweep(released, self._cgroups.threads, writer, threads)
        self._threads.forget_dead(threads.found.keys(), present, self._cgroups.threads, writer, threads)

    def _save(self) -> tuple[str, ...]:
        try:
            self._journal.save(self._memory)
        except JournalError as error:
            return (str(error.strerror),)
        return ()

    def _count(self, threads: Round, weights: WeightRound, *, applies: int = 1, hastened: int = 0) -> None:
        self._counts.update(
            applies=applies,
            hastened=hastened,
            threads_set=threads.threads_set,
            threads_restored=threads.restored,
            weights_set=weights.weights_set,
            weights_restored=weights.restored,
        )
        self._by_refusal.update(refused.what for refused in (*threads.refusals, *weights.refusals))
