"""No silent skip: under GTHULHU_REQUIRE_ALL=1 (CI) a missing part of the machine is a failure, elsewhere it is said."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest
from hypothesis import HealthCheck, settings
from requirement import REQUIRE_ALL

settings.register_profile(
    "shared-machine",
    deadline=None,  # a neighbour's load is not a failure
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("shared-machine")

# pytest-asyncio asks for the current loop before it makes its own; Python below 3.14 then makes one that nobody
# closes, and the next garbage collection fails whatever test it falls into. Once a loop was set, None is an answer.
asyncio.set_event_loop(None)

# What a shell starts in the background has SIGINT ignored (POSIX, 2.11), and so would every program that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave nightly tests out unless they are asked for, and gate the kernel tests on root."""
    if "nightly" not in str(config.getoption("markexpr")):
        kept = [item for item in items if item.get_closest_marker("nightly") is None]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept
    if os.geteuid() != 0 and not REQUIRE_ALL:
        for item in items:
            if item.get_closest_marker("kernel") is not None:
                item.add_marker(pytest.mark.skip(reason="needs root and writable cgroups; run as root to see it"))
