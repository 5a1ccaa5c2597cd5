"""Records that were added to a saved state, one line each, beside the journal's own files.

A new process must not wait until thousands of records are written and synced for the sake of one. These lines are not
synced: what a killed agent wrote the kernel still has, and a machine that lost what had not reached its disk has booted
since, which makes all records void. They name the state that they add to, so that those which a later state has left
behind are nobody's.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.records import CgroupRecord, Held, ThreadRecord

_MAGIC = "gthulhu-journal-additions-1"
MAX_BYTES = 1 << 20
"""From here on a whole state is cheaper than more of these."""


@dataclass(frozen=True, slots=True)
class Added:
    """What was read back."""

    threads: tuple[ThreadRecord, ...] = ()
    cgroups: tuple[CgroupRecord, ...] = ()
    damaged: bool = False
    """A line in the middle is not as it was written; it and what followed are not known."""


class Additions:
    """The file at ``path``; one writer. Those of another ``boot`` are nobody's.

    Attributes:
        any: there may be some, for this state or another.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = boot
        self.any = path.exists()
        self._base: str | None = None
        self._size = 0

    def take(self, base: str, threads: Iterable[ThreadRecord], cgroups: Iterable[CgroupRecord]) -> bool:
        """Add records to the state whose digest is ``base``; False where that state has to be saved anew instead.

        Raises:
            OSError: they could not be written.
        """
        begins = base != self._base
        if begins and self.any:
            return (
                False  # to begin the file anew would lose what is in it: of an agent before, or before a failed write
            )
        lines = [_line(_thread(record)) for record in threads]
        lines += [_line(_cgroup(record)) for record in cgroups]
        if begins:
            lines.insert(0, self._head(base) + b"\n")
            self._size = 0
        data = b"".join(lines)
        if self._size + len(data) > MAX_BYTES:
            return False
        # Whatever goes wrong, a line may be cut short: only a whole state is written next.
        self._base = None
        self.any = True
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if begins else os.O_APPEND)
        descriptor = os.open(self._path, flags, 0o600)
        try:
            if os.write(descriptor, data) != len(data):
                return False
        finally:
            os.close(descriptor)
        self._base = base
        self._size += len(data)
        return True

    def drop(self) -> None:
        """Forget all of them: the state has them now.

        Raises:
            OSError: the file is there still; it is nobody's once the state is another.
        """
        self._base = None
        self._path.unlink(missing_ok=True)
        self.any = False

    def read(self, base: str) -> Added:
        """What was added to the state whose digest is ``base``; nothing where there is none, or another's."""
        try:
            data = self._path.read_bytes()
        except OSError:
            return Added()
        head, _, rest = data.partition(b"\n")
        if head != self._head(base):
            return Added()
        threads: list[ThreadRecord] = []
        cgroups: list[CgroupRecord] = []
        # What follows the last end of a line was cut short, and the kernel never written for it.
        for line in rest.split(b"\n")[:-1]:
            try:
                record = _record(line)
            except (ValueError, TypeError, KeyError, IndexError):
                return Added(tuple(threads), tuple(cgroups), damaged=True)
            if isinstance(record, ThreadRecord):
                threads.append(record)
            else:
                cgroups.append(record)
        return Added(tuple(threads), tuple(cgroups))

    def _head(self, base: str) -> bytes:
        return f"{_MAGIC} {base} {self._boot}".encode()


def held_row(held: Held | None) -> list[int] | None:
    """One value as a row of numbers."""
    return None if held is None else [held.original, *held.wrote]


def row_held(value: list[int] | None) -> Held | None:
    """The value that a row stands for.

    Raises:
        ValueError: it is none.
    """
    if value is None:
        return None
    original, first, *more = value
    return Held(original, (first, *more))


def _line(row: list[object]) -> bytes:
    payload = json.dumps(row, separators=(",", ":")).encode()
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def _record(line: bytes) -> ThreadRecord | CgroupRecord:
    seal, _, payload = line.partition(b" ")
    if seal != b"%08x" % zlib.crc32(payload):
        raise ValueError("checksum")
    what, *row = json.loads(payload)
    if what == "thread":
        tid, start, pid, cgroup, since, (uid, namespace, name), orphan, slice_, nice = row
        intent = (uid, namespace, name)
        return ThreadRecord(TaskId(tid, start), pid, cgroup, since, intent, orphan, row_held(slice_), row_held(nice))
    path, inode, keys, orphan, weight, unit, unset = row
    held = row_held(weight)
    if held is None:
        raise ValueError("a weight without value")
    intents = tuple((uid, namespace, name) for uid, namespace, name in keys)
    return CgroupRecord(path, inode, intents, held, orphan, unit, unset)


def _thread(record: ThreadRecord) -> list[object]:
    return [
        "thread",
        record.id.tid,
        record.id.start,
        record.pid,
        record.cgroup,
        record.since,
        record.intent,
        record.orphan,
        held_row(record.slice),
        held_row(record.nice),
    ]


def _cgroup(record: CgroupRecord) -> list[object]:
    return [
        "cgroup",
        record.path,
        record.inode,
        record.intents,
        record.orphan,
        held_row(record.weight),
        record.unit,
        record.unset,
    ]
