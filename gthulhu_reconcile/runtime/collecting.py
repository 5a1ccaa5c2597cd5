"""Python's garbage collector, held back while a plan is made.

Planning allocates by the hundred thousand and makes no cycles, but each collection that it sets off walks over every
pod that is known. ``make bench-plan`` shows what that costs: nearly half of a first plan of 100,000 pods.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No collection of cycles until the end, where it was on; reference counts go on freeing what they can."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()
