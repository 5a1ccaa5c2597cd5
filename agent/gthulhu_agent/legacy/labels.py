"""Which labels the pods of this node have, as far as anybody has told. Unknown labels are unknown, never empty.

The API server knows best, the operator's pod file second; what clients said with their intents comes last, because
nobody tells them of a change. A pod's labels are taken whole from the best of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gthulhu_agent.discovery.snapshot import DiscoveredPod
from gthulhu_agent.legacy.received import Labels, ReceivedIntent
from gthulhu_wire.intents import PodRef


@dataclass(frozen=True, slots=True)
class Labelled:
    """A pod and its labels, sorted by key."""

    pod: PodRef
    labels: Labels


def of_intents(intents: Iterable[ReceivedIntent]) -> dict[str, Labelled]:
    """By uid, what clients said of pods; the last one that said any labels holds."""
    return {
        said.pod_id: Labelled(PodRef(said.namespace, said.pod_name, said.pod_id), said.labels)
        for said in intents
        if said.pod_id and said.labels
    }


def of_pods(pods: Iterable[DiscoveredPod]) -> dict[str, Labelled]:
    """By uid, what the local pod file says; discovery has labels from nowhere else."""
    return {pod.uid: Labelled(PodRef(pod.namespace, pod.name, pod.uid), pod.labels) for pod in pods if pod.labels}


def merged(*sources: Mapping[str, Labelled]) -> dict[str, Labelled]:
    """All of ``sources``, the best first."""
    found: dict[str, Labelled] = {}
    for source in reversed(sources):
        found |= source
    return found
