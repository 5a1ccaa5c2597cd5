"""A document of a YAML file: plain values, and where each of them is written."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from gthulhu_reconcile.loading.scalars import Scalar
from gthulhu_reconcile.loading.source import Source, pointer_text
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span

Value = Scalar | list["Value"] | dict[str, "Value"]
Pointer = Sequence[str | int]


class Places(Protocol):
    """A value, and where its parts are written: a document, or what was converted from one."""

    @property
    def value(self) -> Value:
        """Plain Python values."""

    @property
    def line(self) -> int:
        """Where it begins, 1-based."""

    @property
    def whole(self) -> bool:
        """False where a part was left out on reading, so that its absence is no mistake of its own."""

    @property
    def sound(self) -> bool:
        """False where any fault was found on reading."""

    def diagnose(
        self,
        code: Code,
        pointer: Pointer,
        message: str,
        *,
        key: bool = False,
        severity: Severity = Severity.ERROR,
        hint: str = "",
        suggestion: str = "",
    ) -> Diagnostic:
        """A diagnostic about the value at ``pointer``, or about its key."""

    def refused(self, pointer: Pointer) -> bool:
        """Whether the value was refused on reading, which has been told."""

    def written(self, pointer: Pointer) -> str:
        """The first line of a value, as it is written in the file."""


@dataclass(slots=True)
class Node:
    """A value and the characters that it is written with.

    ``items`` are those of a list, ``entries`` (key, value) those of a mapping. A ``refused`` node is no part of the
    document's value.
    """

    value: Value
    start: int
    end: int
    items: list[Node] | None = None
    entries: dict[str, tuple[Node, Node]] | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Document:
    """One document of a file.

    Attributes:
        value: plain Python values, YAML 1.2 core.
        line: where it begins, 1-based.
        whole: False where a part was refused and left out, so that its absence is no mistake of its own.
        sound: False where the reader found any fault in it, as a duplicate key.
    """

    value: Value
    line: int
    whole: bool
    sound: bool
    _source: Source = field(repr=False)
    _root: Node = field(repr=False)

    def locate(self, pointer: Pointer, *, key: bool = False) -> Span:
        """The place of a value, or of its key; of the nearest thing around it where there is no such value."""
        node, name = self._root, None
        for part in pointer:
            if node.entries is not None and isinstance(part, str) and part in node.entries:
                name, node = node.entries[part]
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                name, node = None, node.items[part]
            else:
                break
        found = name if key and name is not None else node
        return self._source.span(found.start, found.end)

    def diagnose(
        self,
        code: Code,
        pointer: Pointer,
        message: str,
        *,
        key: bool = False,
        severity: Severity = Severity.ERROR,
        hint: str = "",
        suggestion: str = "",
    ) -> Diagnostic:
        """A diagnostic about the value at ``pointer``, or about its key."""
        return self._source.diagnostic(
            code,
            self.locate(pointer, key=key),
            message,
            severity=severity,
            hint=hint,
            suggestion=suggestion,
            pointer=pointer_text(pointer),
        )

    def refused(self, pointer: Pointer) -> bool:
        """Whether the reader refused the value, or did not take it into the document, and has said so."""
        node = self._root
        for part in pointer:
            if node.entries is not None and isinstance(part, str) and part in node.entries:
                node = node.entries[part][1]
            elif node.items is not None and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
        return node.refused

    def written(self, pointer: Pointer) -> str:
        """The first line of a value, as it is written in the file."""
        span = self.locate(pointer)
        begin = self._source.offset(span.line)
        return self._source.text[begin + span.column - 1 : begin + span.end_column - 1]
