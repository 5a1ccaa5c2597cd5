"""Which of a pod's intents a deletion means. Upstream drops them all, those of other strategies too (fault W-11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import Process
from gthulhu_agent.enforcing.patterns import PatternError, Patterns
from gthulhu_agent.legacy.received import ReceivedIntent
from gthulhu_wire.intents import CommandOn


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
    pod_id: str, narrowing: Narrowing, process_of: Callable[[int], Process | None]
) -> Callable[[ReceivedIntent], bool]:
    """Whether an intent is dropped. A pid that does not run takes none with it."""
    process = None if narrowing.pid is None else process_of(narrowing.pid)
    patterns = Patterns()

    def goes(one: ReceivedIntent) -> bool:
        return (
            one.pod_id == pod_id
            and narrowing.command_regex in (None, one.command_regex)
            and narrowing.priority in (None, one.priority)
            and narrowing.execution_time in (None, one.execution_time)
            and (narrowing.pid is None or (process is not None and _takes(one, process, patterns)))
        )

    return goes


def _takes(one: ReceivedIntent, process: Process, patterns: Patterns) -> bool:
    match one.command_on:
        case CommandOn.THREAD:
            texts = [thread.name for thread in process.threads]
        case CommandOn.ARGV0:
            texts = [process.argv0]
        case CommandOn.COMM:
            texts = [process.comm]
    try:
        return not one.command_regex or any(patterns.matches(one.command_regex, text) for text in texts)
    except PatternError:
        return False
