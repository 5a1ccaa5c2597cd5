"""The start: what takes long there keeps nobody waiting for an answer."""

from __future__ import annotations

import asyncio
import gc
import threading
from unittest.mock import Mock

import pytest

from gthulhu_agent import lean, service


async def test_answers_are_given_while_programs_are_loaded_into_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listened until they were: a tenth of the start."""
    answered, engine = threading.Event(), Mock()
    waited: list[bool] = []

    def slow(name: str) -> tuple[None, str]:
        waited.append(answered.wait(10))
        return None, f"{name}: not here"

    monkeypatch.setattr(service, "_open_events", slow)
    hearing = asyncio.create_task(service._hear("bpf", engine, Mock()))
    await asyncio.sleep(0)
    answered.set()
    assert await hearing == "none"
    assert waited == [True]
    engine.deaf.assert_called_once_with("bpf: not here")


async def test_who_was_told_to_hear_nothing_is_not_deaf() -> None:
    engine = Mock()
    assert await service._hear("none", engine, Mock()) == "none"
    engine.deaf.assert_not_called()


async def test_the_second_best_way_is_told_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, events, looker = Mock(), Mock(), Mock()
    monkeypatch.setattr(service, "_open_events", lambda _name: (events, "bpf: not allowed"))
    assert await service._hear("auto", engine, looker) == events.name
    engine.hear.assert_called_once_with(events, looker)
    engine.hard_of_hearing.assert_called_once_with("bpf: not allowed")


def test_garbage_is_looked_for_again_after_the_start() -> None:
    try:
        lean.begin_to_start()
        assert not gc.isenabled()
        lean.end_of_start()
        assert gc.isenabled()
        assert gc.get_freeze_count()
    finally:
        gc.enable()
        gc.unfreeze()
