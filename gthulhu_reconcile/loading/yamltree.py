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

__all__ = ["DEFAULT_LIMITS", "Document", "Limits", "Reader", "Tree", "Value", "open_reader", "parse", "snippet"]

DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Tree:
    """The documents of one file."""

    path: str
    text: str
    documents: tuple[Document, ...]


def parse(data: bytes, path: str, *, limits: Limits = DEFAULT_LIMITS) -> tuple[Tree | None, tuple[Diagnostic, ...]]:
    """The whole file, or None where not all of it can be read; with every fault that YAML itself can have.

    A tree may come with errors all the same (a duplicate key, say): who reads it goes on to find the other mistakes,
    but must not act on it. Never raises for what is in ``data``.
    """
    reader = open_reader(data, path, limits=limits)
    if isinstance(reader, Diagnostic):
        return None, (reader,)
    documents = tuple(reader.documents())
    return (Tree(path, reader.text, documents) if reader.complete else None), tuple(reader.diagnostics)


def open_reader(data: bytes, path: str, *, limits: Limits = DEFAULT_LIMITS) -> Reader | Diagnostic:
    """The documents one by one, also those around one that is broken; or why the bytes are no text at all."""
    if len(data) > limits.file_bytes:
        message = f"is larger than {limits.file_bytes:,} bytes"
        return whole_file(path, Code.TOO_LARGE, message, hint="split it into several files")
    source = decode(data, path)
    return source if isinstance(source, Diagnostic) else Reader(source, limits)


def snippet(text: str, span: Span) -> tuple[tuple[int, str], ...]:
    """The lines around ``span`` as (number, text), cut to what a screen shows."""
    return Source(span.path, text).snippet(span)
