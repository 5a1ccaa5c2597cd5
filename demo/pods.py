"""Processes that stand for pods: in cgroups as the kubelet makes them where that is allowed, else declared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

WORKLOAD = Path(__file__).with_name("workload.py")
ROOT_NAME = "gthulhu-demo"


@dataclass(frozen=True)
class DemoPod:
    """One pod of the demo: a uid, one container, its processes."""

    namespace: str
    name: str
    labels: dict[str, str]
    container: str
    cgroup: Path | None
    uid: str = field(default_factory=lambda: str(uuid.uuid4()))
    container_id: str = field(default_factory=lambda: uuid.uuid4().hex * 2)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def container_cgroup(self) -> Path | None:
        """Where the container's processes belong; None where cgroups may not be made."""
        return None if self.cgroup is None else self.cgroup / f"pod{self.uid}" / self.container_id

    def start(self, role: str, comm: str, cpu: int, *rest: object) -> None:
        """Start one process and wait until it stands where it belongs."""
        procs = ""
        if self.container_cgroup is not None:
            self.container_cgroup.mkdir(parents=True, exist_ok=True)
            procs = str(self.container_cgroup / "cgroup.procs")
        command = [sys.executable, "-S", str(WORKLOAD), role, comm, str(cpu), procs, *map(str, rest)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
        self.processes.append(process)
        if process.stdout is None or process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"the demo's {comm} process did not start")

    def stop(self) -> None:
        """Kill the processes and take the cgroups away."""
        for process in self.processes:
            process.kill()
            process.wait()
        if self.container_cgroup is not None:
            for folder in (self.container_cgroup, self.container_cgroup.parent):
                _remove_cgroup(folder)


def cpu_hierarchy() -> Path | None:
    """Mount of the hierarchy with the cpu controller, if a cgroup may be made there."""
    for mount in (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")):
        is_v1 = (mount / "cpu.shares").exists()
        controllers = mount / "cgroup.controllers"
        is_v2 = controllers.exists() and "cpu" in controllers.read_text().split()
        if (is_v1 or is_v2) and os.access(mount, os.W_OK):
            return mount
    return None


def make_kubepods(mount: Path) -> Path:
    """``<mount>/gthulhu-demo/kubepods/burstable`` with the cpu controller on, apart from a real kubelet's tree."""
    folder = mount
    for part in (ROOT_NAME, "kubepods", "burstable"):
        _enable_cpu(folder)
        folder = folder / part
        folder.mkdir(exist_ok=True)
    _enable_cpu(folder)
    return folder


def remove_kubepods(mount: Path) -> None:
    """Take the demo's tree away, deepest first."""
    root = mount / ROOT_NAME
    for folder in sorted(root.rglob("*"), key=lambda path: len(path.parts), reverse=True):
        if folder.is_dir():
            _remove_cgroup(folder)
    _remove_cgroup(root)


def _enable_cpu(folder: Path) -> None:
    control = folder / "cgroup.subtree_control"
    if control.exists() and "cpu" not in control.read_text().split():
        control.write_text("+cpu")


def _remove_cgroup(folder: Path) -> None:
    for _ in range(50):
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)  # EBUSY until the kernel has reaped the last task
        else:
            return


def pod_snapshot(pods: Sequence[DemoPod], node: str) -> str:
    """The pods as the control plane's ``--pods`` file; JSON is YAML."""
    rows = [
        {
            "namespace": pod.namespace,
            "name": pod.name,
            "uid": pod.uid,
            "node": node,
            "phase": "Running",
            "labels": pod.labels,
            "containers": [{"name": pod.container, "id": pod.container_id}],
        }
        for pod in pods
    ]
    return json.dumps({"pods": rows, "nodes": [{"name": node, "labels": {}}]}, indent=2)


def declared_pods(pods: Sequence[DemoPod]) -> str:
    """The agent's local pod file: which processes are which pod, where no cgroup says so."""
    rows = [
        {
            "uid": pod.uid,
            "namespace": pod.namespace,
            "name": pod.name,
            "labels": pod.labels,
            "containers": [
                {"name": pod.container, "id": pod.container_id, "pids": [process.pid for process in pod.processes]}
            ],
        }
        for pod in pods
    ]
    return json.dumps({"pods": rows}, indent=2)
