"""What nodes' agents have stored: the side of the difference that is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_wire.intents import EMPTY_DIGEST, Intent


@dataclass(frozen=True, slots=True)
class Accepted:
    """The set that one agent holds. A fresh agent holds generation 0 of nobody.

    ``intents`` are in wire order and digest to ``digest``.
    """

    node: str
    owner: str = ""
    token: int = 0
    generation: int = 0
    digest: str = EMPTY_DIGEST
    intents: tuple[Intent, ...] = ()


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A node whose agent could not be asked. Nothing is planned for it: unknown is not empty."""

    node: str
    reason: str
