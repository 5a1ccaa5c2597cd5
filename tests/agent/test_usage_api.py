"""``GET /v1/usage``: pods and their intents, one pod's threads, and nothing that is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from agent_harness import FakeScanner, desired, intent, running
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from usage_world import myself, pods, process_of

from gthulhu_agent.api import openapi
from gthulhu_agent.classes import Class, class_of
from gthulhu_agent.discovery.snapshot import Snapshot
from gthulhu_wire.intents import PRIORITY_MAX, PRIORITY_MIN, Schedule

DOCUMENT: dict[str, Any] = openapi.document()


def check(value: object) -> None:
    schema = {"$ref": "#/components/schemas/Usage", "components": DOCUMENT["components"]}
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(value)


async def test_pods_are_told_with_their_counters_and_intents(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(myself())) as agent:
        await agent.put(desired(1, intent("web", priority=-20), intent("db")))
        await agent.next_pass()
        value = await agent.until("/v1/usage", lambda value: value.get("pods"))
        check(value)
        (pod,) = value["pods"]
        assert (pod["uid"], pod["namespace"], pod["name"]) == ("uid-1", "default", "pod-uid-1")
        assert pod["counts"]["cpu"] > 0
        assert pod["counts"]["runs"] > 0
        assert {row["policy"]["name"]: row["class"] for row in pod["intents"]} == {"web": "idle", "db": "normal"}
        assert all(row["enforced"] and row["threads"] == 1 for row in pod["intents"])


TWO_THREADS = "import threading as t; e = t.Event(); t.Thread(target=e.wait).start(); print(flush=True); e.wait()"


@contextmanager
def child_with_two_threads() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", TWO_THREADS], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            yield child.pid
        finally:
            child.kill()


async def test_one_pod_is_told_with_its_threads(tmp_path: Path) -> None:
    with child_with_two_threads() as pid:
        snapshot = pods(**{"uid-1": (process_of(pid),)})
        async with running(tmp_path, scanner=FakeScanner(snapshot)) as agent:
            await agent.put(desired(1, intent("web")))
            await agent.next_pass()
            value = await agent.until("/v1/usage?pod=uid-1", lambda value: value.get("pods"))
            check(value)
            assert [pod["uid"] for pod in value["pods"]] == ["uid-1"]
            assert len(value["threads"]) == 2
            assert {thread["pid"] for thread in value["threads"]} == {pid}
            for thread in value["threads"]:
                assert thread["winner"] == {"namespace": "default", "name": "web"}
                assert (thread["class"], thread["kernel"]["policy"]) == ("normal", "OTHER")
                assert thread["counts"]["runs"] > 0


async def test_a_pod_that_does_not_run_is_not_found(tmp_path: Path) -> None:
    async with running(tmp_path, scanner=FakeScanner(Snapshot(()))) as agent:
        await agent.until("/v1/usage", lambda value: "pods" in value)
        status, value = await agent.get("/v1/usage?pod=none")
        assert (status, value["code"]) == (404, "not-found")
        assert (await agent.get("/v1/usage?pods=a"))[0] == 400


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (Schedule(), Class.NORMAL),
        (Schedule(priority=20), Class.NORMAL),
        (Schedule(priority=-9), Class.NORMAL),
        (Schedule(priority=-10), Class.BATCH),
        (Schedule(priority=-19), Class.BATCH),
        (Schedule(priority=-20), Class.IDLE),
        (Schedule(priority=-20, preempt=True), Class.LATENCY),
    ],
)
def test_what_a_schedule_makes_of_a_thread_has_a_word(schedule: Schedule, name: Class) -> None:
    assert class_of(schedule) is name


@given(st.integers(PRIORITY_MIN, PRIORITY_MAX), st.booleans())
def test_no_policy_is_of_the_system_s_class(priority: int, preempt: bool) -> None:
    assert class_of(Schedule(priority, preempt=preempt)) is not Class.SYSTEM
