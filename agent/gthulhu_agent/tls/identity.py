"""Whose certificate a caller showed: its names, once TLS has verified it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

_KINDS = ("URI", "DNS", "email", "IP Address")


def names(certificate: Mapping[str, Any] | None) -> tuple[str, ...]:
    """The names of a certificate as Python's ssl tells it: the alternative ones, or without any the common name.

    As RFC 6125 has it: a common name beside alternative names is for people to read.
    """
    if not certificate:
        return ()
    alternative = certificate.get("subjectAltName", ())
    found = tuple(value for kind in _KINDS for said, value in alternative if said == kind)
    if alternative:
        return found
    return tuple(value for part in certificate.get("subject", ()) for key, value in part if key == "commonName")


def identity(found: Sequence[str], clients: Sequence[str]) -> str | None:
    """The name that ``clients`` (globs) let in, or else the first; None where there is none."""
    return next((name for name in found if is_client(name, clients)), found[0] if found else None)


def is_client(name: str, clients: Sequence[str]) -> bool:
    """Whether one of ``clients`` (globs, by case) is ``name``."""
    return any(fnmatchcase(name, pattern) for pattern in clients)
