"""The runtime configuration on disk: one small file that is replaced as a whole, under its own checksum."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gthulhu_agent.disk import Disk
from gthulhu_agent.errors import NotStored
from gthulhu_agent.legacy.runtime_config import RuntimeConfig
from gthulhu_wire.intents import canonical_json

NAME = "runtime-config.json"
_UNFINISHED = f"{NAME}.unfinished"
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Kept:
    """A configuration, since when it is applied, in Unix seconds, and who owned the node then; '' for nobody."""

    config: RuntimeConfig
    applied_at: int
    owner: str = ""


class Damaged(Exception):  # noqa: N818 - says what is the matter
    """The file is not as it was written."""


class RuntimeFile:
    """The file in the state folder. Calls block and are never made concurrently."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()

    def load(self) -> Kept | None:
        """What was saved last; None where nothing ever was.

        Raises:
            Damaged: it cannot be read, or is not what was written.
        """
        path = self._folder / NAME
        try:
            with self._disk.reading(path) as stream:
                line = stream.read(_MOST)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Damaged(f"{path}: {error.strerror or error}") from error
        checksum, _, text = line.rstrip(b"\n").partition(b" ")
        if hashlib.sha256(text).hexdigest().encode() != checksum:
            raise Damaged(f"{path}: its checksum does not hold")
        try:
            fields = json.loads(text)
            return Kept(RuntimeConfig(**fields["config"]), int(fields["appliedAt"]), str(fields.get("owner", "")))
        except (ValueError, TypeError, KeyError) as fault:
            raise Damaged(f"{path}: written by another version of the agent: {fault}") from fault

    def save(self, kept: Kept) -> None:
        """Keep ``kept``. When this returns it outlives a power cut.

        Raises:
            NotStored: it could not be written; what was there is there.
        """
        text = canonical_json(
            {"config": asdict(kept.config), "appliedAt": kept.applied_at, "owner": kept.owner}
        ).encode()
        unfinished = self._folder / _UNFINISHED
        try:
            self._disk.remove(unfinished)
            fd = self._disk.create(unfinished)
            try:
                self._disk.write(fd, hashlib.sha256(text).hexdigest().encode() + b" " + text + b"\n")
                self._disk.sync(fd)
            finally:
                self._disk.close(fd)
            self._disk.rename(unfinished, self._folder / NAME)
            self._disk.sync_directory(self._folder)
        except OSError as error:
            raise self._not_stored(error) from error

    def drop(self) -> None:
        """Keep nothing any longer.

        Raises:
            NotStored: what was there may be there.
        """
        try:
            self._disk.remove(self._folder / NAME)
            self._disk.sync_directory(self._folder)
        except OSError as error:
            raise self._not_stored(error) from error

    def _not_stored(self, error: OSError) -> NotStored:
        return NotStored(
            f"cannot write to {self._folder}: {error.strerror or error}",
            cure="free space in it, or make it writable for the agent",
        )
