"""What 100,000 different patterns cost a node: ``python benchmarks/patterns.py``.

They are compiled and tried on names of processes as the agent does it, all together, and, on a sample that is scaled
up, one by one as RE2 is used first. Each kind of pattern runs in a process of its own, which is how memory is told.
"""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import re2
import report

from gthulhu_agent.enforcing.patterns import Patterns

COUNT, SAMPLE, TEXTS = 100_000, 2000, 100
KINDS: dict[str, Callable[[int], str]] = {
    "^svc-N$": lambda number: f"^svc-{number}$",
    "w.*N": lambda number: f"w.*{number}",
    "[a-f]+xN\\b": lambda number: f"[a-f]+x{number}\\b",
}


def main() -> None:
    """Measure and print."""
    options = report.options(__doc__)
    options.add_argument(
        "--one", nargs=2, metavar=("KIND", "WAY"), help="one measurement, for the process that does it"
    )
    asked = options.parse_args()
    if asked.one:
        print(*measured(*asked.one))
        return
    known = report.facts(asked)
    rows = []
    for kind in KINDS:
        together, alone = ([float(text) for text in apart(kind, way)] for way in ("together", "alone"))
        rows.append(
            [
                f"`{kind}`",
                *(f"{together[0]:.2f} s, {alone[0]:.1f} s", f"{together[1]:.0f} MB, {alone[1]:.0f} MB"),
                f"{together[2] * 1e3:.2f} ms, {alone[2] * 1e3:.1f} ms",
            ]
        )
    text = (
        f"{COUNT:,} different patterns of each kind: compiled, kept, and tried on a name not seen before (mean "
        f"of {TEXTS}). First all together, then one by one, scaled up from {SAMPLE:,}."
    )
    heads = ("pattern", "compiled", "memory", "a new name")
    found = report.Section("bench-patterns", "Many patterns", (text, report.table(heads, rows)))
    report.finish(asked, found, known)


def apart(kind: str, way: str) -> list[str]:
    """A measurement in a process of its own."""
    command = [sys.executable, __file__, "--one", kind, way]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def measured(kind: str, way: str) -> tuple[float, float, float]:
    """Seconds to compile, megabytes to keep, seconds for a new name."""
    random.seed(1)
    texts = ["".join(random.choices("abcdefsvcw-0123456789x", k=random.randint(3, 15))) for _ in range(TEXTS)]
    before, begun = memory(), time.perf_counter()
    if way == "together":
        patterns = Patterns()
        patterns.learn(KINDS[kind](number) for number in range(COUNT))
        took, scale = time.perf_counter() - begun, 1.0
        begun = time.perf_counter()
        for text in texts:
            patterns.matching(text)
    else:
        every = [re2.compile(KINDS[kind](number)) for number in range(SAMPLE)]
        took, scale = time.perf_counter() - begun, COUNT / SAMPLE
        begun = time.perf_counter()
        for text in texts:
            for pattern in every:
                pattern.search(text)
    return took * scale, (memory() - before) * scale, (time.perf_counter() - begun) / TEXTS * scale


def memory() -> float:
    """Resident, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:", 1)[1].split()[0]) * 1024 / 1e6


if __name__ == "__main__":
    main()
