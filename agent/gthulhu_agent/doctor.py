"""What this kernel and this process can do, each by trying or by looking, with the cure where it cannot."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gthulhu_agent.discovery.layout import Layout, LayoutError, find_layout
from gthulhu_agent.enforcing import sched_attr
from gthulhu_agent.errors import AgentError, BpfError

if TYPE_CHECKING:
    from gthulhu_agent.bpf.libbpf import Libbpf

_CAPABILITIES = {
    "CAP_SYS_NICE": (23, "eevdf", "slice and nice of other users' threads"),
    "CAP_BPF": (39, "sched_ext", "loading a scheduler"),
    "CAP_PERFMON": (38, "sched_ext", "reading kernel memory from BPF"),
}
_WORDS = 3
"""Lines of libbpf, its last, that are shown: the verifier says hundreds."""
_SCHED_EXT_KERNEL = "Linux 6.12 or newer with CONFIG_SCHED_CLASS_EXT=y"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: as in "custom-slice"; stable.
        ok: whether it is as ``needed_for`` needs it.
        why: what was found.
        cure: what to do where it is not ok.
        needed_for: the enforcer that needs it, or "events", which an agent can do without; empty where it is needed
            for seeing the node at all.
    """

    name: str
    ok: bool
    why: str
    cure: str = ""
    needed_for: str = ""


def examine(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> tuple[Check, ...]:
    """Look at this host. A cgroup is made and removed to see whether weights can be written; nothing else is touched.

    Args:
        proc: the host's /proc.
        sys: the host's /sys.
    """
    return (
        Check("kernel", ok=True, why=f"{platform.system()} {platform.release()} {platform.machine()}"),
        _pid_namespace(proc),
        *_cgroups(proc),
        *_threads(),
        *_capabilities(proc),
        _btf(sys),
        _sched_ext(sys),
        *_events(proc),
    )


def _pid_namespace(proc: Path) -> Check:
    levels = _status(proc).get("NSpid", "").split()
    if len(levels) > 1:
        return Check(
            "pid-namespace",
            ok=False,
            why=f"this process is {levels[-1]} in a namespace {len(levels) - 1} below the host's",
            cure="run it in the host's: hostPID: true, or --pid=host",
        )
    return Check("pid-namespace", ok=True, why="the host's, as far as can be seen")


def _cgroups(proc: Path) -> Iterator[Check]:
    try:
        layout = find_layout(proc)
    except LayoutError as error:
        yield Check("cgroups", ok=False, why=str(error), cure="mount cgroup2 on /sys/fs/cgroup")
        return
    where = f"{layout.kind.value}; {layout.root} is v{layout.version}"
    if layout.whole:
        yield Check("cgroups", ok=True, why=where)
    else:
        yield Check(
            "cgroups",
            ok=False,
            why=f"{where}, and shows only {layout.prefix}",
            cure="mount the host's /sys/fs/cgroup, or use the host's cgroup namespace",
        )
    if layout.has_cpu:
        yield _weight(layout)
    else:
        yield Check(
            "weight",
            ok=False,
            why="no hierarchy has the cpu controller",
            cure="boot without cgroup_disable=cpu",
            needed_for="eevdf",
        )


def _weight(layout: Layout) -> Check:
    """Make a cgroup, write its weight, read it back, remove it."""
    file, value = ("cpu.shares", "1025") if layout.version == 1 else ("cpu.weight", "101")
    probe = layout.root / f"gthulhu-doctor-{os.getpid()}"
    try:
        probe.mkdir()
        try:
            # Opened as it is: to create a file is answered with EACCES here, which would hide that it is missing.
            with (probe / file).open("r+") as weight:
                weight.write(value)
            taken = (probe / file).read_text().strip() == value
        finally:
            with contextlib.suppress(OSError):
                probe.rmdir()
    except FileNotFoundError:
        why = f"{layout.root} does not give its cpu controller to the cgroups below"
        cure = f"echo +cpu > {layout.root}/cgroup.subtree_control"
    except OSError as error:
        why = f"{file} below {layout.root}: {error.strerror}"
        cure = "run as root, with the host's cgroup file system mounted read-write; slices work without"
    else:
        if taken:
            return Check("weight", ok=True, why=f"{file} is taken and read back", needed_for="eevdf")
        why, cure = f"{file} reads back another value than was written", "see who else sets it"
    return Check("weight", ok=False, why=why, cure=cure, needed_for="eevdf")


def _threads() -> Iterator[Check]:
    try:
        ability = sched_attr.ability()
    except OSError as error:
        cure = "use a known architecture, and no seccomp filter on sched_setattr"
        yield Check("custom-slice", ok=False, why=f"sched_setattr: {error.strerror}", cure=cure, needed_for="eevdf")
        return
    if ability.custom_slice:
        why = f"kept by the kernel; without one a thread has {ability.default_slice_ns / 1e6:g} ms"
        yield Check("custom-slice", ok=True, why=why, needed_for="eevdf")
    else:
        yield Check(
            "custom-slice",
            ok=False,
            why="this kernel keeps no slice per thread; weight and nice are what remains",
            cure="Linux 6.12 or newer",
            needed_for="eevdf",
        )
    if ability.nice_back:
        yield Check("nice", ok=True, why="can be lowered as well as raised", needed_for="eevdf")
    else:
        yield Check(
            "nice",
            ok=False,
            why="can be raised and not be put back, so it is left alone",
            cure="give the agent CAP_SYS_NICE, or raise RLIMIT_NICE",
            needed_for="eevdf",
        )


def _capabilities(proc: Path) -> Iterator[Check]:
    held = int(_status(proc).get("CapEff", "0"), 16)
    for name, (bit, enforcer, purpose) in _CAPABILITIES.items():
        if held >> bit & 1:
            yield Check(name, ok=True, why=f"held, for {purpose}", needed_for=enforcer)
        else:
            cure = f"AmbientCapabilities={name} in the unit, or securityContext.capabilities.add"
            yield Check(name, ok=False, why=f"not held; it is for {purpose}", cure=cure, needed_for=enforcer)


def _btf(sys: Path) -> Check:
    btf = sys / "kernel/btf/vmlinux"
    if btf.exists():
        return Check("btf", ok=True, why=f"{btf} is there", needed_for="sched_ext")
    cure = "a kernel with CONFIG_DEBUG_INFO_BTF=y"
    return Check("btf", ok=False, why=f"{btf} is not there", cure=cure, needed_for="sched_ext")


def _sched_ext(sys: Path) -> Check:
    folder = sys / "kernel/sched_ext"
    state = _text(folder / "state")
    if not state:
        why = "this kernel has no sched_ext; the agent uses eevdf"
        return Check("sched_ext", ok=False, why=why, cure=_SCHED_EXT_KERNEL, needed_for="sched_ext")
    ops = _text(folder / "root/ops")
    return Check("sched_ext", ok=True, why=f"{state}{f' by {ops}' if ops else ''}", needed_for="sched_ext")


def _events(proc: Path) -> Iterator[Check]:
    """Hear of new threads in each way for a moment: nothing less tells whether a kernel lets this process."""
    from gthulhu_agent.bpf.libbpf import Libbpf  # noqa: PLC0415 - serve imports this module, and may do without
    from gthulhu_agent.discovery.events.choose import open_way  # noqa: PLC0415 - as above

    library = None
    try:
        library = Libbpf()
    except AgentError as error:
        yield _no_events("libbpf", error)
    else:
        version = ".".join(map(str, library.version))
        yield Check("libbpf", ok=True, why=f"{version} is there", needed_for="events")
    yield _bpf_object(library)
    try:
        layout = find_layout(proc)
    except LayoutError:
        return  # said under cgroups
    for way, told in (("bpf", "watched cgroups alone"), ("connector", "every exec and rename of the host")):
        try:
            open_way(way, layout).close()
        except AgentError as error:
            yield _no_events(f"events-{way}", error)
        else:
            yield Check(f"events-{way}", ok=True, why=f"tells of {told}", needed_for="events")


def _bpf_object(library: Libbpf | None) -> Check:
    """Open it: one that was cut off is there too."""
    from gthulhu_agent.bpf.object import BUILD, BpfObject, object_file  # noqa: PLC0415 - as in _events

    built = object_file("tracer")
    try:
        size = built.stat().st_size
        if library is not None:
            BpfObject(library, "tracer").close()
    except AgentError as error:
        return _no_events("bpf-object", error)
    except OSError as error:
        why = f"{built}: {error.strerror}"
        return Check("bpf-object", ok=False, why=why, cure=BUILD, needed_for="events")
    return Check("bpf-object", ok=True, why=f"{built.name}, {size:,} bytes", needed_for="events")


def _no_events(name: str, error: AgentError) -> Check:
    said = "; ".join(error.log[-_WORDS:]) if isinstance(error, BpfError) else ""
    return Check(name, ok=False, why=f"{error}{f' ({said})' if said else ''}", cure=error.cure, needed_for="events")


def _status(proc: Path) -> dict[str, str]:
    lines = (line.partition(":") for line in _text(proc / "self/status").splitlines())
    return {name: value.strip() for name, _, value in lines}


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""
