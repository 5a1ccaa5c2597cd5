"""What the program's exit status means. Documented in docs/exit-codes.md; never a count, which wraps at 256."""

from __future__ import annotations

from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses. Where several hold, the first in :data:`PRECEDENCE` is taken."""

    OK = 0
    ERROR = 1
    """Anything that went wrong, also on some nodes only."""
    CHANGES = 2
    """With ``--detailed-exitcode``: there are changes, or drift."""
    FINDINGS = 3
    """With ``--strict``: warnings."""
    HELD = 4
    """A guard or a suspension stands in the way."""
    USAGE = 64
    """EX_USAGE of sysexits.h. Click's own 2 would read as "there are changes"."""
    INTERRUPTED = 130
    """128 + SIGINT, as a shell says it."""


PRECEDENCE = (Exit.USAGE, Exit.ERROR, Exit.HELD, Exit.FINDINGS, Exit.CHANGES)


def combine(*found: Exit) -> Exit:
    """The one status of a run in which all of ``found`` hold.

    Example:
        >>> combine(Exit.CHANGES, Exit.HELD)
        <Exit.HELD: 4>
    """
    if Exit.INTERRUPTED in found:
        return Exit.INTERRUPTED
    return next((status for status in PRECEDENCE if status in found), Exit.OK)
