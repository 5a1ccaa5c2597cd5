"""A set as large as the API takes: it is taken, memory stays bounded, and others are answered meanwhile."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from agent_program import Program, serving

from gthulhu_agent.api.bodies import RECEIVED_LIMIT, SET_LIMIT
from gthulhu_wire.intents import DesiredSet, Intent, PodRef, PolicyRef, Schedule, Terms, ordered

INTENTS = 100_000
MEMORY_MAX = 400 * 1024 * 1024


def peak_memory(pid: int) -> int:
    """Bytes, since the process began."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) * 1024


def pushed(program: Program, method: str, path: str, body: object) -> dict[str, object]:
    """The answer to ``body``; meanwhile others are answered."""
    answers: list[dict[str, object]] = []
    pushing = threading.Thread(target=lambda: answers.append(program.call(method, path, body)))
    pushing.start()
    meanwhile = 0
    while pushing.is_alive():
        assert program.call("GET", "/v1/health") == {"status": "ok"}
        meanwhile += 1
        time.sleep(0.05)
    assert meanwhile > 5
    return answers[0]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_100000_intents_are_taken_within_400_mb_while_others_are_answered(tmp_path: Path) -> None:
    terms = [Terms(PolicyRef("n", f"p{number}", "s"), Schedule(priority=1)) for number in range(10)]
    intents = ordered(Intent(terms[n % 10], 0, PodRef("n", f"p{n}", f"{n:x}")) for n in range(INTENTS))
    body = DesiredSet("main", 0, 1, intents).as_json()
    assert len(json.dumps(body, separators=(",", ":"))) < SET_LIMIT
    with serving(tmp_path) as program:
        assert pushed(program, "PUT", "/v1/desired", body)["count"] == INTENTS
        assert program.call("GET", "/v1/desired")["digest"] == body["digest"]
        assert peak_memory(program.process.pid) < MEMORY_MAX
    with serving(tmp_path) as program:
        assert program.call("GET", "/v1/digest")["digest"] == body["digest"]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_100000_intents_of_a_decision_makers_client_are_taken_within_400_mb_while_others_are_answered(
    tmp_path: Path,
) -> None:
    intents = [
        {"podName": f"p{n}", "podID": f"{n:x}", "k8sNamespace": "n", "priority": n % 20, "podLabels": {"app": "a"}}
        for n in range(INTENTS)
    ]
    body = {"intents": intents}
    assert len(json.dumps(body, separators=(",", ":"))) < RECEIVED_LIMIT
    with serving(tmp_path) as program:
        assert pushed(program, "POST", "/api/v1/intents", body)["success"] is True
        root = program.call("GET", "/api/v1/intents/merkle")["data"]
        assert program.call("GET", "/v1/digest")["count"] == INTENTS
        assert peak_memory(program.process.pid) < MEMORY_MAX
    with serving(tmp_path) as program:
        assert program.call("GET", "/api/v1/intents/merkle")["data"] == root
