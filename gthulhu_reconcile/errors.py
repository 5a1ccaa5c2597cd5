"""The errors of the control plane, one tree.

::

    GthulhuError                    exit 1 unless said otherwise
    ├── UserError                   input that a person can mend; carries diagnostics, shown without traceback
    │   └── UsageError              the command line itself is wrong; exit 64
    ├── Held                        a guard or a suspension stands in the way; exit 4
    ├── RetryableError              may go away by itself: a refused connection, a time-out, a full disk
    │   └── AgentUnreachable        one node's agent did not answer
    └── TerminalError               will not go away without a person
        ├── AgentRefused            one node's agent said no; carries its code
        ├── BadAnswer               one node's agent said what no agent says
        └── StalePlan               a saved plan no longer fits what holds, or was used

Foreign exceptions are translated once, where they enter: ``loading`` for files and YAML, ``transport`` for HTTP,
``cli`` for click.
"""

from __future__ import annotations

from collections.abc import Sequence

from gthulhu_reconcile.model.diagnostics import Diagnostic


class GthulhuError(Exception):
    """Base of every error that this program raises on purpose."""


class UserError(GthulhuError):
    """Input that a person can mend."""

    def __init__(self, message: str, diagnostics: Sequence[Diagnostic] = ()) -> None:
        super().__init__(message)
        self.diagnostics = tuple(diagnostics)


class UsageError(UserError):
    """The command line itself is wrong."""


class Held(GthulhuError):  # noqa: N818 - the word of the design
    """A guard or a suspension stands in the way."""


class RetryableError(GthulhuError):
    """May go away by itself."""


class AgentUnreachable(RetryableError):  # noqa: N818 - says what is the matter
    """One node's agent did not answer, or said no to what it may take later.

    ``retry_after`` are the seconds that it asked us to stay away. ``code`` is one of
    :class:`gthulhu_wire.refusals.Refusal` where it said no and did nothing; empty where what it did is not known.
    """

    def __init__(self, node: str, reason: str, *, retry_after: float = 0.0, code: str = "") -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason
        self.code = code
        self.retry_after = retry_after


class TerminalError(GthulhuError):
    """Will not go away without a person."""


class AgentRefused(TerminalError):  # noqa: N818 - says what is the matter
    """One node's agent said no; ``code`` is one of :class:`gthulhu_wire.refusals.Refusal`."""

    def __init__(self, node: str, code: str, message: str) -> None:
        super().__init__(f"{node}: {message}")
        self.node = node
        self.code = code
        self.reason = message


class BadAnswer(TerminalError):  # noqa: N818 - says what is the matter
    """One node's agent said what no agent says: broken JSON, too many bytes, a digest that is not its set's."""

    def __init__(self, node: str, reason: str) -> None:
        super().__init__(f"{node}: {reason}")
        self.node = node
        self.reason = reason


class StalePlan(TerminalError):  # noqa: N818 - says what is the matter
    """A saved plan no longer fits what holds, or was used before."""
