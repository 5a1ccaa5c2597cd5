"""Documents from libyaml's events, each of which passes a guard before anything is built from it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import yaml

from gthulhu_reconcile.loading.document import Document, Node
from gthulhu_reconcile.loading.scalars import LongNumberError, resolve
from gthulhu_reconcile.loading.source import Source, printable, shown
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost. The defaults keep a hostile file under a second and under 100 MB.

    Attributes:
        file_bytes: size of the file.
        depth: nested mappings and sequences.
        events: keys, values, and beginnings and ends of collections.
        findings: diagnostics after which the rest of the file is no longer looked at.
    """

    file_bytes: int = 1 << 20
    depth: int = 32
    events: int = 200_000
    findings: int = 100


_NEXT_DOCUMENT = re.compile(r"^---(?=[ \t\r\n]|$)", re.MULTILINE)
_MAX_RESTARTS = 20
_WRITE_OUT = "write the value out where it is meant"
_HINTS = (
    ("mapping values are not allowed", "a text with ': ' in it needs quotes; else the line is indented wrongly"),
    ("cannot start any token", "indent with blanks, and put quotes around a text that begins with @, ` or %"),
    ("did not find expected key", "is the line indented as its neighbours are?"),
    ("could not find expected ':'", "a key is followed by ': '"),
    ("did not find expected ',' or", "a bracket is not closed"),
    ("found unexpected end of stream", "a quote is not closed"),
    ("found unexpected document indicator", "a quote is not closed"),
    ("unknown escape character", "in single quotes a backslash is a backslash"),
    ("found undefined tag handle", "tags are not taken"),
)


class _Stop(Exception):  # noqa: N818 - no error, but the end of reading
    """The file costs more than its limits, or has more faults than anybody reads."""


class Reader:
    """Reads one file once; when all documents are out, ``diagnostics`` and ``complete`` say what came of it.

    ``events`` is what it has cost so far. Documents come one by one, so that whoever needs no more than one at a time
    does not hold the places of all.
    """

    def __init__(self, source: Source, limits: Limits) -> None:
        self.diagnostics: list[Diagnostic] = []
        self.complete = True
        self.events = 0
        self._source = source
        self._limits = limits
        self._base = 0
        self._next_base: int | None = None
        self._open: list[Node] = []
        self._keys: list[Node | None] = []
        self._whole = True
        self._document_start = 0
        self._document_findings = 0
        self._root: Node | None = None

    @property
    def text(self) -> str:
        """The decoded file."""
        return self._source.text

    def documents(self) -> Iterator[Document]:
        """All documents; after a syntax error, those from the next ``---`` on."""
        try:
            for _ in range(_MAX_RESTARTS):
                yield from self._from_base()
                if self._next_base is None:
                    return
                self._base = self._next_base
        except _Stop:
            self.complete = False

    def _from_base(self) -> Iterator[Document]:
        text, base = self._source.text, self._base
        self._open, self._keys, self._root, self._next_base = [], [], None, None
        try:
            for event in yaml.parse(text[base:] if base else text, Loader=yaml.CSafeLoader):
                self._take(event)
                if self._root is not None:
                    root, self._root = self._root, None
                    yield self._document(root)
        except yaml.YAMLError as error:
            self.complete = False
            at = self._report_syntax(error)
            following = _NEXT_DOCUMENT.search(text, max(at, self._document_start + 1, base + 1))
            self._next_base = None if following is None else following.start()

    def _document(self, root: Node) -> Document:
        line = self._source.span(root.start, root.end).line
        return Document(
            value=root.value,
            line=line,
            whole=self._whole,
            sound=len(self.diagnostics) == self._document_findings,
            _source=self._source,
            _root=root,
        )

    def _report_syntax(self, error: yaml.YAMLError) -> int:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = str(getattr(error, "problem", None) or "cannot be read as YAML")
        at = min(self._index(mark), len(self._source.text))
        hint = next((hint for part, hint in _HINTS if part in problem), "")
        self._report(Code.YAML_SYNTAX, at, at + 1, printable(problem), hint)
        return at

    def _take(self, event: yaml.Event) -> None:
        self.events += 1
        if self.events > self._limits.events:
            self._refuse_size(event, f"has more than {self._limits.events:,} keys and values", "split the file")
        if isinstance(event, yaml.ScalarEvent):
            self._add(self._scalar(event))
        elif isinstance(event, yaml.CollectionStartEvent):
            self._begin(event)
        elif isinstance(event, yaml.CollectionEndEvent):
            node = self._open.pop()
            self._keys.pop()
            node.end = self._index(event.end_mark)
            self._add(node)
        elif isinstance(event, yaml.AliasEvent):
            self._report_event(
                Code.UNSAFE_YAML, event, f"the alias {_name('*', event.anchor)} is not taken", _WRITE_OUT
            )
            self._whole = False
            self._add(Node(None, self._index(event.start_mark), self._index(event.end_mark), refused=True))
        elif isinstance(event, yaml.DocumentStartEvent):
            self._begin_document(event)

    def _begin_document(self, event: yaml.DocumentStartEvent) -> None:
        self._whole = True
        self._document_start = self._index(event.start_mark)
        self._document_findings = len(self.diagnostics)
        if event.tags:
            self._report_event(Code.UNSAFE_YAML, event, "%TAG directives are not taken")

    def _scalar(self, event: yaml.ScalarEvent) -> Node:
        self._judge_properties(event)
        start, end = self._index(event.start_mark), self._index(event.end_mark)
        if not event.implicit[0]:
            return Node(event.value, start, end)
        try:
            return Node(resolve(event.value), start, end)
        except LongNumberError as error:
            self._report(Code.OUT_OF_RANGE, start, end, f"{error} is more than any value here has")
            self._whole = False
            return Node(None, start, end, refused=True)

    def _begin(self, event: yaml.CollectionStartEvent) -> None:
        self._judge_properties(event)
        if len(self._open) >= self._limits.depth:
            self._refuse_size(event, f"is nested deeper than {self._limits.depth} levels")
        start = self._index(event.start_mark)
        if isinstance(event, yaml.MappingStartEvent):
            node = Node({}, start, start + 1, entries={})
        else:
            node = Node([], start, start + 1, items=[])
        self._open.append(node)
        self._keys.append(None)

    def _judge_properties(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.anchor is not None:
            self._report_event(
                Code.UNSAFE_YAML, event, f"the anchor {_name('&', event.anchor)} is not taken", _WRITE_OUT
            )
        if event.tag is not None:
            message = f"the tag {shown(event.tag)} is not taken"
            self._report_event(Code.UNSAFE_YAML, event, message, "a value has the type that it is written as")

    def _add(self, node: Node) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if parent.items is not None:
            self._append(parent, node)
            return
        key, self._keys[-1] = self._keys[-1], None
        if key is None:
            self._keys[-1] = node
        elif (name := self._key_text(key)) is not None:
            self._enter(parent, name, key, node)

    def _append(self, parent: Node, node: Node) -> None:
        # A refused item still takes its place: the positions of those after it must stay true.
        if parent.items is not None and isinstance(parent.value, list):
            parent.items.append(node)
            parent.value.append(node.value)

    def _enter(self, parent: Node, name: str, key: Node, node: Node) -> None:
        if parent.entries is None or not isinstance(parent.value, dict) or node.refused:
            return
        if name in parent.entries:
            first = parent.entries[name][0]
            line = self._source.span(first.start, first.end).line
            self._report(Code.DUPLICATE_KEY, key.start, key.end, f"{shown(name)} is given twice; first in line {line}")
            return
        parent.entries[name] = (key, node)
        parent.value[name] = node.value

    def _key_text(self, key: Node) -> str | None:
        value = key.value
        if key.refused:
            return None
        if isinstance(value, str):
            if value == "<<" and self._source.text[key.start] == "<":
                self._report(Code.UNSAFE_YAML, key.start, key.end, "merge keys ('<<') are not taken", _WRITE_OUT)
                self._whole = False
                return None
            return value
        if isinstance(value, list | dict):
            self._report(Code.UNSAFE_YAML, key.start, key.start + 1, "a key must be a string, not a list or mapping")
            self._whole = False
            return None
        text = self._source.text[key.start : key.end].strip() or "null"
        message = f"a key must be a string, not {shown(value)}"
        self._report(Code.UNSAFE_YAML, key.start, key.end, message, f'write "{text}"')
        return text

    def _refuse_size(self, event: yaml.Event, message: str, hint: str = "") -> None:
        self._report_event(Code.TOO_LARGE, event, message, hint)
        raise _Stop

    def _report_event(self, code: Code, event: yaml.Event, message: str, hint: str = "") -> None:
        start = self._index(event.start_mark)
        end = start + 1 if isinstance(event, yaml.CollectionStartEvent) else self._index(event.end_mark)
        self._report(code, start, end, message, hint)

    def _report(self, code: Code, start: int, end: int, message: str, hint: str = "") -> None:
        span = self._source.span(start, end)
        self.diagnostics.append(self._source.diagnostic(code, span, message, hint=hint))
        if len(self.diagnostics) >= self._limits.findings:
            raise _Stop

    def _index(self, mark: object) -> int:
        return self._base + int(getattr(mark, "index", 0))


def _name(sign: str, anchor: object) -> str:
    return shown(f"{sign}{anchor}")
