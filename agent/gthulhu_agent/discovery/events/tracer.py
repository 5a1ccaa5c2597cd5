"""Hearing by the BPF programs of ``bpf/tracer.bpf.c``: of watched cgroups alone, with the cgroup of every thread."""

from __future__ import annotations

import select
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Final

from gthulhu_agent.bpf.libbpf import Libbpf
from gthulhu_agent.bpf.maps import PerCpuCounters, RingBuffer
from gthulhu_agent.bpf.object import BpfObject
from gthulhu_agent.discovery.events.alarm import Alarm
from gthulhu_agent.discovery.events.event import Batch, Event, Kind, Tally, Watch
from gthulhu_agent.discovery.layout import Layout
from gthulhu_agent.errors import BpfError

RECORD: Final = struct.Struct("=IIIIQQ")
"""``struct tracer_event``."""
WATCH: Final = struct.Struct("=IIIIQQQ")
"""``struct tracer_watch``."""
_KEY: Final = struct.Struct("=Q")
_INITIAL_PID_NAMESPACE: Final = 0xEFFFFFFC
"""PROC_PID_INIT_INO of the kernel, the same on every machine."""
_MOST: Final = 4096
"""Records of one read: some milliseconds of work."""
_BIRTHS: Final = frozenset({Kind.FORK, Kind.EXIT, Kind.BUSY})
"""Of these only the first in a window wakes anybody."""


class Counted(IntEnum):
    """Indices of the programs' counters, ``enum tracer_counter``."""

    LOST = 0
    HELD_BACK = 1


@dataclass(frozen=True, slots=True)
class Budget:
    """What is told one by one of a watched cgroup, in every ``window`` seconds.

    Attributes:
        events: then it is told as crowded; but for
        births: forks and exits, then it is told as busy.
        window: seconds.
    """

    events: int = 64
    births: int = 16
    window: float = 0.05


class Tracer:
    """Implements :class:`~gthulhu_agent.discovery.events.event.Events`."""

    name = "bpf"
    precise = True

    def __init__(
        self,
        layout: Layout,
        *,
        budget: Budget = Budget(),
        clock: Callable[[], float] = time.monotonic,
        proc: Path = Path("/proc"),
    ) -> None:
        """Load the programs and begin to hear; no cgroup is watched yet.

        Args:
            layout: the hierarchy whose cgroups are meant.
            budget: for each watched cgroup.
            clock: seconds, for the end of a crowded window.
            proc: the host's /proc, which says what number the hierarchy has.

        Raises:
            BpfError: this kernel, this process or this installation cannot; the text says which.
        """
        number = hierarchy_id(layout, proc)
        _require_ids_of_the_host(proc)
        library = Libbpf()
        self._clock = clock
        self._crowds = Crowds(budget.window)
        self._busy = Crowds(budget.window)
        self._rest = Crowds(budget.window)
        self._told: Counter[Kind] = Counter()
        self._lost = 0
        self._watched: dict[int, Watch] = {}
        with ExitStack() as opened:
            programs = opened.enter_context(BpfObject(library, "tracer"))
            programs.tune(
                {
                    "hierarchy_id": number,
                    "window_budget": budget.events,
                    "window_births": budget.births,
                    "window_length_ns": int(budget.window * 1e9),
                }
            )
            programs.load()
            self._map = programs.map("watched")
            self._counters = PerCpuCounters(library, programs.map("counters"))
            with library.doing("reading events"):
                self._ring = RingBuffer(library, programs.map("events"), RECORD.size)
                opened.callback(self._ring.close)
                self._alarm = Alarm()
                opened.callback(self._alarm.close)
                self._epoll = opened.enter_context(select.epoll())
                self._epoll.register(self._ring.fileno(), select.EPOLLIN)
                self._epoll.register(self._alarm.fileno(), select.EPOLLIN)
            programs.attach()
            self._opened = opened.pop_all()

    def fileno(self) -> int:
        """Readable while there are records that may not wait, and when a window is over that they were told in."""
        return self._epoll.fileno()

    def watch(self, cgroups: Mapping[int, Watch]) -> None:
        """Tell of these cgroups and everything below them, and of no others; the nearest one counts.

        What is watched already keeps its budget.

        Raises:
            BpfError: more than the kernel's table holds.
        """
        try:
            for cgroup in self._watched.keys() - cgroups.keys():
                self._map.remove(_KEY.pack(cgroup))
                del self._watched[cgroup]
            for cgroup, watch in cgroups.items():
                if self._watched.get(cgroup) != watch:
                    self._map.set(_KEY.pack(cgroup), WATCH.pack(watch, 0, 0, 0, 0, 0, 0))
                    self._watched[cgroup] = watch
        except OSError as error:
            most = self._map.max_entries
            cure = f"fewer selected pods on this node: {most:,} cgroups are watched at most"
            raise BpfError(f"watching {len(cgroups):,} cgroups: {error.strerror}", cure) from error

    def read(self) -> Batch:
        """What is there, at most some thousand events."""
        events = [
            Event(Kind(kind), tgid, tid, cgroup, parent)
            for kind, tgid, tid, _, cgroup, parent in RECORD.iter_unpack(self._ring.read(_MOST))
        ]
        self._told.update(event.kind for event in events)
        self._follow_up(events, self._clock())
        # After the buffer was emptied: what found it full is in the counter by now.
        lost, before = self._counters.total(Counted.LOST), self._lost
        self._lost = lost
        return Batch(tuple(events), lost - before)

    def tally(self) -> Tally:
        """What was told, lost and held back since the start."""
        return Tally(
            dict(self._told), lost=self._counters.total(Counted.LOST), held_back=self._counters.total(Counted.HELD_BACK)
        )

    def close(self) -> None:
        """Take the programs out of the kernel."""
        self._opened.close()

    def _follow_up(self, events: list[Event], now: float) -> None:
        """See to it that nothing stays unsaid of windows that are not over."""
        for kind, crowds in ((Kind.CROWDED, self._crowds), (Kind.BUSY, self._busy)):
            crowds.heard((event.cgroup for event in events if event.kind is kind), now)
            events += [Event(kind, cgroup=cgroup) for cgroup in crowds.over(now)]
        self._rest.over(now)
        if any(event.kind in _BIRTHS for event in events):
            self._rest.heard((0,), now)
        dues = [due for crowds in (self._crowds, self._busy, self._rest) if (due := crowds.next()) is not None]
        if dues:
            self._alarm.set(min(dues) - now)
        else:
            self._alarm.silence()


class Crowds:
    """Cgroups that are told as crowded, or busy, once more when their window is over.

    What happened between the kernel's word and the end of the window was told nobody: who looked at the cgroup at once
    would miss it for good if the cgroup then fell silent.
    """

    def __init__(self, window: float) -> None:
        # The kernel's window began before its word came, thus is over by then; a cgroup that stays crowded is told
        # anew before that, and waits again.
        self._window = window * 1.2
        self._due: dict[int, float] = {}

    def heard(self, cgroups: Iterable[int], now: float) -> None:
        """The kernel says that these are crowded."""
        for cgroup in cgroups:
            self._due[cgroup] = now + self._window

    def over(self, now: float) -> tuple[int, ...]:
        """Those whose window is over; each is given once."""
        over = tuple(cgroup for cgroup, due in self._due.items() if due <= now)
        for cgroup in over:
            del self._due[cgroup]
        return over

    def next(self) -> float | None:
        """When the next one is due; None where none is."""
        return min(self._due.values(), default=None)


def _require_ids_of_the_host(proc: Path) -> None:
    # Programs in the kernel see ids of the initial namespace; in another one the same numbers are other threads.
    try:
        namespace = (proc / "self" / "ns" / "pid").stat().st_ino
    except OSError as error:
        raise BpfError(f"{proc}/self/ns/pid: {error.strerror}") from error
    if namespace != _INITIAL_PID_NAMESPACE:
        raise BpfError("this process has a pid namespace of its own", "run it in the host's: hostPID: true")


def hierarchy_id(layout: Layout, proc: Path = Path("/proc")) -> int:
    """The number that the kernel gives the hierarchy of ``layout``; 0 is cgroup v2.

    Raises:
        BpfError: it is none that the programs can find a thread's cgroup in.
    """
    if layout.version != 1:
        return 0
    try:
        lines = (proc / "self" / "cgroup").read_text(errors="replace").splitlines()
    except OSError as error:
        raise BpfError(f"{proc}/self/cgroup: {error.strerror}") from error
    for line in lines:
        number, _, rest = line.partition(":")
        if "cpu" in rest.partition(":")[0].split(","):
            return int(number)
    raise BpfError("the cgroup hierarchy of the cpu controller is not mounted", "boot without cgroup_disable=cpu")
