"""A way of hearing that takes no more cgroups."""

from __future__ import annotations

import time
from collections.abc import Mapping
from unittest.mock import Mock

from gthulhu_agent.discovery.events.event import Events, Watch
from gthulhu_agent.errors import BpfError
from gthulhu_agent.quickpass import Enforcing, Looker, QuickPasses


def test_a_watch_list_that_the_kernel_refuses_ends_hearing_and_not_the_pass() -> None:
    events, engine = Mock(spec=Events), Mock(spec=Enforcing)
    events.name = "bpf"

    def refuse(cgroups: Mapping[int, Watch]) -> None:
        raise BpfError(f"watching {len(cgroups)} cgroups: Argument list too long")

    events.watch.side_effect = refuse
    passes = QuickPasses(events, Mock(spec=Looker), engine, monotonic=time.monotonic, cpu=time.thread_time)
    passes.watch({1: Watch.THREADS}, frozenset())
    engine.deaf.assert_called_once_with("bpf: watching 1 cgroups: Argument list too long")
    events.close.assert_called_once_with()
    passes.watch({1: Watch.THREADS}, frozenset())
    events.watch.assert_called_once()
