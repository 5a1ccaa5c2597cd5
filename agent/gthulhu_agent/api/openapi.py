"""The API, described for machines: docs/agent-openapi.json is what :func:`document` gives."""

from __future__ import annotations


def document() -> dict[str, object]:
    """OpenAPI 3.1."""
    return {}
