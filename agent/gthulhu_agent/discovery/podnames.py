"""Names of pods and containers, from the log directories that every kubelet keeps.

``/var/log/pods/<namespace>_<name>_<uid>/`` (kubelet's BuildPodLogsDirectory) and
``/var/log/containers/<pod>_<namespace>_<container>-<id>.log`` (its LogSymlink): neither a namespace nor a name can
hold "_". No API server is asked.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from gthulhu_agent.discovery.faults import Faults

_POD = re.compile(r"(?P<namespace>[a-z0-9.-]+)_(?P<name>[a-z0-9.-]+)_(?P<uid>[^/_]+)")
_CONTAINER = re.compile(r"[a-z0-9.-]+_[a-z0-9.-]+_(?P<name>[a-z0-9.-]+)-(?P<id>[0-9a-f]{64})\.log")


@dataclass(frozen=True, slots=True)
class PodNames:
    """What the log directories tell.

    Attributes:
        pods: uid to (namespace, name).
        containers: container id to container name.
    """

    pods: dict[str, tuple[str, str]] = field(default_factory=dict)
    containers: dict[str, str] = field(default_factory=dict)


def read_pod_names(pods: Path, containers: Path, faults: Faults) -> PodNames:
    """The names in those two directories; a directory that does not exist is a node without a kubelet."""
    found = [match for name in _listed(pods, faults) if (match := _POD.fullmatch(name))]
    logs = [match for name in _listed(containers, faults) if (match := _CONTAINER.fullmatch(name))]
    return PodNames(
        pods={match["uid"]: (match["namespace"], match["name"]) for match in found},
        containers={match["id"]: match["name"] for match in logs},
    )


def _listed(directory: Path, faults: Faults) -> list[str]:
    try:
        return os.listdir(directory)  # noqa: PTH208 - names are wanted, hundreds at each scan
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        faults.add(f"{directory}: {error.strerror}")
        return []
