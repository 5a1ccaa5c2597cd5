"""How a pass ended."""

from __future__ import annotations

from enum import StrEnum


class Result(StrEnum):
    """A closed list, documented in docs/service.md; also the label of ``gthulhu_reconcile_total``."""

    SUCCESS = "success"
    """Every node that needed it took its set."""
    NOOP = "noop"
    """Every node already held what it shall."""
    HELD = "held"
    """A guard stands in the way."""
    PARTIAL = "partial"
    """Some nodes hold what they shall and some could not be asked or told."""
    ERROR = "error"
    """Nothing could be planned, or no node took its set."""
