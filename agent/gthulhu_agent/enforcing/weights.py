"""Weights of cgroups: scaled from what their owner wrote, remembered, set, read back, put back.

The kubelet and systemd own these values. What stands there and is neither ours nor what we remember as theirs is
their new word; it is scaled anew. A round has the same order of calls as with threads.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.cgroups import Cgroups
from gthulhu_agent.enforcing.contention import Contention
from gthulhu_agent.enforcing.priorities import scaled
from gthulhu_agent.enforcing.protocol import Refused
from gthulhu_agent.enforcing.records import CgroupRecord, Seen, hold
from gthulhu_agent.enforcing.refusing import contended, not_kept, not_remembered, refused_weight


@dataclass(frozen=True, slots=True)
class WeightWish:
    """The priority that a cgroup's weight shall carry, and for whom. ``orphan``: all of them leave it as it is."""

    priority: int
    intents: tuple[IntentKey, ...]
    orphan: bool = False


@dataclass(frozen=True, slots=True)
class WeightFound:
    """What became of a wish: the owner's value and the kernel's, in the hierarchy's unit, and what was refused."""

    owner: int = 0
    now: int = 0
    refused: tuple[Refused, ...] = ()


@dataclass(frozen=True, slots=True)
class WeightWrite:
    """A write that is to happen."""

    path: str
    before: int
    former: CgroupRecord | None
    during: CgroupRecord


@dataclass(slots=True)
class WeightRound:
    """What one apply did to weights."""

    found: dict[str, WeightFound] = field(default_factory=dict)
    writes: list[WeightWrite] = field(default_factory=list)
    rebased: list[str] = field(default_factory=list)
    weights_set: int = 0
    restored: int = 0
    refusals: list[Refused] = field(default_factory=list)

    @property
    def changed(self) -> bool:
        """Whether the journal has anything new to learn."""
        return bool(self.writes or self.restored)

    def refuse(self, path: str, refused: Refused) -> None:
        """Note that the kernel did not take the weight of ``path``."""
        found = self.found.get(path, WeightFound())
        self.found[path] = replace(found, refused=(*found.refused, refused))
        self.refusals.append(refused)


class Weights:
    """Works on the ``records`` that the journal saves."""

    def __init__(self, cgroups: Cgroups, records: dict[str, CgroupRecord], contention: Contention) -> None:
        self._cgroups = cgroups
        self._contention = contention
        self._records = records

    def look(self, wishes: Mapping[str, WeightWish]) -> WeightRound:
        """Decide for each wished cgroup."""
        done = WeightRound()
        self._forget_gone()
        for path, wish in wishes.items():
            try:
                now, inode = self._cgroups.read(path), self._cgroups.inode(path)
            except OSError as error:
                done.refuse(path, refused_weight(path, error))
                continue
            if now is not None and inode is not None:
                self._decide(path, inode, now, wish, done)
        return done

    def look_at_new(self, wishes: Mapping[str, WeightWish]) -> WeightRound:
        """Decide for those wished cgroups that carry nothing yet; the others stay as the last whole look left them."""
        done = WeightRound()
        for path, wish in wishes.items():
            former = self._records.get(path)
            try:
                inode = self._cgroups.inode(path)
                if former is not None and former.inode == inode:
                    continue
                now = self._cgroups.read(path)
            except OSError as error:
                done.refuse(path, refused_weight(path, error))
                continue
            if now is not None and inode is not None:
                self._remember(path, None)  # of a former cgroup of the same path
                self._decide(path, inode, now, wish, done)
        return done

    def carries(self, path: str) -> bool:
        """Whether a weight of ours is remembered for ``path``."""
        return path in self._records

    def abandon(self, done: WeightRound, error: OSError) -> None:
        """Drop those writes that the journal would have to know and cannot."""
        dropped = [write for write in done.writes if write.during != write.former]
        done.writes = [write for write in done.writes if write.during == write.former]
        for write in dropped:
            self._remember(write.path, write.former)
            done.refuse(write.path, not_remembered("weight", error))

    def write(self, done: WeightRound) -> None:
        """Carry out what ``look`` decided, after the journal has it."""
        for write in done.writes:
            wanted = write.during.weight.wanted
            try:
                self._set(write.during, wanted, unset=False)
                now = self._cgroups.read(write.path)
            except OSError as error:
                self._failed(write, error)
                done.refuse(write.path, refused_weight(write.path, error))
                continue
            if now is None:
                self._remember(write.path, write.former)
                continue
            done.found[write.path] = WeightFound(write.during.weight.original, now)
            if now == wanted:
                done.weights_set += 1
            else:
                done.refuse(write.path, not_kept("weight", wanted, now))

    def release(
        self, kept: Collection[str], present: Collection[IntentKey], done: WeightRound, *, everything: bool
    ) -> None:
        """Put back every remembered weight that is not in ``kept``, as threads are."""
        self._forget_gone()
        for record in [record for record in self._records.values() if record.path not in kept]:
            if record.orphan and not everything and not any(intent in present for intent in record.intents):
                continue
            try:
                done.restored += self._restore(record)
            except OSError as error:
                done.refusals.append(refused_weight(record.path, error))
                continue
            self._remember(record.path, None)

    def _decide(self, path: str, inode: int, now: int, wish: WeightWish, done: WeightRound) -> None:
        scale = self._cgroups.scale
        former = self._records.get(path)
        held = hold(
            former.weight if former else None, now, lambda owner: scaled(owner, wish.priority, scale.low, scale.high)
        )
        again = former is not None and former.weight.seen(now) is not Seen.OURS
        if again and self._contention.yields(path):
            done.refuse(path, contended(path))
            return
        done.found[path] = WeightFound(held.original, now)
        if again:
            done.rebased.append(path)
        if former is None and held.wanted == now:
            return
        if former is not None and not again:
            unit, unset = former.unit, former.unset
        else:
            owner = self._cgroups.owner(path)
            unit, unset = (owner.unit, owner.value is None) if owner else ("", False)
        during = CgroupRecord(path, inode, wish.intents, held, wish.orphan, unit, unset)
        if held.wanted == now:
            self._remember(path, replace(during, weight=held.settled()))
            return
        self._remember(path, during)
        done.writes.append(WeightWrite(path, now, former, during))

    def _failed(self, write: WeightWrite, error: OSError) -> None:
        """Forget a write that surely did nothing.

        systemctl can fail, or be given up on, while PID 1 does what it was told. Forgotten, our value would pass for
        the owner's at the next look, be scaled once more, and be what a revert gives back.
        """
        try:
            now = self._cgroups.read(write.path)
        except OSError:
            now = None
        if now in (write.before, None) and error.errno != errno.ETIMEDOUT:
            self._remember(write.path, write.former)

    def _restore(self, record: CgroupRecord) -> bool:
        now = self._cgroups.read(record.path)
        original = record.weight.original
        if now is None or record.weight.seen(now) is not Seen.OURS or now == original:
            return False
        self._set(record, original, unset=record.unset)
        return True

    def _set(self, record: CgroupRecord, value: int, *, unset: bool) -> None:
        if self._cgroups.inode(record.path) != record.inode:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))
        if record.unit:
            self._cgroups.write_unit(record.path, record.unit, None if unset else value, value)
        else:
            self._cgroups.write(record.path, value)

    def _forget_gone(self) -> None:
        for record in list(self._records.values()):
            try:
                gone = self._cgroups.inode(record.path) != record.inode
            except OSError:
                continue
            if gone:
                del self._records[record.path]

    def _remember(self, path: str, record: CgroupRecord | None) -> None:
        if record is None:
            self._records.pop(path, None)
        else:
            self._records[path] = record
