"""What the agent says no with before it serves: one tree, each with its exit code.

::

    AgentError                exit 1: something on this machine stands in the way
    ├── AlreadyRunning        another agent has the state folder, the socket or the lock of enforcers
    ├── BpfError              a program for the kernel could not be loaded or attached
    ├── EventsError           the kernel does not tell this process of new threads
    ├── NotStored             the desired set could not be written; the former one still holds
    └── UsageError            exit 64: the command line, a setting or the file that it is in is wrong
"""

from __future__ import annotations


class AgentError(Exception):
    """Something on this machine stands in the way; ``cure`` is what a person can do about it."""

    exit_code = 1

    def __init__(self, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.cure = cure


class AlreadyRunning(AgentError):  # noqa: N818 - says what is the matter
    """Another agent has the state folder, the socket or the lock of enforcers."""


class BpfError(AgentError):
    """A program for the kernel could not be loaded or attached; ``log`` is what libbpf and the verifier said last."""

    def __init__(self, message: str, cure: str = "", log: tuple[str, ...] = ()) -> None:
        super().__init__(message, cure)
        self.log = log


class EventsError(AgentError):
    """The kernel does not tell this process of new threads."""


class NotStored(AgentError):  # noqa: N818 - says what is the matter
    """The desired set could not be written; the former one still holds."""


class UsageError(AgentError):
    """The command line, a setting or the file that it is in is wrong."""

    exit_code = 64
