"""YAML with positions, safe against hostile input: policies, settings, pod files and inventories all come in here.

libyaml's parser is read as a stream of events. Every event passes the guard before anything is built from it, which
matters: libyaml's own composer recurses on the C stack and ends the process at some thousand nested brackets, and
PyYAML's constructors expand aliases. Anchors, aliases, tags and merge keys are refused as such; so are duplicate
keys, of which PyYAML silently keeps the last.
"""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_reconcile.loading.document import Document, Value
from gthulhu_reconcile.loading.source import Source, decode, whole_file
from gthulhu_reconcile.loading.yamlreader import Limits, Reader
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Span

__all__ = ["DEFAULT_LIMITS", "Document", "Limits", "Parsed", "Tree", "Value", "parse", "parse_partly", "snippet"]

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Tree:
    """The documents of one file."""

    path: str
    text: str
    documents: tuple[Document, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """What could be read of a file, and what is wrong with it.

    ``complete`` is False where a part of the file is not among ``documents``; nothing may be concluded from its
    absence.
    """

    documents: tuple[Document, ...]
    diagnostics: tuple[Diagnostic, ...]
    complete: bool
    source: Source


def parse(data: bytes, path: str, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Tree | None, tuple[Diagnostic, ...]]:
    """The whole file, or None where not all of it can be read; with every fault that YAML itself can have.

    A tree may come with errors all the same (a duplicate key, say): who reads it goes on to find the other mistakes,
    but must not act on it. Never raises for what is in ``data``.
    """
    parsed = parse_partly(data, path, limits=limits)
    tree = Tree(path, parsed.source.text, parsed.documents) if parsed.complete else None
    return tree, parsed.diagnostics


def parse_partly(data: bytes, path: str, *, limits: Limits = DEFAULT_LIMITS) -> Parsed:
    """As :func:`parse`, with the documents before and after one that is broken, for reporting all mistakes at once."""
    if len(data) > limits.file_bytes:
        message = f"is larger than {limits.file_bytes:,} bytes"
        problem = whole_file(path, Code.TOO_LARGE, message, hint="split it into several files")
        return Parsed((), (problem,), complete=False, source=Source(path, ""))
    source = decode(data, path)
    if isinstance(source, Diagnostic):
        return Parsed((), (source,), complete=False, source=Source(path, ""))
    reader = Reader(source, limits)
    reader.run()
    return Parsed(tuple(reader.documents), tuple(reader.diagnostics), reader.complete, source)


def snippet(text: str, span: Span) -> tuple[tuple[int, str], ...]:
    """The lines around ``span`` as (number, text), cut to what a screen shows."""
    return Source(span.path, text).snippet(span)
