"""Which file of settings is read: the one that is named, in our way or in that of a Decision Maker."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gthulhu_agent.configuring.said import DM_PREFIX, PREFIX
from gthulhu_agent.errors import UsageError

_NAME = f"{DM_PREFIX}CONFIG_NAME"
_FOLDER = f"{DM_PREFIX}CONFIG_DIR_PATH"


def named(option: str | None, environ: Mapping[str, str]) -> Path | None:
    """The file that ``--config``, our variable or a Decision Maker's variables name, in this order.

    Raises:
        UsageError: there is a name and no folder; a Decision Maker looks where it was built.
    """
    said = option or environ.get(f"{PREFIX}CONFIG")
    if said:
        return Path(said)
    folder, name = environ.get(_FOLDER), environ.get(_NAME)
    if folder:
        return Path(folder) / f"{name or 'dm_config'}.toml"
    if name:
        raise UsageError(
            f"{_NAME}: {name!r} is the name of a file, and nothing says in which folder it is",
            cure=f"set {_FOLDER} too, or name the file with --config",
        )
    return None
