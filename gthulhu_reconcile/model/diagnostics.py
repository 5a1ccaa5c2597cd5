"""What is wrong with an input, where, and how to mend it. Rendering is the command line's."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """Errors stop the command that found them; warnings only do under ``--strict`` (exit 3)."""

    ERROR = "error"
    WARNING = "warning"


class Code(StrEnum):
    """Stable names of diagnostics. Each has a heading in docs/diagnostics.md and a test of its own."""

    YAML_SYNTAX = "yaml-syntax"
    ENCODING = "encoding"
    UNSAFE_YAML = "unsafe-yaml"
    TOO_LARGE = "too-large"
    UNREADABLE = "unreadable"
    DUPLICATE_KEY = "duplicate-key"
    UNKNOWN_KIND = "unknown-kind"
    UNKNOWN_KEY = "unknown-key"
    MISSING_KEY = "missing-key"
    WRONG_TYPE = "wrong-type"
    OUT_OF_RANGE = "out-of-range"
    NOT_ALLOWED = "not-allowed"
    BAD_FORMAT = "bad-format"
    BAD_PATTERN = "bad-pattern"
    BAD_CRON = "bad-cron"
    BAD_TIME_ZONE = "bad-time-zone"
    DUPLICATE_POLICY = "duplicate-policy"
    EMPTY_SELECTOR = "empty-selector"
    EMPTY_SCHEDULE = "empty-schedule"
    PROTECTED = "protected"
    NAMESPACE_LIMIT = "namespace-limit"
    TIE = "tie"
    DEPRECATED = "deprecated"
    NO_POLICIES = "no-policies"
    JSON_SYNTAX = "json-syntax"
    INCOMPLETE_LIST = "incomplete-list"
    DUPLICATE_POD = "duplicate-pod"
    DUPLICATE_NODE = "duplicate-node"
    NOT_SUPPORTED = "not-supported"
    NO_AGENTS = "no-agents"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A place in a text file. Lines and columns start at 1; columns count characters; ``end_column`` is exclusive."""

    path: str
    line: int
    column: int
    end_column: int


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One finding.

    Attributes:
        code: stable name.
        severity: error or warning.
        span: where; line 0 where the whole file is meant.
        message: what is wrong, one sentence without a full stop, as in "'priorty' is not allowed here".
        hint: what is allowed, or the consequence of leaving it; may be empty.
        suggestion: the most likely right word ("did you mean"); may be empty.
        pointer: JSON pointer of the value (RFC 6901); empty for the whole document.
        snippet: the lines around ``span`` as (number, text), the faulty one among them.
    """

    code: Code
    severity: Severity
    span: Span
    message: str
    hint: str = ""
    suggestion: str = ""
    pointer: str = ""
    snippet: tuple[tuple[int, str], ...] = ()

    def as_json(self) -> dict[str, object]:
        """The machine form, as docs/cli.md shows it; keys are added to, never changed."""
        return {
            "code": self.code.value,
            "severity": self.severity.value,
            "path": self.span.path,
            "line": self.span.line,
            "column": self.span.column,
            "message": self.message,
            "hint": self.hint,
            "suggestion": self.suggestion,
        }


def has_errors(found: Iterable[Diagnostic]) -> bool:
    """Whether an error is among ``found``."""
    return any(one.severity is Severity.ERROR for one in found)
