"""Which of a pod's intents a deletion means. Upstream drops them all, those of other strategies too (fault W-11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gthulhu_agent.enforcing.patterns import PatternError, Patterns
from gthulhu_agent.legacy.received import ReceivedIntent


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What an intent has to be to be dropped; None leaves it open.

    Attributes:
        pid: a process that the intent's pattern takes.
    """

    pid: int | None = None
    command_regex: str | None = None
    priority: int | None = None
    execution_time: int | None = None


def narrowed(
    pod_id: str, narrowing: Narrowing, comm_of: Callable[[int], str | None]
) -> Callable[[ReceivedIntent], bool]:
    """Whether an intent is dropped. A pid that does not run takes none with it."""
    comm = None if narrowing.pid is None else comm_of(narrowing.pid)
    patterns = Patterns()

    def goes(one: ReceivedIntent) -> bool:
        return (
            one.pod_id == pod_id
            and narrowing.command_regex in (None, one.command_regex)
            and narrowing.priority in (None, one.priority)
            and narrowing.execution_time in (None, one.execution_time)
            and (narrowing.pid is None or (comm is not None and _takes(one, comm, patterns)))
        )

    return goes


def _takes(one: ReceivedIntent, comm: str, patterns: Patterns) -> bool:
    try:
        return not one.command_regex or patterns.matches(one.command_regex, comm)
    except PatternError:
        return False
