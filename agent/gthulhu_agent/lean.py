"""What the running agent does without: memory and time that every node would pay for what it never uses."""

from __future__ import annotations

import importlib
import sys

_DRAWS = "rich"


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
