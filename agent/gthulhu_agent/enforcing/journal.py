"""What was there before, on disk: so that a killed and restarted agent puts back the right values.

It is written before the kernel is, so whatever the kernel says is the original, or a value that the journal names
as ours. There are two files, and both are written before the kernel is: a copy that lagged behind would take our own
values for their owners'. One that does not read as it was written is put aside, and the other is taken. What comes
between two saves is in a third (``additions``).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.discovery.snapshot import TaskId
from gthulhu_agent.enforcing.additions import Additions, held_row, row_held
from gthulhu_agent.enforcing.binding import IntentKey
from gthulhu_agent.enforcing.records import CgroupRecord, ThreadRecord

_MAGIC = "gthulhu-journal-1"
_MAX_BYTES = 256 << 20


class JournalError(OSError):
    """The journal cannot be written; nothing may be changed that it does not know."""


@dataclass(slots=True)
class Memory:
    """What is remembered now, by thread and by path of the cgroup."""

    threads: dict[TaskId, ThreadRecord] = field(default_factory=dict)
    cgroups: dict[str, CgroupRecord] = field(default_factory=dict)


class Journal:
    """One file, one writer (the agent holds a lock on its state directory).

    Records of another boot are void: the kernel forgot those values itself.
    """

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._copy = _copy_of(path)
        self._boot = boot
        self._saved: bytes | None = None
        self._additions = Additions(path.with_name(path.name + ".more"), boot)

    def load(self) -> tuple[Memory, tuple[str, ...]]:
        """What was saved last, and what people must know about it."""
        conditions: list[str] = []
        found = [self._load(path, conditions) for path in (self._path, self._copy)]
        good = [loaded for loaded in found if loaded is not None]
        if conditions and not good:
            conditions.append(
                "no good copy is left: values that stand in the kernel now are taken as their owners' own"
            )
        elif conditions:
            conditions.append(f"went on with {self._copy if found[0] is None else self._path}, which is whole")
        if not good:
            return Memory(), tuple(conditions)
        memory, data = good[0]
        if all(loaded is not None and loaded[1] == data for loaded in found):
            self._saved = data
        added = self._additions.read(_seal_of(data))
        if added.damaged:
            conditions.append("records that were added to the journal last are damaged: values of new threads are lost")
        memory.threads.update((record.id, record) for record in added.threads)
        memory.cgroups.update((record.path, record) for record in added.cgroups)
        return memory, tuple(conditions)

    def save(self, memory: Memory) -> None:
        """Make ``memory`` durable; nothing is written where nothing changed.

        Raises:
            JournalError: what was saved before still is.
        """
        data = _encode(memory, self._boot)
        if data == self._saved and not self._additions.any:
            return
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._saved = None
            # What load prefers comes last: until then the former state is what is saved.
            _replace(self._copy, data)
            _replace(self._path, data)
            _sync_directory(self._path.parent)
            self._additions.drop()
        except OSError as error:
            raise JournalError(error.errno, f"{self._path} cannot be written: {error.strerror}") from error
        self._saved = data

    def add(self, memory: Memory, threads: Iterable[TaskId], cgroups: Iterable[str]) -> None:
        """Make single records of ``memory`` durable against the agent's own end, whose others are saved already.

        Raises:
            JournalError: what was saved before still is.
        """
        if self._saved is None:
            self.save(memory)
            return
        try:
            added = self._additions.take(
                _seal_of(self._saved),
                [memory.threads[thread] for thread in threads if thread in memory.threads],
                [memory.cgroups[path] for path in cgroups if path in memory.cgroups],
            )
        except OSError as error:
            raise JournalError(error.errno, f"{self._path} cannot be added to: {error.strerror}") from error
        if not added:
            self.save(memory)

    def _load(self, path: Path, conditions: list[str]) -> tuple[Memory, bytes] | None:
        try:
            data = _read(path)
        except FileNotFoundError:
            return None
        except OSError as error:
            conditions.append(f"{path} cannot be read: {error.strerror}")
            return None
        try:
            return _decode(data, self._boot), data
        except (ValueError, TypeError, KeyError, IndexError):
            conditions.append(_put_aside(path))
            return None


def exists(path: Path) -> bool:
    """Whether there is anything to put back from a journal at ``path``."""
    return path.exists() or _copy_of(path).exists()


def boot_id(proc: Path = Path("/proc")) -> str:
    """The running kernel's boot, empty where /proc does not say."""
    try:
        return (proc / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _copy_of(path: Path) -> Path:
    return path.with_name(path.name + ".last")


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_BYTES + 1)


def _replace(path: Path, data: bytes) -> None:
    new = path.with_name(path.name + ".new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _put_aside(path: Path) -> str:
    aside = path.with_name(path.name + ".damaged")
    try:
        path.replace(aside)
    except OSError as error:
        return f"{path} is damaged and cannot be put aside: {error.strerror}"
    return f"{path} was damaged and is kept as {aside}"


def _encode(memory: Memory, boot: str) -> bytes:
    names = _Names()
    body = {
        "boot": boot,
        "threads": [_thread_row(record, names) for _, record in sorted(memory.threads.items())],
        "weights": [_weight_row(record, names) for _, record in sorted(memory.cgroups.items())],
    }
    body["cgroups"], body["intents"] = list(names.cgroups), [list(key) for key in names.intents]
    payload = json.dumps(body, separators=(",", ":")).encode()
    return f"{_MAGIC} {hashlib.sha256(payload).hexdigest()}\n".encode() + payload


def _decode(data: bytes, boot: str) -> Memory:
    head, _, payload = data.partition(b"\n")
    if head.decode() != f"{_MAGIC} {hashlib.sha256(payload).hexdigest()}":
        raise ValueError("checksum")
    body = json.loads(payload)
    memory = Memory()
    if body["boot"] != boot:
        return memory
    cgroups: list[str] = body["cgroups"]
    intents: list[IntentKey] = [(uid, namespace, name) for uid, namespace, name in body["intents"]]
    for tid, start, pid, since, cgroup, intent, orphan, slice_, nice in body["threads"]:
        key = TaskId(tid, start)
        memory.threads[key] = ThreadRecord(
            key, pid, cgroups[cgroup], since, intents[intent], bool(orphan), row_held(slice_), row_held(nice)
        )
    for path, inode, keys, orphan, weight, unit, unset in body["weights"]:
        held = row_held(weight)
        if held is None:
            raise ValueError("a weight without value")
        mine = tuple(intents[number] for number in keys)
        memory.cgroups[path] = CgroupRecord(path, inode, mine, held, bool(orphan), unit, bool(unset))
    return memory


def _thread_row(record: ThreadRecord, names: _Names) -> list[object]:
    return [
        record.id.tid,
        record.id.start,
        record.pid,
        record.since,
        names.cgroup(record.cgroup),
        names.intent(record.intent),
        int(record.orphan),
        held_row(record.slice),
        held_row(record.nice),
    ]


def _weight_row(record: CgroupRecord, names: _Names) -> list[object]:
    return [
        record.path,
        record.inode,
        [names.intent(key) for key in record.intents],
        int(record.orphan),
        held_row(record.weight),
        record.unit,
        int(record.unset),
    ]


def _seal_of(data: bytes) -> str:
    """The digest in the head of a state."""
    return data.partition(b"\n")[0].decode(errors="replace").rpartition(" ")[2]


class _Names:
    """Numbers for names that repeat."""

    def __init__(self) -> None:
        self.cgroups: dict[str, int] = {}
        self.intents: dict[IntentKey, int] = {}

    def cgroup(self, path: str) -> int:
        return self.cgroups.setdefault(path, len(self.cgroups))

    def intent(self, key: IntentKey) -> int:
        return self.intents.setdefault(key, len(self.intents))
