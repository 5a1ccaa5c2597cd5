"""Reading the settings: option over environment over ``gthulhu.yaml`` over default, every fault with its place.

Overrides (from the command line) are named as in the file, by dotted path: ``{"policies": ["p/"], "serve.interval":
"30s"}``. ``None`` and empty tuples are options that were not given.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from gthulhu_reconcile.model.diagnostics import Diagnostic, has_errors
from gthulhu_reconcile.runtime.settings_faults import faults
from gthulhu_reconcile.runtime.settings_file import file_layer
from gthulhu_reconcile.runtime.settings_layers import Layer, environment_layer, overrides_layer
from gthulhu_reconcile.runtime.settings_model import Limits, Output, Settings

__all__ = ["DEFAULT_FILE", "Limits", "Output", "Settings", "load_settings"]

DEFAULT_FILE = Path("gthulhu.yaml")


def load_settings(
    config: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object],
    *,
    host_name: Callable[[], str] = socket.gethostname,
) -> tuple[Settings, tuple[Diagnostic, ...]]:
    """The settings in force, and everything that is wrong with where they came from.

    Args:
        config: the settings file; None is ``gthulhu.yaml`` where the current directory has one. Relative paths in a
            file start from the file's directory.
        environ: the environment, for the variables ``GTHULHU_…``; an empty value counts as not set.
        overrides: options of the command line by dotted path.
        host_name: gives the owner where nothing names one.

    Returns:
        The settings and all diagnostics. Where one of these is an error the settings are the defaults, fit for showing
        the diagnostics and for nothing else.
    """
    file = file_layer(_chosen(config))
    environment = environment_layer(environ)
    options = overrides_layer(overrides)
    layers = (options, environment, file)
    found = [diagnostic for layer in layers for diagnostic in layer.diagnostics]
    host = Layer(values={"owner": host_name() or "localhost"})
    try:
        settings = _merged((*layers, host))
    except ValidationError as error:
        found += faults(error, options=options, environment=environment, file=file)
        settings = Settings.model_construct()
    if has_errors(found):
        settings = Settings.model_construct()
    return settings, tuple(found)


def _chosen(config: Path | None) -> Path | None:
    if config is not None:
        return config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


def _merged(layers: tuple[Layer, ...]) -> Settings:
    sources = tuple(InitSettingsSource(Settings, dict(layer.values)) for layer in layers)
    return Settings(_build_sources=(sources, {}))
