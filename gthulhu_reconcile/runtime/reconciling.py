"""One pass: observe, plan, execute. The command line and the service run this very code.

Nothing is read before a function is called, and nothing is written but by :func:`execute`. A dry run is the same pass
with a transport that raises when it is asked to write.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

Progress = Callable[[str, int, int], None]
"""Called with the phase (``load``, ``observe``, ``plan``, ``push``), how much of it is done, and of how much."""


class Result(StrEnum):
    """How a pass ended."""

    SUCCESS = "success"
    PARTIAL = "partial"
    """Some nodes took their set and some did not."""
    ERROR = "error"
    HELD = "held"
    NOOP = "noop"
    """Every node that was reached already holds what it shall."""
