"""Noticing that files changed, and when they have come to rest.

inotify (through watchfiles) only makes the next look come at once; without it, looking happens every ``scan``
seconds all the same. So nothing depends on a notice arriving.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

import watchfiles

from gthulhu_reconcile.runtime.fingerprints import Fingerprint, take

Resources = Mapping[str, Iterable[Path]]

_MOST_UNREST = 40
"""After so many looks at files that never rest, what is there is taken as it is: a log file among the policies must
not stop the service for ever."""


class Notices(Protocol):
    """Yields whenever something happens in one of the given directories; never what."""

    def __call__(self, directories: tuple[str, ...]) -> AsyncIterator[object]:
        """Watch ``directories``; raises OSError where the kernel gives no notices."""
        ...


def inotify(directories: tuple[str, ...]) -> AsyncIterator[object]:
    """Notices of the kernel."""
    return watchfiles.awatch(*directories, watch_filter=None, recursive=False, debounce=50, step=10)


class Watch:
    """Watches files until it is cancelled.

    Args:
        resources: what belongs to which resource; asked at every look, since settings change.
        changed: called with the names of the resources that changed, once they rest, and when the last of the changes
            was made, in seconds of the wall clock.
        restarted: called with the reason whenever the kernel's notices had to be asked for again.
        settle: seconds for which nothing may change before a change counts.
        scan: seconds between two looks that no notice asked for.
        notices: where notices come from.
        wall_ns: the wall clock, in nanoseconds.
    """

    def __init__(
        self,
        resources: Callable[[], Resources],
        changed: Callable[[tuple[str, ...], float], None],
        restarted: Callable[[str], None],
        *,
        settle: Callable[[], float],
        scan: Callable[[], float],
        notices: Notices = inotify,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._resources = resources
        self._changed = changed
        self._restarted = restarted
        self._settle = settle
        self._scan = scan
        self._notices = notices
        self._wall_ns = wall_ns
        self._stirred = asyncio.Event()
        self._directories_moved = asyncio.Event()
        self._seen = Fingerprint({}, ())

    async def look(self) -> Fingerprint:
        """The watched files as they are now."""
        return await asyncio.to_thread(take, dict(self._resources()))

    async def rest(self) -> Fingerprint:
        """Wait until the watched files have been quiet for the time to settle; what they look like then."""
        settle = self._settle()
        print_ = await self.look()
        for _ in range(_MOST_UNREST):
            age = (self._wall_ns() - print_.newest_ns) / 1e9
            if not 0 <= age < settle:
                # A change in the future is a clock that was set; waiting for it could take for ever.
                break
            await asyncio.sleep(settle - age)
            print_ = await self.look()
        return print_

    async def run(self) -> None:
        """Watch until cancelled."""
        self._seen = await self.look()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._listen())
            group.create_task(self._compare())

    async def _compare(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._scan()):
                    await self._stirred.wait()
                    # A busy neighbour in the same directory must not make us look all the time.
                    await asyncio.sleep(self._settle())
            self._stirred.clear()
            if not (await self.look()).changed(self._seen):
                continue
            rested = await self.rest()
            former, self._seen = self._seen, rested
            if rested.directories != former.directories or _replaced(rested, former):
                self._directories_moved.set()
            if changed := rested.changed(former):
                self._changed(changed, (rested.newest_ns_of(changed) or self._wall_ns()) / 1e9)

    async def _listen(self) -> None:
        while True:
            self._directories_moved.clear()
            hearing = asyncio.create_task(self._hear(self._seen.directories))
            try:
                await self._directories_moved.wait()
            finally:
                hearing.cancel()
                await asyncio.wait({hearing})
            self._restarted("directories-changed")
            # What happened while nobody listened is found by looking.
            self._stirred.set()

    async def _hear(self, directories: tuple[str, ...]) -> None:
        if not directories:
            return
        try:
            async for _ in self._notices(directories):
                self._stirred.set()
        except (OSError, RuntimeError):
            # No inotify here, or too many watches on this machine, or a directory went away just now: looking has to
            # do until the directories change.
            self._restarted("no-notices")


def _replaced(now: Fingerprint, former: Fingerprint) -> bool:
    before = {path: mark for group in former.marks.values() for path, mark in group.items()}
    return any(
        path in before and (before[path].device, before[path].inode) != (mark.device, mark.inode)
        for group in now.marks.values()
        for path, mark in group.items()
        if path in now.directories
    )
