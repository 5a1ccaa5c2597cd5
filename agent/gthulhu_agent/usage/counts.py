"""The kernel's scheduling counters of one thread, and how its files tell them. Pure."""

from __future__ import annotations

from typing import NamedTuple


class Counts(NamedTuple):
    """Counters since a thread's start, or sums of such.

    Attributes:
        cpu: nanoseconds on a CPU.
        wait: nanoseconds runnable and waiting for one.
        runs: times that it got one.
        voluntary: context switches by itself, to sleep.
        involuntary: context switches because another was to run.
        migrations: moves from one CPU to another.
    """

    cpu: int = 0
    wait: int = 0
    runs: int = 0
    voluntary: int = 0
    involuntary: int = 0
    migrations: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*map(int.__add__, self, other))

    def since(self, before: Counts) -> Counts:
        """What was added after ``before``; 0 where a counter was set back, as ``echo 0 > /proc/<pid>/sched`` can."""
        return Counts(*(max(0, now - then) for now, then in zip(self, before, strict=True)))


NOTHING = Counts()


def parse_schedstat(text: bytes) -> tuple[int, int, int]:
    """The fields of ``/proc/<pid>/schedstat``: time on a CPU, time waiting for one (ns), and times that it got one.

    Raises:
        ValueError: this is no such line.
    """
    cpu, wait, runs = map(int, text.split())
    return cpu, wait, runs


def parse_sched(text: bytes) -> tuple[int, int, int] | None:
    """Voluntary and involuntary switches and migrations from ``/proc/<pid>/sched``; None where they are not all there.

    The file is there with CONFIG_SCHED_DEBUG, and always from Linux 6.15 on. It begins with the comm as it is, newlines
    too; with the newline before them the names are longer than a comm can be.
    """
    voluntary, involuntary, migrations = (
        _after(text, name) for name in (b"\nnr_voluntary_switches", b"\nnr_involuntary_switches", b"\nse.nr_migrations")
    )
    if voluntary is None or involuntary is None or migrations is None:
        return None
    return voluntary, involuntary, migrations


def parse_status(text: bytes) -> tuple[int, int] | None:
    """Voluntary and involuntary switches from ``/proc/<pid>/status``; None where it does not tell them."""
    voluntary, involuntary = (
        _after(text, name) for name in (b"\nvoluntary_ctxt_switches", b"\nnonvoluntary_ctxt_switches")
    )
    return None if voluntary is None or involuntary is None else (voluntary, involuntary)


def _after(text: bytes, name: bytes) -> int | None:
    at = text.find(name)
    if at < 0:
        return None
    value = text[at + len(name) :].split(b"\n", 1)[0].partition(b":")[2].strip()
    return int(value) if value.isdigit() else None
