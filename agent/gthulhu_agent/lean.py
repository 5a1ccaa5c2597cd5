"""What the running agent does without: memory and time that every node would pay for what it never uses."""

from __future__ import annotations

import gc
import importlib
import ssl
import sys
from typing import Any

_DRAWS = "rich"


def begin_to_start() -> None:
    """Let Python not look for garbage while the agent starts: it makes little, and much that stays."""
    gc.disable()


def end_of_start() -> None:
    """Look for garbage from now on, but never again among what is there already."""
    gc.freeze()
    gc.enable()


def import_logging() -> None:
    """Import structlog without rich, which it takes along wherever that is installed: 6 MB, a sixth of the start.

    structlog draws tracebacks with it, and the agent's are plain (see ``logs``). Commands that draw import it
    themselves, later. To be called before anything else imports structlog; afterwards it changes nothing.
    """
    if _DRAWS in sys.modules or "structlog" in sys.modules:
        return
    sys.modules[_DRAWS] = None  # type: ignore[assignment] # the import system's way to say: there is none
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules[_DRAWS]


def import_server() -> None:
    """Import aiohttp without the authorities of its client, which it reads twice while it is imported: 65 ms.

    Connections that the agent itself makes over TLS bring a context of their own; with one of aiohttp's they would
    trust nobody. To be called before anything else imports aiohttp; afterwards it changes nothing.
    """
    if "aiohttp" in sys.modules:
        return
    context: Any = ssl.SSLContext
    load = context.load_default_certs
    context.load_default_certs = context.set_default_verify_paths = lambda *_: None
    try:
        importlib.import_module("aiohttp")
    finally:
        context.load_default_certs = load
        del context.set_default_verify_paths  # of this class: the one below it is the real one
