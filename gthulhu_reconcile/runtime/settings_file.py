"""Reading ``gthulhu.yaml``: guarded and judged like a policy, its paths taken from where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gthulhu_reconcile.loading.schema_check import check
from gthulhu_reconcile.loading.yamltree import Tree, parse
from gthulhu_reconcile.model.diagnostics import Code, Diagnostic, Severity, Span
from gthulhu_reconcile.runtime.settings_layers import Layer
from gthulhu_reconcile.runtime.settings_schema import settings_schema

MAX_FILE_BYTES = 1 << 20
_PATH_KEYS = ("policies", "pods", "agents", "secretFile")


def file_layer(path: Path | None) -> Layer:
    """What a settings file sets; nothing where ``path`` is None."""
    if path is None:
        return Layer()
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        return Layer(diagnostics=(_whole(path, Code.UNREADABLE, f"cannot be read: {error.strerror}"),))
    if len(data) > MAX_FILE_BYTES:
        return Layer(diagnostics=(_whole(path, Code.TOO_LARGE, f"is larger than {MAX_FILE_BYTES} bytes"),))
    tree, diagnostics = parse(data, str(path))
    return Layer(diagnostics=diagnostics) if tree is None else _judged(tree, diagnostics, path)


def _judged(tree: Tree, diagnostics: tuple[Diagnostic, ...], path: Path) -> Layer:
    documents = [document for document in tree.documents if document.value is not None]
    if not documents:
        return Layer(diagnostics=diagnostics)
    if len(documents) > 1:
        second = _whole(path, Code.NOT_ALLOWED, "has more than one document; settings are one", documents[1].line)
        diagnostics = (*diagnostics, second)
    document = documents[0]
    diagnostics = (*diagnostics, *check(document, settings_schema()))
    values = document.value if isinstance(document.value, dict) else {}
    return Layer(_rebased(values, path.parent), {}, diagnostics, document, tree.text)


def _rebased(values: Mapping[str, Any], base: Path) -> dict[str, Any]:
    rebased = dict(values)
    for name in _PATH_KEYS:
        value = rebased.get(name)
        if isinstance(value, str):
            rebased[name] = _from_base(name, value, base)
        elif isinstance(value, list):
            rebased[name] = [_from_base(name, entry, base) for entry in value]
    return rebased


def _from_base(name: str, value: object, base: Path) -> object:
    if not isinstance(value, str) or base == Path():
        return value
    not_a_path = value == "-" or (name == "pods" and value == "local") or "://" in value or value.startswith("unix:")
    return value if not_a_path else f"{base / value}{'/' if value.endswith('/') else ''}"


def _whole(path: Path, code: Code, message: str, line: int = 0) -> Diagnostic:
    column = 1 if line else 0
    return Diagnostic(code, Severity.ERROR, Span(str(path), line, column, column), message)
