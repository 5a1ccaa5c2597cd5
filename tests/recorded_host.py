"""A host made of files: /proc and the cgroup hierarchies, built from a recording or by a test, and changed by it.

A recording (``tests/discovery/trees/*.txt``) has the mountinfo lines of such a node, then one block for each process:
``pid ppid start comm`` (2 is kthreadd), below it the lines of its ``/proc/<pid>/cgroup`` and, after ``=>``, what it is.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gthulhu_agent.discovery.scan import Discovery
from gthulhu_agent.discovery.snapshot import Group, Process, Snapshot

TREES = Path(__file__).parent / "discovery" / "trees"
V2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_CPU = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid - cgroup cgroup rw,cpu,cpuacct"
V1_MEMORY = "34 31 0:31 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"
V1_SYSTEMD = "35 31 0:32 / /sys/fs/cgroup/systemd rw,nosuid - cgroup cgroup rw,xattr,name=systemd"
HYBRID = "36 31 0:33 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
_KTHREAD = 0x00200000


@dataclass(frozen=True)
class Fake:
    """One process as the files tell it."""

    pid: int
    comm: str
    cgroups: tuple[str, ...]
    ppid: int = 1
    start: int = 1000
    argv0: str | None = None
    threads: Mapping[int, tuple[str, int]] = field(default_factory=dict)
    kernel: bool = False
    state: str = "S"
    image: int = 0x5600


@dataclass
class FakeMount:
    """One hierarchy: its directory under the test's folder, and which line of /proc/<pid>/cgroup is its own."""

    root: Path
    version: int
    controllers: frozenset[str]
    prefix: str

    def path_in(self, lines: tuple[str, ...]) -> str | None:
        """The process's path in this hierarchy, below the mount."""
        for line in lines:
            _, names, path = line.split(":", 2)
            if (self.version == 2 and not names) or (names and set(names.split(",")) & self.controllers):
                return path.removeprefix(self.prefix.rstrip("/")) or "/"
        return None


class FakeHost:
    """Files that a :class:`Discovery` reads as a host's."""

    def __init__(self, folder: Path, *mountinfo: str, whole: bool = True) -> None:
        self.folder = folder
        self.proc = folder / "proc"
        self.mounts: list[FakeMount] = []
        self.processes: dict[int, Fake] = {}
        (self.proc / "self").mkdir(parents=True)
        lines = [self._mount(line, whole=whole) for line in mountinfo]
        (self.proc / "self" / "mountinfo").write_text("\n".join(["22 27 0:21 / /proc rw - proc proc rw", *lines, ""]))

    def _mount(self, line: str, *, whole: bool) -> str:
        left, _, right = line.partition(" - ")
        fields = left.split(" ")
        root = self.folder / fields[4].lstrip("/")
        root.mkdir(parents=True)
        version = 2 if right.startswith("cgroup2") else 1
        controllers = frozenset(right.split(" ")[2].split(",")) - {"rw"}
        self.mounts.append(FakeMount(root, version, controllers, fields[3]))
        if version == 2:
            beside_v1 = any(mount.version == 1 for mount in self.mounts)
            (root / "cgroup.controllers").write_text("" if beside_v1 else "cpuset cpu io memory pids\n")
            if not whole:
                (root / "cgroup.type").write_text("domain\n")
        elif whole:
            (root / "cgroup.sane_behavior").write_text("0\n")
        (root / "cgroup.procs").write_text("")
        fields[4] = str(root).replace(" ", "\\040")
        return f"{' '.join(fields)} - {right}"

    def add(self, process: Fake) -> None:
        """Add or replace a process; its cgroups are made."""
        if process.pid in self.processes:
            self.remove(process.pid)
        self.processes[process.pid] = process
        self._write(process)
        for mount in self.mounts:
            path = mount.path_in(process.cgroups)
            if path is not None:
                self.cgroup(mount, path)
                procs = mount.root / path.lstrip("/") / "cgroup.procs"
                procs.write_text(procs.read_text() + f"{process.pid}\n")

    def run(self, pid: int, comm: str, cgroup: str = "/", **more: object) -> None:
        """Add a process to ``cgroup`` of every hierarchy."""
        lines = tuple(
            f"{0 if mount.version == 2 else number}:{'' if mount.version == 2 else ','.join(sorted(mount.controllers))}"
            f":{mount.prefix.rstrip('/')}{cgroup}"
            for number, mount in enumerate(self.mounts, 1)
        )
        self.add(replace(Fake(pid, comm, lines), **more))  # type: ignore[arg-type] # the fields of Fake, by name

    def change(self, pid: int, **more: object) -> None:
        """Change what the files say of a process, its cgroups left as they are."""
        process = replace(self.processes[pid], **more)  # type: ignore[arg-type] # the fields of Fake, by name
        self.processes[pid] = process
        self._write(process)

    def remove(self, pid: int) -> None:
        """The process ends."""
        process = self.processes.pop(pid)
        shutil.rmtree(self.proc / str(pid))
        for mount in self.mounts:
            if (path := mount.path_in(process.cgroups)) is not None:
                procs = mount.root / path.lstrip("/") / "cgroup.procs"
                procs.write_text("".join(f"{line}\n" for line in procs.read_text().split() if line != str(pid)))

    def move(self, pid: int, cgroup: str) -> None:
        """The process moves to another cgroup."""
        process = self.processes[pid]
        self.remove(pid)
        self.run(pid, process.comm, cgroup, **{k: getattr(process, k) for k in _KEPT})

    def cgroup(self, mount: FakeMount, path: str) -> Path:
        """Make a cgroup and those above it, with the kernel's files."""
        made = mount.root
        for part in path.strip("/").split("/"):
            made = made / part
            if part and not made.exists():
                made.mkdir()
                (made / "cgroup.procs").write_text("")
                if mount.version == 2:
                    (made / "cgroup.type").write_text("domain\n")
        return made

    def discovery(self, **more: Path) -> Discovery:
        """A discovery that reads these files only."""
        return Discovery(proc=self.proc, **{"log_pods": self.folder / "var/log/pods", **more})

    def _write(self, process: Fake) -> None:
        folder = self.proc / str(process.pid)
        if folder.exists():
            shutil.rmtree(folder)
        threads = {process.pid: (process.comm, process.start), **process.threads}
        for tid, (name, start) in threads.items():
            (folder / "task" / str(tid)).mkdir(parents=True)
            (folder / "task" / str(tid) / "stat").write_bytes(stat_line(process, tid, name, start, len(threads)))
        (folder / "stat").write_bytes(stat_line(process, process.pid, process.comm, process.start, len(threads)))
        argv0 = process.comm if process.argv0 is None else process.argv0
        (folder / "cmdline").write_bytes(b"" if process.kernel else argv0.encode() + b"\0--flag\0")
        (folder / "cgroup").write_text("".join(f"{line}\n" for line in process.cgroups))
        (folder / "status").write_text(f"Name:\t{process.comm}\nTgid:\t{process.pid}\n")


_KEPT = ("ppid", "start", "argv0", "threads", "kernel", "state", "image")


def stat_line(process: Fake, tid: int, name: str, start: int, threads: int) -> bytes:
    """A line of /proc/<pid>/stat with all 52 fields, comm as it is, whatever it holds."""
    fields = ["0"] * 50
    fields[0], fields[1] = process.state, str(process.ppid)
    fields[6] = str(_KTHREAD if process.kernel else 0x400000)
    fields[17], fields[19] = str(threads), str(start)
    fields[23], fields[25] = ("0", "0") if process.kernel else (str(process.image), str(process.image + 77))
    return b"%d (%s) %s\n" % (tid, name.encode(), " ".join(fields).encode())


@dataclass(frozen=True)
class Recording:
    """A recorded node and what each of its processes is."""

    host: FakeHost
    expected: Mapping[int, str]


def recorded(name: str, folder: Path) -> Recording:
    """Build the recording ``name`` under ``folder``."""
    mounts: list[str] = []
    whole = True
    blocks: list[tuple[str, list[str]]] = []
    for raw in (TREES / f"{name}.txt").read_text().splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if " - cgroup" in line:
            mounts.append(line)
        elif line == "not whole":
            whole = False
        elif raw.startswith(" "):
            blocks[-1][1].append(line)
        else:
            blocks.append((line, []))
    host = FakeHost(folder, *mounts, whole=whole)
    expected: dict[int, str] = {}
    for head, body in blocks:
        if head.startswith("log "):
            (folder / head[4:].strip().lstrip("/")).mkdir(parents=True)
            continue
        pid, ppid, start, comm = head.split(" ", 3)
        threads = [line.split(" ", 3)[1:] for line in body if line.startswith("thread ")]
        host.add(
            Fake(
                pid=int(pid),
                comm=comm,
                cgroups=tuple(line for line in body if not line.startswith(("=>", "thread "))),
                ppid=int(ppid),
                start=int(start),
                threads={int(tid): (label, int(began)) for tid, began, label in threads},
                kernel="2" in {pid, ppid},
            )
        )
        expected[int(pid)] = next(line[2:].strip() for line in body if line.startswith("=>"))
    return Recording(host, expected)


def group_of(snapshot: Snapshot, pid: int) -> Group | None:
    """The one group that holds ``pid``."""
    found = [group for group in snapshot.groups if any(process.id.tid == pid for process in group.processes)]
    assert len(found) <= 1, f"{pid} is in {len(found)} groups"
    return found[0] if found else None


def process_of(snapshot: Snapshot, pid: int) -> Process:
    """The process ``pid``, which must be there once."""
    (found,) = [process for process in snapshot.processes() if process.id.tid == pid]
    return found


def described(group: Group | None) -> str:
    """A group in the words of a recording."""
    if group is None:
        return "nothing"
    words = [group.kind.value]
    words += [f"pod={group.pod_uid}"] if group.pod_uid else []
    words += [f"id={group.container_id[:4]}"] if group.container_id else []
    words += [f"unit={group.unit}"] if group.unit else []
    words += [f"in={group.pod_cgroup}"] if group.pod_cgroup else []
    return " ".join([*words, f"at={group.cgroup}"])
