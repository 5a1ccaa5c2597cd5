"""Causes collapse: any number before a pass are one pass."""

from __future__ import annotations

import asyncio

import pytest

from gthulhu_reconcile.runtime.causes import Cause, Causes


def causes() -> Causes:
    return Causes(asyncio.get_running_loop().time)


async def test_all_that_wait_are_taken_at_once_and_only_once() -> None:
    queue = causes()
    assert queue.post(Cause.CLOCK)
    assert queue.post(Cause.FILES)
    assert not queue.post(Cause.CLOCK)
    assert queue.depth == 2
    assert set(await queue.take()) == {Cause.CLOCK, Cause.FILES}
    assert queue.depth == 0


@pytest.mark.looptime
async def test_the_oldest_is_the_first_that_was_posted() -> None:
    queue = causes()
    assert queue.oldest == 0
    queue.post(Cause.CLOCK)
    await asyncio.sleep(5)
    queue.post(Cause.FILES)
    queue.post(Cause.CLOCK)
    await asyncio.sleep(2)
    assert queue.oldest == 7


@pytest.mark.looptime
async def test_taking_waits_for_a_cause_and_a_later_one_is_for_the_next_pass() -> None:
    queue = causes()
    asyncio.get_running_loop().call_later(30, queue.post, Cause.FILES)
    assert set(await queue.take()) == {Cause.FILES}
    assert asyncio.get_running_loop().time() == 30
    queue.post(Cause.WINDOW)
    assert set(await queue.take()) == {Cause.WINDOW}


async def test_after_closing_nothing_begins_whatever_waits() -> None:
    queue = causes()
    queue.post(Cause.FILES)
    queue.close()
    assert not queue.post(Cause.CLOCK)
    assert await queue.take() == {}
    assert await queue.take() == {}
