"""Telling an observer of every call to an agent: what was asked, how it ended, how long it took."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from gthulhu_reconcile.errors import AgentRefused, BadAnswer

_T = TypeVar("_T")

Observer = Callable[[str, str, float], None]
"""Called after each call with its operation, its outcome, and the seconds that it took."""

OPERATIONS: Final = ("digest", "desired", "put", "state", "pods", "process", "version")
OUTCOMES: Final = ("ok", "unreachable", "refused", "faulty")


async def watched(observer: Observer | None, operation: str, call: Awaitable[_T]) -> _T:
    """The result of ``call``; one that is cut short counts as ``unreachable``."""
    if observer is None:
        return await call
    loop = asyncio.get_running_loop()
    began = loop.time()
    outcome = "unreachable"
    try:
        result = await call
        outcome = "ok"
    except AgentRefused:
        outcome = "refused"
        raise
    except BadAnswer:
        outcome = "faulty"
        raise
    else:
        return result
    finally:
        observer(operation, outcome, loop.time() - began)
