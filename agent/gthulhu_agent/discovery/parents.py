"""Who started a process. It is asked for rarely, and not kept with what every pass reads."""

from __future__ import annotations

from gthulhu_agent.discovery import procfs
from gthulhu_agent.discovery.snapshot import TaskId


def parent_of(task: TaskId, proc: str = "/proc") -> int:
    """The pid of a process's parent now; 0 where it has ended or cannot be read.

    Fields are counted from behind the command's last bracket: a name with a blank in it moves them (fault W-16).
    """
    try:
        line = procfs.read(f"{proc}/{task.tid}/stat")
        if not line:
            return 0
        stat = procfs.parse_stat(line)
    except (OSError, ValueError):
        return 0
    return stat.ppid if stat.start == task.start else 0
