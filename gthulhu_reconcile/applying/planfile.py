"""Saved plans: what was looked at is what is applied, once.

A saved plan is one JSON file. Its first members are a state (``fresh`` or ``spent``) and a checksum over all that
follows them; ``plan`` is the public form, ``desired`` and ``bases`` are what executing needs::

    {"state":"fresh","checksum":"…","formatVersion":"1.0","created":"…","plan":{…},"desired":{…},"bases":{…}}

The state has a fixed place and both words have one length, so that a plan is spent by writing five bytes under a lock:
nothing else of the file can be damaged by it, no second file is left behind, and of two who apply it at once one wins.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gthulhu_reconcile.applying.planreading import plan_from_json
from gthulhu_reconcile.errors import StalePlan, UserError
from gthulhu_reconcile.model.accepted import Accepted
from gthulhu_reconcile.model.plan import Plan
from gthulhu_reconcile.model.plan_document import plan_to_json
from gthulhu_wire.documents import WireError
from gthulhu_wire.intents import Intent, canonical_intent, canonical_json

FORMAT_VERSION = "1.0"
MAX_BYTES = 256 << 20
"""Some 400,000 intents."""
_FRESH, _SPENT = b"fresh", b"spent"
_BEFORE_STATE = b'{"state":"'
_BETWEEN = b'","checksum":"'
_AFTER = b'",'
_HEAD = len(_BEFORE_STATE) + len(_FRESH) + len(_BETWEEN) + 64 + len(_AFTER)


@dataclass(frozen=True)
class SavedPlan:
    """A plan as a file has it.

    Attributes:
        plan: with ``desired`` and the intents of ``bases`` only where something changes.
        created: when it was saved.
        used: it has been applied, or somebody began to.
        warnings: why it is not to be trusted, for people; empty for one that may be applied.
    """

    path: Path
    plan: Plan
    created: datetime
    checksum: str
    used: bool = False
    warnings: tuple[str, ...] = ()


def save(plan: Plan, path: Path, *, now: datetime | None = None) -> None:
    """Write ``plan`` to ``path``, which then has the whole of it or what it had before.

    Raises:
        UserError: it cannot be written, has something else than a plan (:func:`target`), or the plan is larger than
            :data:`MAX_BYTES`.
    """
    body = _body(plan, now or datetime.now(UTC))
    if len(body) > MAX_BYTES:
        raise UserError(
            f"the plan has {len(body):,} bytes; a saved one has at most {MAX_BYTES:,}. Plan fewer nodes: --node"
        )
    content = _head(_FRESH, hashlib.sha256(body).hexdigest()) + body
    try:
        _replace(path, content)
    except OSError as error:
        raise _unwritable(path, error) from error


def target(path: Path) -> Path:
    """The file that saving to ``path`` writes: ``path``, or what it is a link to.

    A plan takes the place of nothing but a saved plan or an empty file, so that a slip of the hand costs no policy,
    inventory or device.

    Raises:
        UserError: something else is there.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        if path.is_symlink():
            raise UserError(f"{path} is a link to what is not there; name the file itself") from None
        return path
    except OSError as error:
        raise _unwritable(path, error) from error
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is no regular file, and a plan is saved as one; choose another name")
    if status.st_size and not _begins_as_plan(path):
        raise UserError(f"{path} has something else than a saved plan, which is not overwritten; choose another name")
    return path.resolve()


def _begins_as_plan(path: Path) -> bool:
    try:
        # Not blocking: a FIFO may have taken the place of the file that was looked at.
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - descriptor
            return bool(_parts(file.read(_HEAD))[0])
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path} cannot be written: {error.strerror or error}")


def load(path: Path) -> SavedPlan:
    """A plan that may be applied, as far as its file can tell.

    Raises:
        UserError: it is no saved plan, or not as it was saved.
        StalePlan: it was used.
    """
    saved = load_for_show(path)
    if saved.used:
        raise StalePlan(f"{path} was applied before, and a saved plan is applied once; plan again")
    if saved.warnings:
        raise UserError(f"{path} cannot be applied: {'; '.join(saved.warnings)}; plan again")
    return saved


def load_for_show(path: Path) -> SavedPlan:
    """A plan to be looked at, whatever its state; what is wrong with it is in ``warnings``.

    Raises:
        UserError: no plan can be read out of it.
    """
    content = _read(path)
    warnings: list[str] = []
    state, checksum, body = _parts(content)
    if body is None:
        warnings.append("it was rewritten by another program")
        body = content
    elif hashlib.sha256(body).hexdigest() != checksum:
        warnings.append("it is damaged or was edited: its checksum is wrong")
    document = _document(path, content)
    if document.get("formatVersion") != FORMAT_VERSION:
        raise UserError(f"{path} has format {document.get('formatVersion')!r}; this program reads {FORMAT_VERSION}")
    try:
        plan = plan_from_json(document["plan"], document["desired"], document["bases"])
        created = datetime.fromisoformat(document["created"])
    except (KeyError, TypeError, ValueError, AttributeError, WireError) as error:
        raise UserError(f"{path} is no saved plan, or a damaged one: {type(error).__name__} {error}") from error
    used = state == _SPENT or document.get("state") == _SPENT.decode()
    return SavedPlan(path, plan, created, checksum, used, tuple(warnings))


def mark_used(saved: SavedPlan) -> None:
    """Spend the plan: on disk when this returns, and for one caller only.

    Raises:
        StalePlan: somebody else was faster, or the file is another plan by now.
        UserError: the file cannot be written, so that nothing would stop a second use.
    """
    try:
        handle = os.open(saved.path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise _unmarkable(saved, error) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        _spend(saved, handle)
    except OSError as error:
        raise _unmarkable(saved, error) from error
    finally:
        os.close(handle)


def _spend(saved: SavedPlan, handle: int) -> None:
    state, checksum, _ = _parts(os.pread(handle, _HEAD, 0))
    if checksum != saved.checksum:
        raise StalePlan(f"{saved.path} was replaced since it was read; look at it again")
    if state != _FRESH:
        raise StalePlan(f"{saved.path} was applied before, and a saved plan is applied once; plan again")
    os.pwrite(handle, _SPENT, len(_BEFORE_STATE))
    os.fsync(handle)


def _unmarkable(saved: SavedPlan, error: OSError) -> UserError:
    return UserError(
        f"{saved.path} cannot be marked as used ({error.strerror or error}), so it could be applied twice; "
        "copy it to where it can be written"
    )


def _body(plan: Plan, now: datetime) -> bytes:
    changed = plan.changed_nodes
    head = {
        "formatVersion": FORMAT_VERSION,
        "created": now.astimezone(UTC).isoformat(timespec="seconds"),
        "plan": plan_to_json(plan),
    }
    desired = _members((node, _intents(plan.desired[node])) for node in changed)
    before = _before(plan)
    bases = _members((node, _base(plan.bases[node], before.get(node, ()))) for node in sorted(plan.bases))
    return f'{canonical_json(head)[1:-1]},"desired":{desired},"bases":{bases}}}\n'.encode()


def _before(plan: Plan) -> Mapping[str, list[Intent]]:
    found: dict[str, list[Intent]] = {}
    for change in plan.changes:
        if change.before is not None:
            found.setdefault(change.node, []).append(change.before)
    return found


def _base(base: Accepted, intents: Iterable[Intent]) -> str:
    head = {"owner": base.owner, "token": base.token, "generation": base.generation, "digest": base.digest}
    return f'{canonical_json(head)[:-1]},"intents":{_intents(intents)}}}'


def _intents(intents: Iterable[Intent]) -> str:
    return f"[{','.join(map(canonical_intent, intents))}]"


def _members(rows: Iterable[tuple[str, str]]) -> str:
    return f"{{{','.join(f'{json.dumps(key)}:{value}' for key, value in rows)}}}"


def _head(state: bytes, checksum: str) -> bytes:
    return _BEFORE_STATE + state + _BETWEEN + checksum.encode() + _AFTER


def _parts(content: bytes) -> tuple[bytes, str, bytes | None]:
    """State, checksum and what the checksum is over; None where the file does not begin as we write it."""
    state_at = len(_BEFORE_STATE)
    state = content[state_at : state_at + len(_FRESH)]
    checksum = content[_HEAD - len(_AFTER) - 64 : _HEAD - len(_AFTER)].decode("ascii", "replace")
    if state not in (_FRESH, _SPENT) or content[:_HEAD] != _head(state, checksum):
        return b"", "", None
    return state, checksum, content[_HEAD:]


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + _HEAD + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if len(content) > MAX_BYTES + _HEAD:
        raise UserError(f"{path} is larger than a saved plan can be ({MAX_BYTES:,} bytes)")
    return content


def _document(path: Path, content: bytes) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no saved plan, or cut off: {error}") from error
    if not isinstance(document, dict):
        raise UserError(f"{path} is no saved plan: 'plan --out FILE' writes one")
    return document


def _replace(named: Path, content: bytes) -> None:
    path = target(named)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        with suppress(OSError):
            Path(name).unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
