"""What nodes' agents have stored: the side of the difference that is compared with."""

from __future__ import annotations

from dataclasses import dataclass

from gthulhu_wire.intents import EMPTY_DIGEST, Intent

DAMAGED = "0" * 64
"""Stands for the digest of a set that its agent could not read back from disk; no wanted set has it."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The set that one agent holds. A fresh agent holds generation 0 of nobody.

    ``intents`` are in wire order and digest to ``digest``. Where that is :data:`DAMAGED` they are those of an older
    copy, or none: the node has to be sent its set again, also where they are the wanted ones.
    """

    node: str
    owner: str = ""
    token: int = 0
    generation: int = 0
    digest: str = EMPTY_DIGEST
    intents: tuple[Intent, ...] = ()

    @property
    def damaged(self) -> bool:
        """Whether the agent lost the newest set that it had stored."""
        return self.digest == DAMAGED


@dataclass(frozen=True, slots=True)
class Unreachable:
    """A node whose agent could not be asked. Nothing is planned for it: unknown is not empty."""

    node: str
    reason: str
