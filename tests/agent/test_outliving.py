"""Agents that tests start are gone when the tests are, however those ended."""

from __future__ import annotations

import os
import select
import subprocess
import sys
from pathlib import Path

import pytest
from agent_program import PATIENCE

TESTS = Path(__file__).resolve().parents[1]
SERVING = f"""
import sys
sys.path.insert(0, {str(TESTS)!r})
from pathlib import Path
from agent_program import serving
with serving(Path(sys.argv[1])) as program:
    print(program.process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_an_agent_outlived_a_test_that_was_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVING, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as test:
        assert test.stdout is not None
        agent = os.pidfd_open(int(test.stdout.readline()))
        try:
            test.kill()
            ended, _, _ = select.select([agent], [], [], PATIENCE)
            assert ended
        finally:
            os.close(agent)
