"""The whole path on this machine: policy, plan, push, a kernel that schedules differently, and the proof of it."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from demo.agent import DemoAgent
from demo.measuring import Measured, measure
from demo.pods import (
    ROOT_NAME,
    DemoPod,
    cpu_hierarchy,
    declared_pods,
    make_kubepods,
    pod_snapshot,
    remove_kubepods,
)
from demo.report import heading, note, progress, show_table

CHECKOUT = Path(__file__).resolve().parent.parent
WORK = CHECKOUT / ".demo"
POLICIES = "demo/policies"
PERIOD_US, WORK_US, BATCH_PODS = 5000, 1500, 4
SECONDS = float(os.environ.get("DEMO_SECONDS", "8"))


def main() -> int:
    """Run the demo; 0 when the kernel schedules as the policy says."""
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # a pipe must show the steps in order
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    WORK.mkdir(exist_ok=True)
    node = socket.gethostname()
    cpu = max(os.sched_getaffinity(0))  # one CPU, so that the contention is the same on every machine
    with contextlib.ExitStack() as cleanup:
        burstable = _sandbox(cleanup)
        heading("Pods that compete", f"for CPU {cpu} of {node}")
        pods = list(_start_pods(cleanup, burstable, cpu))
        upf, upf_pid = pods[0], pods[0].processes[0].pid
        rivals = [process.pid for pod in pods[1:] for process in pod.processes]
        (WORK / "pods.yaml").write_text(pod_snapshot(pods, node))
        (WORK / "declared.json").write_text(declared_pods(pods))
        note(f"{upf.namespace}/{upf.name}: wakes every {PERIOD_US / 1000:g} ms to work {WORK_US / 1000:g} ms")
        note(f"{len(rivals)} batch pods: a process each that never sleeps")

        agent = DemoAgent(WORK, node, None if burstable else WORK / "declared.json")
        cleanup.callback(agent.stop)
        agent.start()
        plan = WORK / "plan.json"
        sources = ["--pods", str(WORK / "pods.yaml") if burstable else "local", "--agents", agent.url]

        heading("Before", f"{SECONDS:g} s under the kernel's own rules")
        before = _measure(upf, upf_pid, rivals)

        heading("The policy")
        _show(["validate", POLICIES])
        heading("The plan")
        _show(["plan", "--out", str(plan), "--policies", POLICIES, *sources])
        heading("Applied")
        _show(["apply", str(plan), "--yes", *sources[2:]])
        gaps = agent.wait_until_enforced(upf.uid)

        heading("After", f"{SECONDS:g} s under the policy")
        after = _measure(upf, upf_pid, rivals)
        heading("What changed in the kernel", f"for {upf.namespace}/{upf.name}")
        show_table(before, after)
        for gap in gaps:
            note(f"not shown: {gap}")
    note("everything was put back")
    return 0 if after.slice_ms != before.slice_ms or after.weight != before.weight else 1


def _sandbox(cleanup: contextlib.ExitStack) -> Path | None:
    mount = cpu_hierarchy()
    if mount is None:
        note("cgroups may not be made here (root may): the pods are declared to the agent by a local pod file, and")
        note("no weight can be shown, since weights belong to cgroups")
        return None
    remove_kubepods(mount)
    cleanup.callback(remove_kubepods, mount)
    note(f"cgroups below {mount / ROOT_NAME}, made as the kubelet makes them")
    return make_kubepods(mount)


def _start_pods(cleanup: contextlib.ExitStack, burstable: Path | None, cpu: int) -> Iterator[DemoPod]:
    upf = DemoPod("free5gc", "upf-0", {"nf": "upf", "app": "free5gc"}, "upf", burstable)
    cleanup.callback(upf.stop)
    upf.start("periodic", "upf", cpu, PERIOD_US, WORK_US, WORK / "upf.log")
    yield upf
    for number in range(BATCH_PODS):
        job = ("training", "etl")[number % 2]
        batch = DemoPod("batch", f"{job}-{number // 2}", {"job-type": job}, "worker", burstable)
        cleanup.callback(batch.stop)
        batch.start("hog", job, cpu)
        yield batch


def _measure(upf: DemoPod, pid: int, rivals: Sequence[int]) -> Measured:
    weighed = None if upf.container_cgroup is None else upf.container_cgroup.parent
    with progress("measuring") as tick:
        found = measure(pid, rivals, log=WORK / "upf.log", cgroup=weighed, seconds=SECONDS, tick=tick)
    note(f"CPU share {found.share:.0%}, late by p50 {found.p50:.2f} ms and p99 {found.p99:.2f} ms")
    return found


def _show(arguments: Sequence[str]) -> None:
    program = CHECKOUT / ".venv/bin/gthulhu-reconcile"
    colour = ["--color", "always"] if sys.stdout.isatty() or os.environ.get("DEMO_COLOR") else []
    shown = " ".join(shlex.quote(word.replace(f"{CHECKOUT}/", "")) for word in arguments)
    print(f"$ gthulhu-reconcile {shown}", flush=True)
    done = subprocess.run([program, *arguments, *colour], cwd=CHECKOUT, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise SystemExit(f"demo: gthulhu-reconcile {arguments[0]} ended with {done.returncode}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        note("stopped; everything was put back")
        sys.exit(130)
