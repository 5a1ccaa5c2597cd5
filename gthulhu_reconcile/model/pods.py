"""Observed pods and nodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from gthulhu_wire.intents import PodRef

NO_LABELS: Mapping[str, str] = MappingProxyType({})


class Phase(StrEnum):
    """``status.phase`` of a pod."""

    PENDING = "Pending"
    RUNNING = "Running"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    UNKNOWN = "Unknown"

    @property
    def finished(self) -> bool:
        """Whether the pod's containers will never run again."""
        return self in (Phase.SUCCEEDED, Phase.FAILED)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of a pod; ``id`` without its runtime prefix, empty until it has been created."""

    name: str
    id: str = ""


@dataclass(frozen=True, slots=True)
class Pod:
    """An observed pod; ``node`` is empty until it is scheduled."""

    ref: PodRef
    node: str = ""
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS, hash=False)
    phase: Phase = Phase.RUNNING
    containers: tuple[Container, ...] = ()


@dataclass(frozen=True, slots=True)
class Node:
    """An observed node, by the name that pods' ``spec.nodeName`` has."""

    name: str
    labels: Mapping[str, str] = field(default_factory=lambda: NO_LABELS, hash=False)
