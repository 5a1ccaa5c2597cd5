"""Which files the service's settings lead to, and so which have to be watched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from gthulhu_reconcile.runtime.inputs import LOCAL
from gthulhu_reconcile.runtime.settings_model import Settings
from gthulhu_reconcile.transport.agents import looks_like_url


def watched(settings: Settings, config: Path) -> Mapping[str, tuple[Path, ...]]:
    """The files and directories of each resource, whether they exist or not."""
    secret = () if settings.secret_file is None else (Path(settings.secret_file),)
    return {
        "policies": tuple(Path(path) for path in settings.policies),
        "pods": () if settings.pods == LOCAL else (Path(settings.pods),),
        "inventory": tuple(Path(path) for path in settings.agents if not looks_like_url(path)),
        "settings": (config, *secret),
    }
